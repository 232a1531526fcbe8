"""Effect of matching: the chosen pairs against random partners of the same key, and of any key.

The same cells get other partners: the cells ``after`` are permuted, among the pairs of one key or among all. So the
three differ in which cells are paired and in nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.sample import SampledPairs
from gpcp.core.intervals import Interval, bootstrap
from gpcp.pairing.rules import MEASURED
from gpcp.sources.index import CellIndex

N_DEALS = 3
"""Random partners of each cell."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Partners:
    """Mean squared change over entries measured in both, and mean Jaccard index of the expressed sets.

    Parameters
    ----------
    square_chosen, square_same_key, square_any_key : Interval
    jaccard_chosen, jaccard_same_key, jaccard_any_key : Interval
    key_buys : Interval
        ``1 - square_same_key / square_any_key``: share of the squared change that the key takes away.
    choice_buys : Interval
        ``1 - square_chosen / square_same_key``: what the choice of a partner within the key takes away beyond it.
    summary : str
        What the key is, and how many of it there are.
    """

    square_chosen: Interval
    square_same_key: Interval
    square_any_key: Interval
    jaccard_chosen: Interval
    jaccard_same_key: Interval
    jaccard_any_key: Interval
    key_buys: Interval
    choice_buys: Interval
    summary: str


def partners(sampled: SampledPairs, match_on: Sequence[str], rng: np.random.Generator) -> Partners:
    """Compare the partners chosen with random ones; intervals by bootstrap over pairs.

    Parameters
    ----------
    sampled : SampledPairs
    match_on : sequence of str
        What makes the key: covariates, and the set of genes measured. Anything else that partners share, such as the
        depth, counts as the choice within the key.
    rng : numpy.random.Generator
    """
    known = [name for name in match_on if name == MEASURED or name in sampled.cells.index.covariates]
    key_P = key_codes(sampled.cells.index, known)[sampled.before_row_P]
    anyone_P = np.zeros(len(sampled), dtype=np.int64)
    deals = [_sums(sampled, np.arange(len(sampled)))]
    deals += [_mean_sums(sampled, key, rng) for key in (key_P, anyone_P)]
    found = bootstrap(np.hstack([np.ones((len(sampled), 1)), *deals]), _statistic, rng)
    return Partners(
        square_chosen=found[0],
        square_same_key=found[1],
        square_any_key=found[2],
        jaccard_chosen=found[3],
        jaccard_same_key=found[4],
        jaccard_any_key=found[5],
        key_buys=found[6],
        choice_buys=found[7],
        summary=f"key: {', '.join(known) or 'none'}, {len(np.unique(key_P))} of them; {N_DEALS} random partners a cell",
    )


def key_codes(index: CellIndex, match_on: Sequence[str]) -> NDArray[np.int64]:
    """The number of each cell's key, int64 (B,): equal where all of ``match_on`` are equal."""
    key_B = np.zeros(len(index), dtype=np.int64)
    for name in match_on:
        if name == MEASURED:
            n_codes, code_B = len(index.measured_SG), index.set_B
        else:
            n_codes, code_B = len(index.labels(name).names), index.labels(name).code_B
        both_B = key_B * n_codes + code_B
        key_B = np.unique(both_B, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return key_B


def deal(key_P: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each pair the pair whose cell ``after`` it is given: one of its key, not itself where there is another.

    A random cycle of the pairs of each key: every cell is used once.
    """
    order_P = rng.permutation(len(key_P))
    order_P = order_P[np.argsort(key_P[order_P], kind="stable")]
    key_P = key_P[order_P]
    begins_P = np.concatenate(([True], key_P[1:] != key_P[:-1]))
    first_P = np.flatnonzero(begins_P)[np.cumsum(begins_P) - 1]
    last_P = np.concatenate((begins_P[1:], [True]))
    next_P = np.where(last_P, first_P, np.arange(len(key_P)) + 1)
    given_P = np.empty(len(key_P), dtype=np.int64)
    given_P[order_P] = order_P[next_P]
    return given_P


def _mean_sums(sampled: SampledPairs, key_P: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.mean([_sums(sampled, deal(key_P, rng)) for _ in range(N_DEALS)], axis=0)


def _sums(sampled: SampledPairs, given_P: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each pair, with the partner it is given: squares, entries measured in both, Jaccard index; (P, 3)."""
    held = sampled.cells.held
    rows_P = sampled.after_row_P[given_P]
    measured_SG = held.index.measured_SG
    out_PV = np.empty((len(given_P), 3))
    step = max(1, 2_000_000 // len(held.vocab))
    for start in range(0, len(given_P), step):
        which = slice(start, start + step)
        before, after = held.rows(sampled.before_row_P[which]), held.rows(rows_P[which])
        both_PG = measured_SG[before.index.set_B] & measured_SG[after.index.set_B]
        before_PG, after_PG = before.value_BG.toarray() * both_PG, after.value_BG.toarray() * both_PG
        n_both = ((before_PG > 0) & (after_PG > 0)).sum(axis=1)
        n_either = ((before_PG > 0) | (after_PG > 0)).sum(axis=1)
        out_PV[which, 0] = ((after_PG - before_PG).astype(np.float64) ** 2).sum(axis=1)
        out_PV[which, 1] = both_PG.sum(axis=1)
        # Two cells that express nothing agree.
        out_PV[which, 2] = np.where(n_either > 0, n_both / np.maximum(n_either, 1), 1.0)
    return out_PV


def _statistic(total_RV: NDArray[np.float64]) -> NDArray[np.float64]:
    n_R = total_RV[:, 0]
    square = [total_RV[:, 1 + 3 * i] / np.maximum(total_RV[:, 2 + 3 * i], 1) for i in range(3)]
    jaccard = [total_RV[:, 3 + 3 * i] / n_R for i in range(3)]
    key = 1 - square[1] / np.maximum(square[2], 1e-300)
    choice = 1 - square[0] / np.maximum(square[1], 1e-300)
    return np.column_stack([*square, *jaccard, key, choice])
