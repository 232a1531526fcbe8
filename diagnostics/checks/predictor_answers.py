"""A predictor and the cells that it is asked about: its answers, in parts and other orders, and whether they agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Capabilities, Perturbation, Predictor

ROUNDING = 1e-3
"""Largest difference between two answers that should agree, of the largest answer: float32 sums in another order."""

N_DRAWS = 200
"""Draws of each answer of a sampler, over which its means are taken."""

FAMILY_LEVEL = 1e-4
"""Probability that a check accuses a sampler whose distributions agree: Bonferroni's over all answers."""

Reordered = Callable[[GeneVocab], Predictor]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """A predictor, and cells to ask it about.

    Parameters
    ----------
    predictor : Predictor
    control_BG : float32, (B, G)
    perturbation : Perturbation
    reordered : callable or None
        The same predictor for the same genes in another order.
    capabilities : Capabilities
    """

    predictor: Predictor
    control_BG: NDArray[np.float32]
    perturbation: Perturbation
    reordered: Reordered | None
    capabilities: Capabilities

    def answer(
        self,
        control_BG: NDArray[np.float32] | None = None,
        perturbation: Perturbation | None = None,
        *,
        predictor: Predictor | None = None,
    ) -> NDArray[np.float32]:
        """The answer to these cells, or to others."""
        asked = self.predictor if predictor is None else predictor
        return asked.predict(
            self.control_BG.copy() if control_BG is None else control_BG,
            self.perturbation if perturbation is None else perturbation,
        )

    def scored_BG(self, control_BG: NDArray[np.float32] | None = None) -> NDArray[np.bool_]:
        """Measured and not perturbed: what is ever scored."""
        control_BG = self.control_BG if control_BG is None else control_BG
        return ~np.isnan(control_BG) & ~self.perturbation.perturbed_BG


def perturbed(perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.float32]) -> Perturbation:
    """A perturbation of some genes."""
    return Perturbation(
        perturbed_BG=perturbed_BG, target_BG=np.where(perturbed_BG, value_BG, np.float32(0)).astype(np.float32)
    )


def rows_of(perturbation: Perturbation, rows: slice | list[int]) -> Perturbation:
    """That of some cells."""
    return Perturbation(perturbed_BG=perturbation.perturbed_BG[rows], target_BG=perturbation.target_BG[rows])


def compared(asked: Asked, parts: list[list[int]], otherwise: str) -> None:
    """The usual answers against those of the same cells in other parts and orders."""
    close(asked, drawn(asked, [None]), drawn(asked, parts), otherwise)


Draws = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mean and squared standard error of each answer, (B, G)."""


def drawn(asked: Asked, parts: Sequence[list[int] | None], perturbation: Perturbation | None = None) -> Draws:
    """Answers to all cells, part by part; of a sampler means over draws, each cell being there many times at once."""
    given = asked.perturbation if perturbation is None else perturbation
    n_draws = N_DRAWS if asked.capabilities.draws else 1
    mean_BG = np.empty(asked.control_BG.shape, dtype=np.float64)
    error_BG = np.zeros(asked.control_BG.shape)
    for part in parts:
        rows = list(range(len(mean_BG))) if part is None else part
        again = rows * n_draws
        answer_BG = asked.answer(np.ascontiguousarray(asked.control_BG[again]), rows_of(given, again))
        expected = (len(again), len(asked.predictor.vocab))
        assert answer_BG.shape == expected, f"an answer of shape {answer_BG.shape} for cells of shape {expected}"
        draws = answer_BG.astype(np.float64).reshape(n_draws, len(rows), -1)
        mean_BG[rows] = draws.mean(axis=0)
        if n_draws > 1:
            error_BG[rows] = draws.var(axis=0, ddof=1) / n_draws
    return mean_BG, error_BG


def close(asked: Asked, usual: Draws, other: Draws, otherwise: str) -> None:
    """Two answers agree: to rounding, or, of a sampler, their means to what chance gives."""
    scored_BG = asked.scored_BG()
    if not asked.capabilities.draws:
        agree(usual[0], other[0], scored_BG, otherwise)
        return
    from scipy.stats import norm

    gap_BG = np.abs(usual[0] - other[0])
    z = float(norm.isf(FAMILY_LEVEL / 2 / max(int(scored_BG.sum()), 1)))
    scale = float(np.abs(usual[0][scored_BG]).max(initial=0.0))
    worst = float((gap_BG - z * np.sqrt(usual[1] + other[1]))[scored_BG].max(initial=0.0))
    assert worst <= ROUNDING * scale, f"{otherwise}: means of {N_DRAWS} draws, by {worst:.3g} more than chance"


def whole(answer_BG: NDArray[np.float32], asked: Asked) -> NDArray[np.float32]:
    """The answer, if it is of the cells' shape."""
    expected = asked.control_BG.shape
    assert answer_BG.shape == expected, f"an answer of shape {answer_BG.shape} for cells of shape {expected}"
    return answer_BG


def agree(
    usual_BG: NDArray[np.floating], other_BG: NDArray[np.floating], scored_BG: NDArray[np.bool_], otherwise: str
) -> None:
    """Two answers agree to rounding wherever they are scored."""
    assert usual_BG.shape == other_BG.shape, (
        f"answers of shapes {usual_BG.shape} and {other_BG.shape} to the same cells"
    )
    scale = float(np.abs(usual_BG[scored_BG]).max(initial=0.0))
    gap = float(np.abs(usual_BG - other_BG)[scored_BG].max(initial=0.0))
    # Written so that NaN does not agree.
    assert gap <= ROUNDING * scale, f"{otherwise} by {gap:.3g}, of answers up to {scale:.3g}"
