"""The leak alarm of a known world: whether a prediction knows the noise of the very cells that it is scored on.

With the exact mean of each perturbation, the noise of the test cells is what their mean differs by. Nobody who has not
seen these cells can be closer to them than the truth is other than by chance: the prediction's own error and that noise
are independent, and their product, summed over genes, has mean 0. Over perturbations its mean is tested by Student's t.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.evaluation.predictions import Groups

LEVEL = 1e-3
"""p below which a prediction is accused."""

LEAST_PERTURBATIONS = 4
"""Fewer are not tested."""

Means = Mapping[tuple[str, str], NDArray[np.float64]]
"""Exact mean (G,) in the units of the screen, by perturbation and context."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """What the alarm found.

    Parameters
    ----------
    correlation : float
        Of the prediction's error with the noise of the test cells, over genes and perturbations; 1 for a copy.
    p : float
        One-sided; NaN where too few perturbations are tested.
    n : int
        Perturbations in all contexts.
    """

    correlation: float
    p: float
    n: int

    @property
    def accused(self) -> bool:
        """Whether the prediction has seen the test cells."""
        return self.p < LEVEL


def leak_of(screen: ScreenData, split: Split, groups: Groups, *, means: tuple[Means, Means]) -> Leak:
    """Whether an answer depends on the test cells' own noise.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    groups : mapping
        Of the answer.
    means : pair of mappings
        Exact means, for the prediction's error and for the noise. Where they are Monte Carlo means they have to be
        two independent ones: an error that both had would look like a leak.
    """
    errors: list[NDArray[np.float64]] = []
    noises: list[NDArray[np.float64]] = []
    for context in screen.contexts:
        # In units of the controls' spread: that of the test cells goes with their own noise, which would bias the mean.
        spread_G = screen.X_BG[screen.rows(CONTROL, context)].toarray().std(axis=0, dtype=np.float64)
        scale_G = np.divide(1.0, spread_G, out=np.zeros_like(spread_G), where=spread_G > 0)
        for label in screen.in_context(context, split.test):
            real_BG = screen.X_BG[screen.rows(label, context)].toarray().astype(np.float64)
            predicted_G = np.asarray(groups[label, context], dtype=np.float64).mean(axis=0)
            errors.append((predicted_G - means[0][label, context]) * scale_G)
            noises.append((real_BG.mean(axis=0) - means[1][label, context]) * scale_G)
    error_label_G, noise_label_G = np.stack(errors), np.stack(noises)
    # The noise along the error: perturbations with large errors would drown the others otherwise. Only the error's size
    # may be divided by, since the noise does not depend on it; a cosine of skewed noise has no mean of 0.
    along_label = _quotient((error_label_G * noise_label_G).sum(axis=1), np.linalg.norm(error_label_G, axis=1))
    cosine_label = _quotient(along_label, np.linalg.norm(noise_label_G, axis=1))
    return Leak(correlation=float(cosine_label.mean()), p=_p_value(along_label), n=len(along_label))


def _quotient(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _p_value(value: NDArray[np.float64]) -> float:
    """One-sided p of Student's t for a mean above 0."""
    from scipy.special import stdtr

    n = len(value)
    if n < LEAST_PERTURBATIONS:
        return float("nan")
    spread = float(value.std(ddof=1))
    if spread == 0:
        return 0.0 if value.mean() > 0 else 1.0
    return float(stdtr(n - 1, -float(value.mean()) * math.sqrt(n) / spread))
