"""Public names of simulators and where each is defined: this is the one place that declares them."""

from simulators.assay import build_assay as build_assay
from simulators.census.embedded import embedded_census as embedded_census
from simulators.census.export import export_census as export_census
from simulators.exact.bayes import BayesPredictor as BayesPredictor, bayes as bayes
from simulators.graphs.gene_graph import GeneGraph as GeneGraph
from simulators.graphs.files import load_graph as load_graph, save_graph as save_graph
from simulators.scm.regimes import REGIMES as REGIMES, Regime as Regime
from simulators.scm.scm import Scm as Scm, build_scm as build_scm
from simulators.screens.design import ScreenDesign as ScreenDesign, design_named as design_named
from simulators.screens.files import screen_anndata as screen_anndata
from simulators.screens.means import exact_mean as exact_mean
from simulators.screens.simulated import SimulatedScreen as SimulatedScreen, simulated_screen as simulated_screen
from simulators.sources import SimulatedCells as SimulatedCells, SimulatedPairs as SimulatedPairs
from simulators.spike_ins.files import planted_graph_of as planted_graph_of, spiked_anndata as spiked_anndata
from simulators.spike_ins.pairs import SpikedPairs as SpikedPairs, planted_effects as planted_effects
from simulators.spike_ins.planted_graph import planted_graph as planted_graph, total_effects as total_effects
from simulators.spike_ins.real_cells import RealCells as RealCells, real_cells as real_cells
from simulators.spike_ins.screen import (
    SpikeDesign as SpikeDesign,
    SpikedScreen as SpikedScreen,
    spiked_screen as spiked_screen,
)
from simulators.twins.fidelity import Fidelity as Fidelity, fidelity as fidelity
from simulators.twins.screens.cells import ScreenCells as ScreenCells, screen_cells_of as screen_cells_of
from simulators.twins.screens.fidelity import screen_fidelity as screen_fidelity
from simulators.twins.screens.twin import ScreenTwin as ScreenTwin
from simulators.twins.twin import Twin as Twin, twin_of as twin_of
from simulators.worlds import World as World, world as world

__all__: list[str]
