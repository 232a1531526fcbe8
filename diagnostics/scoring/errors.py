"""Losses of any predictor on held-out pairs, and whether one is lower than another beyond sampling error.

All scored entries count equally: a loss is the sum of squared errors over scored entries by their number. Pairs are
independent and entries of one pair are not, so standard errors are over pairs.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor, control_of, perturbation_of


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Errors:
    """Squared errors of one predictor on some pairs.

    Parameters
    ----------
    sum_B : float64, (B,)
        Summed over each pair's scored entries.
    n_B : int64, (B,)
        How many those are.
    """

    sum_B: NDArray[np.float64]
    n_B: NDArray[np.int64]

    @property
    def loss(self) -> float:
        """Mean squared error over all scored entries."""
        return float(self.sum_B.sum() / self.n_B.sum())

    @property
    def standard_error(self) -> float:
        """Of :attr:`loss`, as a ratio of two sums over independent pairs."""
        return _ratio_error(self.sum_B, self.n_B)

    def first(self, n: int) -> "Errors":
        """Those of the first ``n`` pairs."""
        return Errors(sum_B=self.sum_B[:n], n_B=self.n_B[:n])

    def below(self, other: "Errors") -> float:
        """Standard errors of the paired difference by which this loss lies below the other's; 0 where both agree."""
        difference_B = other.sum_B - self.sum_B
        error = _ratio_error(difference_B, self.n_B)
        gap = float(difference_B.sum() / self.n_B.sum())
        return gap / error if error > 0 else 0.0


def _ratio_error(sum_B: NDArray[np.float64], n_B: NDArray[np.int64]) -> float:
    """Standard error of ``sum(sum_B) / sum(n_B)`` by linearisation: the residuals ``sum_B - ratio n_B`` are iid."""
    residual_B = sum_B - n_B * (sum_B.sum() / n_B.sum())
    return float(np.sqrt((residual_B**2).sum()) / n_B.sum())


def errors_of(predicted_BG: NDArray[np.floating], pairs: PairBatch) -> Errors:
    """Squared errors of predicted cells ``after``, (B, G); what stands at unscored entries does not matter.

    Raises
    ------
    InputError
        The shape is not that of the pairs, no entry is scored, or a scored prediction is not finite.
    """
    if predicted_BG.shape != pairs.after_BG.shape:
        raise InputError(
            f"predicted_BG has shape {predicted_BG.shape}, expected that of the pairs, {pairs.after_BG.shape}"
        )
    scored_BG = pairs.scored_BG
    if not scored_BG.any():
        raise InputError("no entry of these pairs is scored: every measured gene is perturbed; perturb fewer")
    bad_BG = scored_BG & ~np.isfinite(predicted_BG)
    if bad_BG.any():
        pair, gene = (int(i) for i in np.argwhere(bad_BG)[0])
        raise InputError(f"predicted_BG of gene {pairs.vocab.feature_id[gene]} in pair {pair} is not finite")
    error_BG = np.where(scored_BG, predicted_BG.astype(np.float64) - pairs.after_BG, 0.0)
    return Errors(sum_B=(error_BG**2).sum(axis=1), n_B=scored_BG.sum(axis=1).astype(np.int64))


def predictions(predictor: Predictor, pairs: PairBatch, *, batch_size: int = 2048) -> NDArray[np.float32]:
    """Predicted expression of the cells after, float32 (B, G)."""
    starts = range(0, len(pairs), batch_size)
    parts = [pairs.rows(slice(start, start + batch_size)) for start in starts]
    return np.concatenate([predictor.predict(control_of(part), perturbation_of(part)) for part in parts])


def losses_of(predictor: Predictor, pairs: PairBatch, *, batch_size: int = 2048) -> Errors:
    """Squared errors of a predictor on some pairs; see :func:`errors_of`."""
    return errors_of(predictions(predictor, pairs, batch_size=batch_size), pairs)
