"""Shares of the loss's entries by where the gene is expressed: in both cells, in one, in neither."""

from dataclasses import dataclass
from typing import final

import numpy as np

from diagnostics.audit.sample import SampledPairs
from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, bootstrap


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressedShares:
    """Shares of entries, a pair's gene each.

    Parameters
    ----------
    measured : Interval
        Of all entries, those measured in both cells: the others can teach nothing.
    both, one, neither : Interval
        Of the scored entries, those expressed (value above 0) in both cells, in one, in neither; they sum to 1.
    neither_by_chance : float
        The null: ``sum_g w_g (1 - p_g)^2``, with ``p_g`` the gene's share of expressing cells and ``w_g`` its share of
        the scored entries: what ``neither`` would be for any two cells that measure the gene.
    n_silent : int
        Genes that are scored and expressed in no cell of the pairs.
    """

    measured: Interval
    both: Interval
    one: Interval
    neither: Interval
    neither_by_chance: float
    n_silent: int


def expressed_shares(sampled: SampledPairs, rng: np.random.Generator) -> ExpressedShares:
    """Count the entries of some pairs; intervals by bootstrap over pairs.

    Raises
    ------
    InputError
        No entry is scored.
    """
    pairs = sampled.pairs
    scored_PG = pairs.scored_BG
    if not scored_PG.any():
        raise InputError("no entry of these pairs is scored: every gene measured in both is perturbed; perturb fewer")
    before_PG, after_PG = pairs.before_BG > 0, pairs.after_BG > 0
    sums = (
        pairs.measured_BG.sum(axis=1),
        np.full(len(pairs), scored_PG.shape[1]),
        (scored_PG & before_PG & after_PG).sum(axis=1),
        (scored_PG & (before_PG != after_PG)).sum(axis=1),
        (scored_PG & ~before_PG & ~after_PG).sum(axis=1),
        scored_PG.sum(axis=1),
    )
    measured, both, one, neither = bootstrap(
        np.stack(sums, axis=1).astype(np.float64),
        lambda total: np.column_stack([total[:, 0] / total[:, 1], total[:, 2:5] / total[:, 5:6]]),
        rng,
    )
    n_G = pairs.measured_BG.sum(axis=0)
    expressing_G = (before_PG.sum(axis=0) + after_PG.sum(axis=0)) / np.maximum(2 * n_G, 1)
    weight_G = scored_PG.sum(axis=0) / scored_PG.sum()
    return ExpressedShares(
        measured=measured,
        both=both,
        one=one,
        neither=neither,
        neither_by_chance=float(weight_G @ (1 - expressing_G) ** 2),
        n_silent=int(((weight_G > 0) & (expressing_G == 0)).sum()),
    )
