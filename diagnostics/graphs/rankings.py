"""How well a score ranks true entries above false ones, with ties in expectation.

Within a tie every order is equally likely, so after ``r`` entries the number of true ones found is taken at its
expectation over those orders. Average precision is that of this expected curve: a constant score gets the
density, exactly. (The mean of the average precisions over the orders would not: one true entry of two gets .75.)
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

_CHUNK = 4_000_000
"""Most entries that one vectorised step over resamplings holds at a time."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Ranked:
    """Entries sorted from the highest score down, and where each tie starts."""

    true_E: NDArray[np.bool_]
    group_E: NDArray[np.int64]
    start_tie: NDArray[np.int64]

    @property
    def n_tie(self) -> NDArray[np.int64]:
        return np.diff(self.start_tie, append=len(self.true_E))

    @property
    def n_true(self) -> int:
        return int(np.count_nonzero(self.true_E))

    def true_tie(self) -> NDArray[np.int64]:
        return np.add.reduceat(self.true_E, self.start_tie, dtype=np.int64)


def _ranked(score_E: NDArray[np.floating], true_E: NDArray[np.bool_]) -> _Ranked:
    if score_E.shape != true_E.shape or score_E.ndim != 1:
        raise InputError(f"score_E has shape {score_E.shape} and true_E {true_E.shape}: they must be equal and flat")
    if not np.isfinite(score_E).all():
        raise InputError(f"score_E[{int(np.argmin(np.isfinite(score_E)))}] is not finite: score every entry")
    if not true_E.any():
        raise InputError("true_E has no true entry: a ranking of nothing cannot be scored")
    order_E = np.argsort(-score_E, kind="stable")
    sorted_E = score_E[order_E]
    new_E = np.r_[True, sorted_E[1:] != sorted_E[:-1]]
    return _Ranked(
        true_E=np.asarray(true_E[order_E], dtype=np.bool_),
        group_E=np.cumsum(new_E) - 1,
        start_tie=np.flatnonzero(new_E),
    )


def _harmonic(n: int) -> NDArray[np.float64]:
    """Harmonic numbers H_0 .. H_n."""
    return np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, n + 1))))


def _average_precision(
    true_R_tie: NDArray[np.int64], n_R_tie: NDArray[np.int64], harmonic: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision (R,) from the counts of true entries and of all entries in each tie.

    A tie of n entries, p of them true, behind N entries with P true ones, adds at each of its ranks
    r = N + 1 .. N + n the recall q / n_true, q = p / n, at the precision (P + q (r - N)) / r. Summed,
    q (p + (P - q N) (H_{N + n} - H_N)) / n_true. An empty tie adds nothing.
    """
    end_R_tie = np.cumsum(n_R_tie, axis=-1)
    start_R_tie = end_R_tie - n_R_tie
    found_R_tie = np.cumsum(true_R_tie, axis=-1) - true_R_tie
    q_R_tie = true_R_tie / np.maximum(n_R_tie, 1)
    sum_R_tie = q_R_tie * (
        true_R_tie + (found_R_tie - q_R_tie * start_R_tie) * (harmonic[end_R_tie] - harmonic[start_R_tie])
    )
    return sum_R_tie.sum(axis=-1) / true_R_tie.sum(axis=-1)


def average_precision(score_E: NDArray[np.floating], true_E: NDArray[np.bool_]) -> float:
    """Average precision of a score, ties in expectation.

    Parameters
    ----------
    score_E : float, (E,)
        Higher means more likely true.
    true_E : bool, (E,)

    Returns
    -------
    float
        In (0, 1]; the share of true entries if the score is constant.

    Raises
    ------
    InputError
        Shapes differ, a score is not finite, or nothing is true.
    """
    ranked = _ranked(score_E, true_E)
    found_1T = ranked.true_tie()[None]
    return float(_average_precision(found_1T, ranked.n_tie[None], _harmonic(len(true_E)))[0])


def precision_recall(
    score_E: NDArray[np.floating], true_E: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The expected curve: recall (E,) and precision (E,) after 1 .. E entries; see :func:`average_precision`."""
    ranked = _ranked(score_E, true_E)
    found_E = np.cumsum((ranked.true_tie() / ranked.n_tie)[ranked.group_E])
    return found_E / ranked.n_true, found_E / np.arange(1, len(true_E) + 1)


def auroc(score_E: NDArray[np.floating], true_E: NDArray[np.bool_]) -> float | None:
    """Chance that a true entry outranks a false one, a tie counting one half; None if nothing is false."""
    ranked = _ranked(score_E, true_E)
    true_tie = ranked.true_tie()
    false_tie = ranked.n_tie - true_tie
    n_false = int(false_tie.sum())
    if n_false == 0:
        return None
    behind_tie = n_false - np.cumsum(false_tie) + false_tie / 2
    return float(true_tie @ behind_tie / (ranked.n_true * n_false))


def early_precision(score_E: NDArray[np.floating], true_E: NDArray[np.bool_]) -> float:
    """Precision among the best k entries, k the number of true ones, ties in expectation."""
    _, precision_E = precision_recall(score_E, true_E)
    return float(precision_E[np.count_nonzero(true_E) - 1])


def _chunks(n: int, n_entries: int) -> list[int]:
    size = max(1, _CHUNK // n_entries)
    return [min(size, n - start) for start in range(0, n, size)]


def null_average_precision(
    score_E: NDArray[np.floating], true_E: NDArray[np.bool_], *, n_permutations: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Average precision (R,) against labels permuted over the entries: what this score gets by chance."""
    ranked = _ranked(score_E, true_E)
    harmonic = _harmonic(len(true_E))
    null: list[NDArray[np.float64]] = []
    for size in _chunks(n_permutations, len(true_E)):
        true_RE = rng.permuted(np.tile(ranked.true_E, (size, 1)), axis=1)
        true_R_tie = np.add.reduceat(true_RE, ranked.start_tie, axis=1, dtype=np.int64)
        null.append(_average_precision(true_R_tie, ranked.n_tie[None], harmonic))
    return np.concatenate(null) if null else np.empty(0)


def bootstrap_average_precision(
    score_E: NDArray[np.floating], true_E: NDArray[np.bool_], *, n_bootstraps: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Average precision (R,) of entries drawn anew with replacement, true ones and false ones apart.

    Stratified, so that every draw has the density of the data; copies of an entry tie with it.
    """
    ranked = _ranked(score_E, true_E)
    harmonic = _harmonic(len(true_E))
    n_groups = len(ranked.start_tie)

    def drawn(group_chosen: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        if not len(group_chosen):
            return np.zeros((size, n_groups), dtype=np.int64)
        group_R_chosen = group_chosen[rng.integers(len(group_chosen), size=(size, len(group_chosen)))]
        flat = group_R_chosen + n_groups * np.arange(size)[:, None]
        return np.bincount(flat.ravel(), minlength=size * n_groups).reshape(size, n_groups)

    boots: list[NDArray[np.float64]] = []
    for size in _chunks(n_bootstraps, len(true_E)):
        true_R_tie = drawn(ranked.group_E[ranked.true_E], size)
        n_R_tie = true_R_tie + drawn(ranked.group_E[~ranked.true_E], size)
        boots.append(_average_precision(true_R_tie, n_R_tie, harmonic))
    return np.concatenate(boots) if boots else np.empty(0)
