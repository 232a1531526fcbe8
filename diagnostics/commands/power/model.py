"""``ModelReadOut``: a model trained on a screen with a planted graph, and the effects that it then predicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.inputs.models import Model
from diagnostics.runs.experiment import one_thread
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, rebatched
from gpcp.core.predictors import Perturbation
from gpcp.core.random import generator, seed_of
from simulators.spike_ins.screen import SpikedScreen

BUDGET = Budget(n_steps=600, batch_size=64)
"""Of the training on one screen."""

_N_ASKED = 64
"""Controls that are asked about."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SpikedScreenPairs:
    """A control, before, and a cell of the screen, after; meets :class:`gpcp.core.pairs.PairSource`.

    A pass gives every perturbed cell once, and as many controls as a target has cells, which nothing was done to. What
    a model is given is the dose: the target's value before, moved by it; never the value that was measured after.

    Parameters
    ----------
    screen : SpikedScreen
    """

    screen: SpikedScreen

    @property
    def vocab(self) -> GeneVocab:
        """Of the cells."""
        return self.screen.cells.vocab

    @property
    def n_pairs(self) -> int:
        """Of a pass."""
        design = self.screen.design
        return (design.n_targets + 1) * design.cells_per_target

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass; the seed decides order and controls."""
        rng = generator("pairs of a spiked screen", seed)
        control_N = np.flatnonzero(self.screen.target_N < 0)
        unchanged = rng.choice(control_N, size=self.screen.design.cells_per_target)
        after_B = rng.permutation(np.concatenate([np.flatnonzero(self.screen.target_N >= 0), unchanged]))
        return rebatched(iter([self._pairs(rng.choice(control_N, size=len(after_B)), after_B)]), batch_size=batch_size)

    def _pairs(self, before_B: NDArray[np.int64], after_B: NDArray[np.int64]) -> PairBatch:
        cells = self.screen.cells
        token = np.append(cells.vocab.tokens(self.screen.targets), -1)
        perturbed_BG = np.arange(len(cells.vocab)) == token[self.screen.target_N[after_B]][:, None]
        measured_BG = cells.measured_NG[before_B] & cells.measured_NG[after_B]
        before_BG = np.where(measured_BG, cells.value_NG[before_B], np.float32(0))
        given_BG = before_BG + np.float32(self.screen.design.dose)
        after_BG = np.where(perturbed_BG, given_BG, cells.value_NG[after_B])
        return PairBatch(
            vocab=cells.vocab,
            before_BG=before_BG,
            after_BG=np.where(measured_BG, after_BG, np.float32(0)),
            measured_BG=measured_BG,
            perturbed_BG=perturbed_BG & measured_BG,
            before_id_B=before_B.astype(np.int64),
            after_id_B=after_B.astype(np.int64),
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelReadOut:
    """A model as a read-out of a screen: see ``more`` of :func:`diagnostics.graphs.planted.graph_recovery`.

    The model is trained anew on every screen, on :class:`SpikedScreenPairs`; then controls are given to it with and
    without each target's dose, and the mean difference of the two answers is the effect.

    Parameters
    ----------
    model : str or callable
        A preset, ``file.py:factory``, or a factory: see :func:`diagnostics.inputs.models.model_named`.
    budget : Budget
    on_step : callable, optional
        Given the number of steps done and the loss.
    """

    model: Model = "default"
    budget: Budget = BUDGET
    on_step: OnStep | None = None

    def __call__(self, screen: SpikedScreen, seed: int) -> NDArray[np.float64]:
        """Sizes of the effects of the targets, float64 (targets, G).

        Raises
        ------
        InputError
            As the model.
        """
        cells = screen.cells
        with one_thread():
            # Two screens of one repeat differ in cells alone: so do their trainings.
            subject = subject_of_model(
                self.model, SpikedScreenPairs(screen=screen), self.budget, seed=seed_of(seed, "model of a screen")
            )
            train(subject, self.budget, seed=seed_of(seed, "model of a screen"), on_step=self.on_step)
            predictor = SubjectPredictor(subject=subject, vocab=cells.vocab)
            asked_N = np.flatnonzero(screen.target_N < 0)[:_N_ASKED]
            value_BG = np.where(cells.measured_NG[asked_N], cells.value_NG[asked_N], np.float32(np.nan))
            plain_BG = predictor.predict(value_BG, _question(value_BG, None, 0.0))
            moved = [
                predictor.predict(value_BG, _question(value_BG, token, screen.design.dose))
                for token in cells.vocab.tokens(screen.targets).tolist()
            ]
        return np.abs(np.stack([(one_BG - plain_BG).mean(axis=0, dtype=np.float64) for one_BG in moved]))


def _question(value_BG: NDArray[np.float32], token: int | None, dose: float) -> Perturbation:
    perturbed_BG = np.zeros(value_BG.shape, dtype=np.bool_)
    if token is not None:
        perturbed_BG[:, token] = True
    return Perturbation(
        perturbed_BG=perturbed_BG, target_BG=np.where(perturbed_BG, value_BG + np.float32(dose), np.float32(0))
    )
