"""How close answers of rank k can come to the exact answer, where only scored entries count.

An answer of rank k says of every pair k numbers, whatever they are, and makes each gene's answer an affine map of them:
``offset_g + number_BD . loading_gK``; a skip connection adds ``slope_g before_Bg``. The least squared distance to a
matrix with holes is found by alternating least squares: never worse than what it began with, but not proved to be the
least. :func:`least_residual` is a bound that no answer of rank k comes below: within a block of pairs and genes where
every entry is scored, offsets and skip are projected out, and what the largest k singular values of the rest leave
(Eckart and Young 1936) is left by every answer. Blocks that share no pair add up.

Where nearly all genes are perturbed, a pair scores few, and few numbers are enough for it: the rank that is needed is
that of the questions that are asked, perturbed genes included, and no property of the world alone.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

_MOST_ROUNDS, _MOST_BLOCKS = 200, 8
_ENOUGH = 1e-5
"""Share of what is left by which a round must still lower it."""

_TINY = 1e-9
"""Ridge on the numbers of a pair with fewer scored genes than numbers, in units of the loadings' mean square."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Wanted:
    """What is to be answered, and what a skip connection gives for nothing.

    Parameters
    ----------
    exact_BG : float64, (B, G)
        The exact answer; what stands where nothing is scored is not read.
    scored_BG : bool, (B, G)
    before_BG : float64, (B, G), optional
        Where there is a skip connection.

    Raises
    ------
    InputError
        Shapes differ, or nothing is scored.
    """

    exact_BG: NDArray[np.float64]
    scored_BG: NDArray[np.bool_]
    before_BG: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        before_BG = self.exact_BG if self.before_BG is None else self.before_BG
        if not self.exact_BG.shape == self.scored_BG.shape == before_BG.shape:
            raise InputError(f"Wanted got arrays of other shapes than {self.exact_BG.shape}: give one entry for each")
        if not self.scored_BG.any():
            raise InputError("Wanted scores no entry: every measured gene is perturbed; perturb fewer")

    @property
    def n_scored(self) -> int:
        """Entries that count."""
        return int(self.scored_BG.sum())


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RankFit:
    """The best answer of one rank that was found.

    Parameters
    ----------
    rank : int
    residual : float
        Its mean squared distance from the exact answer over scored entries.
    number_BD, loading_GD : float64, (B, D), (G, D)
    rest_BG : float64, (B, G)
        The exact answer less this one; 0 where nothing is scored.
    """

    rank: int
    residual: float
    number_BD: NDArray[np.float64]
    loading_GD: NDArray[np.float64]
    rest_BG: NDArray[np.float64]


def rank_fits(wanted: Wanted, most: int, *, share: float = 1.0) -> list[RankFit]:
    """The best answers found of ranks 0, 1, ...

    Each is begun twice: from the one before with the largest thing that it misses, and from the one after.

    Parameters
    ----------
    wanted : Wanted
    most : int
        The last rank; there are never more than genes.
    share : float
        Stop at the first rank that explains this share of what rank 0 leaves.
    """
    n_pairs, n_genes = wanted.exact_BG.shape
    fits = [_begun(wanted, np.zeros((n_pairs, 0)))]
    for _ in range(min(most, n_genes)):
        left_BG, size_G, _ = np.linalg.svd(fits[-1].rest_BG, full_matrices=False)
        fits.append(_alternated(wanted, np.hstack((fits[-1].number_BD, left_BG[:, :1] * size_G[0]))))
        if fits[-1].residual <= (1 - share) * fits[0].residual:
            break
    # Back again: what a fit with one number more has found, without its least, is another beginning.
    for place in range(len(fits) - 2, 0, -1):
        other = _alternated(wanted, _largest(fits[place + 1], fits[place].rank))
        if other.residual < fits[place].residual:
            fits[place] = other
    for place, fit in enumerate(fits[1:]):
        if fits[place].residual < fit.residual:
            fits[place + 1] = _with_nothing_more(fits[place])
    return fits


def _with_nothing_more(fit: RankFit) -> RankFit:
    """The same answers, as answers of the next rank."""
    return RankFit(
        rank=fit.rank + 1,
        residual=fit.residual,
        number_BD=np.pad(fit.number_BD, ((0, 0), (0, 1))),
        loading_GD=np.pad(fit.loading_GD, ((0, 0), (0, 1))),
        rest_BG=fit.rest_BG,
    )


def _largest(fit: RankFit, rank: int) -> NDArray[np.float64]:
    """The numbers, (B, D), of the best approximation of a fit's answers by a lower rank."""
    # The numbers are at right angles and of one size, so that the loadings' directions alone decide.
    turn_DD = np.linalg.svd(fit.loading_GD.T)[0]
    return fit.number_BD @ turn_DD[:, :rank]


def needed_rank(fits: list[RankFit], share: float = 0.99, *, noise: float = 0.0) -> int | None:
    """Least rank whose best answer found explains ``share`` of what rank 0 leaves; None where none of them does.

    ``noise`` is the mean square of the exact answer's own error, where it is simulated: nobody has to explain that.
    """
    enough = (1 - share) * max(fits[0].residual - noise, 0.0) + noise
    return next((fit.rank for fit in fits if fit.residual <= enough), None)


def _begun(wanted: Wanted, number_BD: NDArray[np.float64]) -> RankFit:
    """The best that genes can make of these numbers."""
    rest_BG, loading_GD = _gene_step(wanted, number_BD)
    return RankFit(
        rank=number_BD.shape[1],
        residual=float((rest_BG**2).sum() / wanted.n_scored),
        number_BD=number_BD,
        loading_GD=loading_GD,
        rest_BG=rest_BG,
    )


def _alternated(wanted: Wanted, number_BD: NDArray[np.float64]) -> RankFit:
    fit = _begun(wanted, number_BD)
    for _ in range(_MOST_ROUNDS):
        next_BD = _pair_step(wanted, fit.rest_BG + fit.number_BD @ fit.loading_GD.T, fit.loading_GD)
        # Of equal size and at right angles: the same span of answers, and every regression well posed.
        next_BD = np.linalg.qr(next_BD - next_BD.mean(axis=0))[0] * np.sqrt(len(next_BD))
        other = _begun(wanted, next_BD)
        if not other.residual < fit.residual:
            break
        gained, fit = fit.residual - other.residual, other
        if gained <= _ENOUGH * fit.residual:
            break
    return fit


def _gene_step(wanted: Wanted, number_BD: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each gene's regression on 1, its own value before, and the numbers: what is left, and the loadings."""
    n_pairs, n_genes = wanted.exact_BG.shape
    rest_BG = np.zeros((n_pairs, n_genes))
    loading_GD = np.zeros((n_genes, number_BD.shape[1]))
    for gene in range(n_genes):
        rows = wanted.scored_BG[:, gene]
        if not rows.any():
            continue
        own = [] if wanted.before_BG is None else [wanted.before_BG[rows, gene, None]]
        feature_BF = np.hstack((number_BD[rows], np.ones((int(rows.sum()), 1)), *own))
        want_B = wanted.exact_BG[rows, gene]
        coefficient_F = np.linalg.lstsq(feature_BF, want_B, rcond=None)[0]
        rest_BG[rows, gene] = want_B - feature_BF @ coefficient_F
        loading_GD[gene] = coefficient_F[: number_BD.shape[1]]
    return rest_BG, loading_GD


def _pair_step(wanted: Wanted, partial_BG: NDArray[np.float64], loading_GD: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each pair's numbers by least squares over its scored genes, (B, D)."""
    counts_BG = wanted.scored_BG.astype(np.float64)
    gram_BDD: NDArray[np.float64] = np.einsum("bg,gk,gl->bkl", counts_BG, loading_GD, loading_GD, optimize=True)
    scale = float((loading_GD**2).mean()) or 1.0
    gram_BDD = gram_BDD + _TINY * scale * np.eye(loading_GD.shape[1])
    right_BD = (counts_BG * partial_BG) @ loading_GD
    return np.linalg.solve(gram_BDD, right_BD[..., None])[..., 0].astype(np.float64, copy=False)


def least_residual(wanted: Wanted, rank: int, *, rng: np.random.Generator, n_tries: int = 64) -> float:
    """A mean squared distance over scored entries that no answer of rank ``rank`` comes below.

    Parameters
    ----------
    wanted : Wanted
    rank : int
    rng : numpy.random.Generator
        Draws sets of genes; for each, the pairs that score all of them form a block. The best blocks count.
    n_tries : int
    """
    free_B = np.ones(len(wanted.exact_BG), dtype=np.bool_)
    total = 0.0
    for _ in range(_MOST_BLOCKS):
        found, rows_B = _best_block(wanted, rank, free_B, rng, n_tries)
        if not found > 0:
            break
        total += found
        free_B = free_B & ~rows_B
    return total / wanted.n_scored


def _best_block(
    wanted: Wanted, rank: int, free_B: NDArray[np.bool_], rng: np.random.Generator, n_tries: int
) -> tuple[float, NDArray[np.bool_]]:
    """Of some blocks of pairs that are still free the one that leaves most, and its pairs."""
    n_genes = wanted.exact_BG.shape[1]
    best, best_B = 0.0, np.zeros_like(free_B)
    if rank >= n_genes:
        return best, best_B
    sizes: list[int] = rng.integers(rank + 1, n_genes, size=n_tries - 1, endpoint=True).tolist()
    for size in (n_genes, *sizes):
        genes: NDArray[np.int64] = rng.permutation(n_genes)[:size]
        rows_B: NDArray[np.bool_] = free_B & wanted.scored_BG[:, genes].all(axis=1)
        found = _block_residual(wanted, rank, rows_B, genes) if rows_B.any() else 0.0
        if found > best:
            best, best_B = found, rows_B
    return best, best_B


def _block_residual(wanted: Wanted, rank: int, rows: NDArray[np.bool_], genes: NDArray[np.int64]) -> float:
    """Sum of squares that answers of a rank leave in a block whose entries are all scored."""
    block_BG = wanted.exact_BG[rows][:, genes]
    free = [np.ones((len(block_BG), 1))]
    if wanted.before_BG is not None:
        free.append(wanted.before_BG[rows][:, genes])
    # Offsets and slopes lie in the span of these columns whatever they are: without it only the numbers are left.
    basis_BF = np.linalg.qr(np.hstack(free))[0]
    rest_BG = block_BG - basis_BF @ (basis_BF.T @ block_BG)
    if rest_BG.shape[0] <= basis_BF.shape[1]:
        return 0.0
    size_G = np.linalg.svd(rest_BG, compute_uv=False).astype(np.float64, copy=False)
    return float((size_G[rank:] ** 2).sum())
