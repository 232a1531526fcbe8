"""Public names of gpcp and where each is defined: this is the one place that declares them."""

from gpcp.core.cells import CellBatch as CellBatch, CellSource as CellSource
from gpcp.core.errors import InputError as InputError
from gpcp.core.genes import GeneVocab as GeneVocab
from gpcp.core.pairs import PairBatch as PairBatch, PairSource as PairSource, concatenate as concatenate
from gpcp.core.perturbations import (
    AppliedPerturbations as AppliedPerturbations,
    PerturbationVocab as PerturbationVocab,
    perturbations_of as perturbations_of,
)
from gpcp.core.predictors import (
    Capabilities as Capabilities,
    Perturbation as Perturbation,
    Predictor as Predictor,
    capabilities_of as capabilities_of,
)
from gpcp.loading.prefetch import Prefetched as Prefetched
from gpcp.loading.torch_dataset import PairDataset as PairDataset
from gpcp.model.batch import ModelBatch as ModelBatch, model_batch as model_batch
from gpcp.model.config import PRESETS as PRESETS, ModelConfig as ModelConfig, made_for as made_for, preset as preset
from gpcp.model.heads.registry import HEADS as HEADS
from gpcp.model.predictor import ModelPredictor as ModelPredictor
from gpcp.model.torch_seed import torch_seed as torch_seed
from gpcp.model.transformer import GenePerturbationTransformer as GenePerturbationTransformer
from gpcp.opening.cells import open_cells as open_cells
from gpcp.opening.pairs import PairOptions as PairOptions, open_pairs as open_pairs, split_pairs as split_pairs
from gpcp.pairing.paired import Paired as Paired
from gpcp.panels.annotation import annotation_of_census as annotation_of_census
from gpcp.panels.first_pass import gene_statistics as gene_statistics
from gpcp.panels.panel import GenePanel as GenePanel, choose_genes as choose_genes
from gpcp.panels.panel_file import load_panel as load_panel, save_panel as save_panel
from gpcp.in_silico.cells import cells_to_screen as cells_to_screen
from gpcp.in_silico.perturbations import ScreenPerturbation as ScreenPerturbation, screened as screened
from gpcp.in_silico.screen import predict_screen as predict_screen
from gpcp.screens.h5ad_screen import H5adScreen as H5adScreen
from gpcp.search.space import Space as Space, hyperparameter_of as hyperparameter_of
from gpcp.search.sweep import SweepConfig as SweepConfig, sweep as sweep
from gpcp.sources.cache.build import cached as cached
from gpcp.sources.cache.cells import CachedCells as CachedCells
from gpcp.sources.census.cells import CensusCells as CensusCells
from gpcp.sources.census.store import CENSUS_VERSION as CENSUS_VERSION, UnreachableError as UnreachableError
from gpcp.sources.h5ad.cells import H5adCells as H5adCells
from gpcp.sources.h5ad.write_back import write_back as write_back
from gpcp.sources.in_memory import InMemoryCells as InMemoryCells
from gpcp.sources.subsets import OnlyGenes as OnlyGenes, split_cells as split_cells
from gpcp.training.config import FitConfig as FitConfig
from gpcp.training.fit import fit as fit, mean_loss as mean_loss
from gpcp.training.loss import masked_loss as masked_loss
from gpcp.training.trained import trained_predictor as trained_predictor

__version__: str
__all__: list[str]
