"""How differently the cells of one perturbation respond: escaped cells, and strengths of guides."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.random import stream
from simulators.twins.screens.effects import Effects

FEWEST_SCORED = 40
"""Cells of a perturbation from which escaped ones are estimated."""

LEAST_SEPARATION = 0.5
"""Distance of a perturbation's cells from controls along its effect, in standard deviations, that this takes."""

_LEAST_STRENGTH, _MOST_STRENGTH = 0.0, 2.0


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Efficiency:
    """How differently the cells of one perturbation respond.

    Parameters
    ----------
    escaped : float
        Share of perturbed cells in which nothing happened.
    n_scored : int
        Perturbations whose effect is clear enough to see it; 0 where ``escaped`` is not known and taken for 0.
    strength_B : float64, (B,)
        Of each cell's guide beside the others of its perturbation: 1 on average, and where it is not known.
    """

    escaped: float
    n_scored: int
    strength_B: NDArray[np.float64]


def efficiency_of(
    standard_BG: NDArray[np.float64], found: Effects, guide_B: NDArray[np.str_] | None, *, seed: int = 0
) -> Efficiency:
    """Escaped cells and strengths of guides, from how cells spread along the effect of their perturbation.

    A cell's score is its projection on the mean effect in *other* cells, on genes that are not targets; with controls
    of variance ``v``, perturbed cells of mean ``m`` and variance ``u`` about the mean of their guide, and a share ``e``
    that escapes, ``u - v = m^2 e / (1 - e)``. Responses that differ for other reasons count as escapes.
    """
    rng = stream(seed, "halves of a perturbation")
    control_BG = standard_BG[found.label_B < 0]
    above = below = 0.0
    n_scored = 0
    strength_B = np.ones(len(found.label_B))
    for place in range(len(found.labels)):
        rows = np.flatnonzero(found.label_B == place)
        if len(rows) < FEWEST_SCORED:
            continue
        rows = rng.permutation(rows)
        score_B, scale = _scores(standard_BG, rows, control_BG, found.target_PG[place])
        mean = float(score_B.mean())
        if mean < LEAST_SEPARATION * scale:
            continue
        guide = np.zeros(len(rows), dtype=np.int64)
        if guide_B is not None:
            guide = np.unique(guide_B[rows], return_inverse=True)[1].reshape(-1)
        n_of = np.bincount(guide)
        mean_of = np.bincount(guide, weights=score_B) / n_of
        within = float(((score_B - mean_of[guide]) ** 2).sum() / max(1, len(rows) - len(n_of)))
        strength_B[rows] = _shrunk(mean_of, within / n_of, mean)[guide]
        above += len(rows) * (within - scale**2)
        below += len(rows) * max(mean**2 - within / len(rows), 1e-12)
        n_scored += 1
    odds = max(0.0, above / below) if n_scored else 0.0
    return Efficiency(escaped=odds / (1 + odds), n_scored=n_scored, strength_B=strength_B)


def _scores(
    standard_BG: NDArray[np.float64],
    rows: NDArray[np.int64],
    control_BG: NDArray[np.float64],
    target_G: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], float]:
    """Scores of the perturbed cells along the effect in the other half, and the spread of controls."""
    score_B, variances = np.empty(len(rows)), list[float]()
    middle = len(rows) // 2
    for these, others in ((slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))):
        direction_G = np.where(target_G, 0.0, standard_BG[rows[others]].mean(axis=0))
        direction_G /= max(float(np.linalg.norm(direction_G)), 1e-12)
        score_B[these] = standard_BG[rows[these]] @ direction_G
        variances.append(float((control_BG @ direction_G).var()))
    return score_B, float(np.sqrt(np.mean(variances)))


def _shrunk(mean_of: NDArray[np.float64], error_of: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """Relative strengths of guides, shrunk to 1 by the share of their spread that chance explains."""
    spread = float(((mean_of - mean) ** 2).mean())
    kept = max(0.0, 1 - float(error_of.mean()) / spread) if spread > 0 else 0.0
    return np.clip(1 + kept * (mean_of / mean - 1), _LEAST_STRENGTH, _MOST_STRENGTH)
