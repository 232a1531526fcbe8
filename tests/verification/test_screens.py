"""A known world, exported as a screen and read back as a file of anyone's: what is learnt from names alone, in full."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import final

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.scoring.baselines import MeanPredictor
from diagnostics.scoring.errors import Errors, losses_of
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.perturbations import CONTROL
from gpcp.model.config import preset
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.screens.h5ad_screen import H5adScreen
from gpcp.screens.pairs import ScreenPairs
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from simulators.screens.design import design_named
from simulators.screens.files import screen_anndata
from simulators.screens.means import exact_mean, log_values
from simulators.screens.simulated import SimulatedScreen, simulated_screen
from simulators.worlds import world

pytestmark = pytest.mark.slow

N_STEPS, MEAN_CELLS = 600, 16_384


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["mixing", "default"])
def test_names_alone_come_to_the_exact_answer_for_that_information(name: str, seed: int, tmp_path: Path) -> None:
    """Controls and perturbed cells are other cells, so that the mean of each perturbation is the exact answer.

    Means of logarithms are of 16,384 cells each: their error adds 1/16,384 of the variance to the exact loss.
    """
    design = design_named("ideal", n_targets=12, cells_per_target=300, n_controls=400, values="log")
    made = simulated_screen(world("scale_free/20", seed=seed), design, seed=seed)
    screen_anndata(made).write_h5ad(tmp_path / "screen.h5ad")
    screen = H5adScreen(tmp_path / "screen.h5ad", layer="X", values="log")
    split = screen.split(seed=seed)
    held_out = concatenate(split.held_out.pairs(batch_size=512, seed=1))
    sample = concatenate(split.training.pairs(batch_size=512, seed=2))
    model = GenePerturbationTransformer(preset(name, len(screen.vocab), screen.perturbations), seed=seed)
    fit(model, split.training, FitConfig(learning_rate=3e-3, seed=seed).lasting(N_STEPS))
    trained = losses_of(ModelPredictor(model, screen.vocab, perturbations=screen.perturbations), held_out).loss
    baseline = losses_of(MeanPredictor.fit(sample), held_out).loss
    means = exact_mean(made, n_cells=MEAN_CELLS)
    exact = _loss_of_means(held_out, {label: means.row(label, made.contexts[0], unit="log") for label in made.labels})
    assert exact < trained
    assert (baseline - trained) / (baseline - exact) >= 0.95


@final
class FreshCells:
    """Pairs of a screen with the same perturbations, in cells that the world gives anew: none comes from its file."""

    def __init__(self, pairs: ScreenPairs, made: SimulatedScreen) -> None:
        self._pairs, self._made = pairs, made
        self.vocab, self.perturbations, self.n_pairs = pairs.vocab, pairs.perturbations, pairs.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        cells_of = {label: self._cells(label, seed) for label in ("control", *self._made.labels)}
        for batch in self._pairs.pairs(batch_size=batch_size, seed=seed):
            assert batch.applied is not None
            labels = batch.applied.labels()
            before, after = ([next(cells_of[one]) for one in some] for some in (["control"] * len(labels), labels))
            yield replace(batch, before_BG=np.stack(before), after_BG=np.stack(after))

    def _cells(self, label: str, seed: int) -> Iterator[NDArray[np.float32]]:
        for block in count(10_000 + 1_000 * seed):
            sampled = self._made.sampler(label, self._made.contexts[0], 1024, block)
            yield from log_values(sampled.count_BG, self._made.design.log_total).astype(np.float32)


def test_the_file_of_a_screen_teaches_what_the_world_does(tmp_path: Path) -> None:
    """Expected: fresh cells are a little better, since none comes twice, by less than two standard errors of pairs."""
    design = design_named("ideal", n_targets=12, cells_per_target=300, n_controls=400, values="log")
    made = simulated_screen(world("scale_free/20", seed=0), design, seed=0)
    screen_anndata(made).write_h5ad(tmp_path / "screen.h5ad")
    screen = H5adScreen(tmp_path / "screen.h5ad", layer="X", values="log")
    split = screen.split(seed=0)
    held_out = concatenate(split.held_out.pairs(batch_size=512, seed=1))
    errors: list[Errors] = []
    for source in (split.training, FreshCells(split.training, made)):
        model = GenePerturbationTransformer(preset("mixing", len(screen.vocab), screen.perturbations), seed=0)
        fit(model, source, FitConfig(learning_rate=3e-3, seed=0).lasting(N_STEPS))
        errors.append(losses_of(ModelPredictor(model, screen.vocab, perturbations=screen.perturbations), held_out))
    from_file, from_world = errors
    assert -2 < from_world.below(from_file) < 2


def _loss_of_means(pairs: PairBatch, mean_of: dict[str, np.ndarray]) -> float:
    assert pairs.applied is not None
    labels = pairs.applied.labels()
    assert CONTROL not in labels
    error_BG = np.stack([mean_of[label] for label in labels]) - pairs.after_BG
    return float((error_BG[pairs.scored_BG] ** 2).mean())
