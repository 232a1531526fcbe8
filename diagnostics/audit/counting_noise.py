"""Share of counting noise in the squared change of pairs, by splitting each cell's counts in two.

A Poisson count split binomially gives two independent Poisson counts of half the mean: two shallow measurements of one
and the same cell. So, with halves 1 and 2 of cells ``i`` and ``j`` of a pair, each normalised anew,

    noise at half depth = E||x_i1 - x_i2||^2 / E||x_i1 - x_j2||^2,

the numerator over both cells, the denominator over all four meetings of halves. Cells of one profile and one depth give
1, cells without noise 0. The share falls with depth, since noise does and the difference of two cells does not: at
full depth it is lower, and this an upper bound.

*Extrapolated to full depth.* Two cells of full depth cannot be made of one, so what doubling the depth does to noise
is taken from a model: a gene's share of a cell's transcripts is Gamma with the mean and variance of that gene over the
cells (moments of proportions, Poisson variance taken off), and given the cell's own count Gamma again. From each such
share two cells are drawn at full depth and two at half, and with ``M`` the mean squares of these, and ``N``, ``D``
those measured within and across cells,

    noise at full depth = N(1/2) M(1) / M(1/2) / D(1).

The model enters as a ratio of two of its own numbers; where it is wrong at both depths alike, that cancels.

Both hold for partners that are independent given their key. Partners chosen by what they express are chosen by their
noise, too: they may differ by less than two measurements of one cell, and half depth is no bound.

What is counted is Poisson: counts that vary more than that from one droplet of the same cell to the next (negative
binomial, dropout) have more noise than this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.sample import SampledPairs
from gpcp.core.intervals import Interval, bootstrap

_BLOCK_ENTRIES = 1_000_000
_MILLION = 1e6
_OFF_WHOLE = 0.05
"""Counts that were rounded to float32 as log1p(TPM) come back as whole numbers to within this."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CountingNoise:
    """Share of the squared change of scored entries that is counting noise.

    Parameters
    ----------
    half_depth : Interval or None
        Measured on halves: an upper bound. None where it is not applicable.
    full_depth : Interval or None
        Extrapolated from halves, by a model.
    summary : str
        What it is based on, or why it is not applicable.
    """

    half_depth: Interval | None
    full_depth: Interval | None
    summary: str


def counting_noise(sampled: SampledPairs, rng: np.random.Generator) -> CountingNoise:
    """Split the cells of some pairs and compare; intervals by bootstrap over pairs."""
    total_B = sampled.cells.index.total_B
    if total_B is None or not sampled.cells.of_counts:
        return _not_applicable("total counts of the cells are not known, so that values cannot be turned into counts")
    known_P = (total_B[sampled.before_row_P] > 0) & (total_B[sampled.after_row_P] > 0)
    if known_P.sum() < 2:
        return _not_applicable("no pair has total counts of both its cells")
    rows_P = np.flatnonzero(known_P)
    before = _counts(sampled.pairs.before_BG[rows_P], total_B[sampled.before_row_P[rows_P]])
    after = _counts(sampled.pairs.after_BG[rows_P], total_B[sampled.after_row_P[rows_P]])
    if before is None or after is None:
        return _not_applicable("values times totals are no whole counts: not log1p(TPM) of a UMI assay")
    shares, scored_PG = gamma_shares([before, after]), sampled.pairs.scored_BG[rows_P]
    step = max(1, _BLOCK_ENTRIES // scored_PG.shape[1])
    blocks = [slice(start, start + step) for start in range(0, len(rows_P), step)]
    sum_PV = np.concatenate(
        [_block_sums(before.rows(block), after.rows(block), scored_PG[block], shares, rng) for block in blocks]
    )
    if not (sum_PV.sum(axis=0) > 0).all():
        return _not_applicable("no scored entry of these pairs has a count to split")
    half, full = bootstrap(sum_PV, _shares_of_noise, rng)
    return CountingNoise(
        half_depth=half,
        full_depth=full,
        summary=f"counting noise: {len(rows_P):,} of {len(sampled):,} pairs have total counts and were split; "
        f"median total {float(np.median(total_B[sampled.before_row_P[rows_P]])):,.0f}",
    )


def _shares_of_noise(total_RV: NDArray[np.float64]) -> NDArray[np.float64]:
    """At half depth and at full depth, (R, 2), from sums in the order of :func:`_block_sums`."""
    within, across, model_full, model_half, full = total_RV.T
    tiny = 1e-300
    deeper = model_full / np.maximum(model_half, tiny)
    return np.column_stack([within / np.maximum(across, tiny), within * deeper / np.maximum(full, tiny)])


def _not_applicable(why: str) -> CountingNoise:
    return CountingNoise(half_depth=None, full_depth=None, summary=f"counting noise: not applicable, {why}")


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Counts:
    """Counts of some cells.

    Parameters
    ----------
    gene_PG : int64, (P, G)
    other_P : int64, (P,)
        Of all other genes together.
    """

    gene_PG: NDArray[np.int64]
    other_P: NDArray[np.int64]

    @property
    def total_P(self) -> NDArray[np.int64]:
        """Of all genes."""
        return self.gene_PG.sum(axis=1) + self.other_P

    def rows(self, which: slice) -> "Counts":
        """Some of the cells."""
        return Counts(gene_PG=self.gene_PG[which], other_P=self.other_P[which])

    def split(self, rng: np.random.Generator) -> "tuple[Counts, Counts]":
        """Two halves, each count assigned to one of them at random."""
        gene_PG = rng.binomial(self.gene_PG, 0.5).astype(np.int64)
        other_P = rng.binomial(self.other_P, 0.5).astype(np.int64)
        return (
            Counts(gene_PG=gene_PG, other_P=other_P),
            Counts(gene_PG=self.gene_PG - gene_PG, other_P=self.other_P - other_P),
        )

    def log_PG(self) -> NDArray[np.float64]:
        """log1p(counts per million) of each cell's own total."""
        return np.log1p(self.gene_PG * (_MILLION / np.maximum(self.total_P, 1))[:, None])


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GammaShares:
    """The distribution of a gene's share of a cell's transcripts.

    Parameters
    ----------
    mean_G, variance_G : float64, (G,)
        Over cells; a variance of 0 is one share for all.
    """

    mean_G: NDArray[np.float64]
    variance_G: NDArray[np.float64]

    def draw(self, counts: Counts, rng: np.random.Generator) -> NDArray[np.float64]:
        """Expected counts of each cell, (P, G), drawn given its own counts.

        Gamma with shape ``mean^2 / variance`` and rate ``mean / variance`` before, and the count and the total more
        after the count is seen.
        """
        total_P = counts.total_P.astype(np.float64)
        variance_G = np.maximum(self.variance_G, 1e-12 * self.mean_G**2)
        rate_G = np.divide(self.mean_G, variance_G, out=np.ones_like(self.mean_G), where=variance_G > 0)
        shape_PG = self.mean_G * rate_G + counts.gene_PG
        share_PG = rng.standard_gamma(shape_PG) / (rate_G + total_P[:, None])
        return share_PG * total_P[:, None]


def gamma_shares(cells: Sequence[Counts]) -> GammaShares:
    """Moments of proportions: ``variance = (sum (c - T m)^2 - sum T m) / sum T^2``, not below 0."""
    count_PG = np.concatenate([part.gene_PG for part in cells])
    total_P = np.concatenate([part.total_P for part in cells]).astype(np.float64)
    mean_G = count_PG.sum(axis=0) / total_P.sum()
    excess_G = ((count_PG - total_P[:, None] * mean_G) ** 2).sum(axis=0) - total_P.sum() * mean_G
    return GammaShares(mean_G=mean_G, variance_G=np.maximum(excess_G, 0.0) / (total_P**2).sum())


def _counts(value_PG: NDArray[np.float32], total_P: NDArray[np.float64]) -> Counts | None:
    """``expm1(value) / 1e6 * total``, or None where these are no whole numbers."""
    count_PG = np.expm1(value_PG.astype(np.float64)) / _MILLION * total_P[:, None]
    whole_PG = np.rint(count_PG)
    # A float32 logarithm near 10 is off by up to 5e-7, and the count by as large a share of itself.
    off_PG = np.abs(count_PG - whole_PG) > _OFF_WHOLE + 2e-6 * count_PG
    if (off_PG | ((value_PG > 0) & (whole_PG < 1))).any():
        return None
    other_P = np.maximum(np.rint(total_P) - whole_PG.sum(axis=1), 0)
    return Counts(gene_PG=whole_PG.astype(np.int64), other_P=other_P.astype(np.int64))


def _block_sums(
    before: Counts, after: Counts, scored_PG: NDArray[np.bool_], shares: GammaShares, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Squares of each pair, (P, 5): within, across at half depth; the model's at full, at half; across at full."""

    def square_P(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return (np.where(scored_PG, one - other, 0.0) ** 2).sum(axis=1)

    halves = [[half.log_PG() for half in cell.split(rng)] for cell in (before, after)]
    model: list[list[NDArray[np.float64]]] = []
    for cell in (before, after):
        mean_PG = shares.draw(cell, rng)
        for depth in (1.0, 0.5):
            drawn = [
                Counts(gene_PG=rng.poisson(depth * mean_PG), other_P=rng.poisson(depth * cell.other_P))
                for _ in range(2)
            ]
            model.append([one.log_PG() for one in drawn])
    return np.column_stack(
        [
            np.mean([square_P(*pair) for pair in halves], axis=0),
            np.mean([square_P(one, other) for one in halves[0] for other in halves[1]], axis=0),
            np.mean([square_P(*pair) for pair in model[::2]], axis=0),
            np.mean([square_P(*pair) for pair in model[1::2]], axis=0),
            square_P(before.log_PG(), after.log_PG()),
        ]
    )
