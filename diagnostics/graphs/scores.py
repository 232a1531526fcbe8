"""Scores of an estimated effect matrix against a *named* target graph.

Entry [i, j] speaks of i -> j, and magnitudes rank: signs are scored apart. The diagonal never counts. A symmetric
target scores each unordered pair once, by the larger magnitude of its two entries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs import rankings
from gpcp.core.errors import InputError, nearest
from gpcp.core.html import html_table
from simulators.graphs.gene_graph import GeneGraph

_T = TypeVar("_T", bound=np.generic)

TARGETS: Mapping[str, Callable[[GeneGraph], NDArray[np.bool_]]] = MappingProxyType(
    {
        "direct": lambda graph: graph.adjacency_GG,
        "ancestors": lambda graph: graph.ancestors_GG(),
        "skeleton": lambda graph: graph.skeleton_GG(),
        "moral": lambda graph: graph.moral_GG(),
    }
)
"""What "the graph" may mean: i -> j, i a proper ancestor of j, i - j, i - j or parents of one child."""

SYMMETRIC = frozenset({"skeleton", "moral"})
"""The targets without direction."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GraphScore:
    """How an effect matrix compares with one target graph.

    Parameters
    ----------
    target : str
        A name of :data:`TARGETS`, or what the caller calls its own target.
    n_entries, n_true : int
        Entries that are scored (unordered pairs if symmetric), and how many of them are edges.
    auprc : float
        Average precision, ties in expectation (:mod:`diagnostics.graphs.rankings`).
    base_rate : float
        Density of the target: the ``auprc`` of a constant score and of an empty one.
    null_95 : float
        95 % quantile of ``auprc`` with the target's labels permuted over the scored entries.
    ci_low, ci_high : float
        95 % percentile interval of ``auprc`` over scored entries drawn anew, edges and non-edges apart. It shows
    how few the edges are; spread over worlds and training seeds comes on top.
    auroc : float or None
        None if every entry is an edge.
    early_precision_ratio : float
        Precision of the best ``n_true`` entries over ``base_rate``, ties in expectation.
    threshold : float
        Magnitudes above it are called edges, for ``shd`` alone; in the units of the score.
    shd : int
        Structural Hamming distance to the target; a reversal counts once.
    sign_agreement : float or None
        Share of edges of known sign whose estimated sign is right; None if no sign was given or none is known.
    """

    target: str
    n_entries: int
    n_true: int
    auprc: float
    base_rate: float
    null_95: float
    ci_low: float
    ci_high: float
    auroc: float | None
    early_precision_ratio: float
    threshold: float
    shd: int
    sign_agreement: float | None

    def _repr_html_(self) -> str:
        rows = [
            ("AUPRC", self.auprc, f"95 % interval {self.ci_low:.3f} .. {self.ci_high:.3f}"),
            ("of shuffled labels", self.base_rate, f"95 % below {self.null_95:.3f}"),
            ("structural Hamming distance", self.shd, f"edges above {self.threshold:.3g}"),
        ]
        return html_table(f"GraphScore: {self.target}, {self.n_true:,} edges in {self.n_entries:,} entries", rows)


def target_graph(graph: GeneGraph, target: str) -> NDArray[np.bool_]:
    """The named target of a graph, bool (G, G) with an empty diagonal.

    Raises
    ------
    InputError
        There is no such target; the message names the nearest.
    """
    if target not in TARGETS:
        raise InputError(f"target {target!r} is not a target graph; {nearest(target, TARGETS)}")
    true_GG = np.array(TARGETS[target](graph), dtype=np.bool_)
    np.fill_diagonal(true_GG, False)
    return true_GG


def structural_hamming_distance(first_GG: NDArray[np.bool_], second_GG: NDArray[np.bool_]) -> int:
    """Fewest edges to add, delete or reverse that turn one directed graph into the other.

    Parameters
    ----------
    first_GG, second_GG : bool, (G, G)
        True where i -> j; the diagonals are ignored. Both directions at once are two edges.

    Returns
    -------
    int
        A metric: a shortest path in the graph of edits.
    """
    extra_GG = first_GG & ~second_GG
    missing_GG = second_GG & ~first_GG
    off_GG = ~np.eye(len(first_GG), dtype=np.bool_)
    # i -> j there and j -> i here, with nothing shared between the two genes, is one edit instead of two.
    n_reversed = int(np.count_nonzero(extra_GG & missing_GG.T & off_GG))
    return int(np.count_nonzero((extra_GG | missing_GG) & off_GG)) - n_reversed


def entries(matrix_GG: NDArray[_T], *, symmetric: bool) -> NDArray[_T]:
    """The scored entries (E,): off the diagonal, or above it if symmetric; always in the same order."""
    n_genes = len(matrix_GG)
    return matrix_GG[np.triu_indices(n_genes, 1)] if symmetric else matrix_GG[~np.eye(n_genes, dtype=np.bool_)]


def _stronger(matrix_GG: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each unordered pair set to its entry of larger magnitude, to 0 where two equal ones disagree in sign."""
    gap_GG = np.abs(matrix_GG) - np.abs(matrix_GG.T)
    return np.where(gap_GG > 0, matrix_GG, np.where(gap_GG < 0, matrix_GG.T, (matrix_GG + matrix_GG.T) / 2))


def _checked(name: str, matrix_GG: NDArray[np.floating], n_genes: int) -> NDArray[np.float64]:
    if matrix_GG.shape != (n_genes, n_genes):
        raise InputError(f"{name} has shape {matrix_GG.shape}, expected {(n_genes, n_genes)}")
    checked_GG = matrix_GG.astype(np.float64)
    np.fill_diagonal(checked_GG, 0.0)
    if not np.isfinite(checked_GG).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(checked_GG))[0])
        raise InputError(f"{name}[{i}, {j}] is {checked_GG[i, j]}: give every pair of genes a finite score")
    return checked_GG


def score_matrix(
    score_GG: NDArray[np.floating],
    true_GG: NDArray[np.bool_],
    *,
    target: str,
    symmetric: bool,
    threshold: float,
    rng: np.random.Generator,
    signed_GG: NDArray[np.floating] | None = None,
    true_sign_GG: NDArray[np.floating] | None = None,
    n_permutations: int = 1000,
    n_bootstraps: int = 1000,
) -> GraphScore:
    """Score a matrix against any target matrix; :func:`score_graph` does it for a known graph.

    Parameters
    ----------
    score_GG : float, (G, G)
        Its magnitude ranks the entries.
    true_GG : bool, (G, G)
        The target's edges; symmetric if ``symmetric``, which scores unordered pairs.
    target : str
        What the target is called.
    threshold, rng
        As in :func:`score_graph`.
    signed_GG, true_sign_GG : float, (G, G), optional
        Estimated effects, and a matrix whose signs are the true ones (0 where unknown).
    n_permutations, n_bootstraps : int

    Raises
    ------
    InputError
        Wrong shapes, a score that is not finite, a target without edges, a negative threshold, no resamplings.
    """
    if not (np.isfinite(threshold) and threshold >= 0):
        raise InputError(f"threshold is {threshold}: it must be finite and not negative")
    if n_permutations < 1 or n_bootstraps < 1:
        raise InputError(f"n_permutations is {n_permutations} and n_bootstraps {n_bootstraps}: each must be at least 1")
    strength_GG = _strength(score_GG, true_GG, target, symmetric=symmetric)
    score_E, true_E = entries(strength_GG, symmetric=symmetric), entries(true_GG, symmetric=symmetric)
    base_rate = float(true_E.mean())
    null_R = rankings.null_average_precision(score_E, true_E, n_permutations=n_permutations, rng=rng)
    boot_R = rankings.bootstrap_average_precision(score_E, true_E, n_bootstraps=n_bootstraps, rng=rng)
    shd = structural_hamming_distance(strength_GG > threshold, true_GG)
    return GraphScore(
        target=target,
        n_entries=len(true_E),
        n_true=int(np.count_nonzero(true_E)),
        auprc=rankings.average_precision(score_E, true_E),
        base_rate=base_rate,
        null_95=float(np.quantile(null_R, 0.95)),
        ci_low=float(np.quantile(boot_R, 0.025)),
        ci_high=float(np.quantile(boot_R, 0.975)),
        auroc=rankings.auroc(score_E, true_E),
        early_precision_ratio=rankings.early_precision(score_E, true_E) / base_rate,
        threshold=float(threshold),
        shd=shd // 2 if symmetric else shd,
        sign_agreement=_sign_agreement(signed_GG, true_sign_GG, true_GG, symmetric=symmetric),
    )


def auprc_of(score_GG: NDArray[np.float64], true_GG: NDArray[np.bool_]) -> float:
    """Average precision of magnitudes, by the conventions of :func:`score_matrix`."""
    symmetric = bool((true_GG == true_GG.T).all())
    strength_GG = np.abs(score_GG)
    if symmetric:
        strength_GG = np.maximum(strength_GG, strength_GG.T)
    score_E = entries(strength_GG, symmetric=symmetric).astype(np.float64)
    return rankings.average_precision(score_E, entries(true_GG, symmetric=symmetric).astype(np.bool_))


def _strength(
    score_GG: NDArray[np.floating], true_GG: NDArray[np.bool_], target: str, *, symmetric: bool
) -> NDArray[np.float64]:
    """Magnitudes as they rank, checked against the target; symmetric if it is."""
    strength_GG = np.abs(_checked("score_GG", score_GG, len(true_GG)))
    if not entries(true_GG, symmetric=False).any():
        raise InputError(f"target {target!r} has no edge among the {len(true_GG)} genes: nothing can be recovered")
    if not symmetric:
        return strength_GG
    if (true_GG != true_GG.T).any():
        raise InputError(f"target {target!r} is scored as symmetric, but true_GG is not")
    return np.maximum(strength_GG, strength_GG.T)


def _sign_agreement(
    signed_GG: NDArray[np.floating] | None,
    true_sign_GG: NDArray[np.floating] | None,
    true_GG: NDArray[np.bool_],
    *,
    symmetric: bool,
) -> float | None:
    if signed_GG is None or true_sign_GG is None:
        return None
    estimate_GG = _checked("signed_GG", signed_GG, len(true_GG))
    truth_GG = _checked("true_sign_GG", true_sign_GG, len(true_GG))
    if symmetric:
        estimate_GG, truth_GG = _stronger(estimate_GG), _stronger(truth_GG)
    known_E = entries(true_GG & (truth_GG != 0), symmetric=symmetric)
    if not known_E.any():
        return None
    agree_E = entries(np.sign(estimate_GG) == np.sign(truth_GG), symmetric=symmetric)
    return float(agree_E[known_E].mean())


def score_graph(
    score_GG: NDArray[np.floating],
    graph: GeneGraph,
    target: str,
    *,
    threshold: float,
    rng: np.random.Generator,
    signed_GG: NDArray[np.floating] | None = None,
    true_sign_GG: NDArray[np.floating] | None = None,
    n_permutations: int = 1000,
    n_bootstraps: int = 1000,
) -> GraphScore:
    """Score a matrix against the named target of a known graph.

    Parameters
    ----------
    score_GG : float, (G, G)
        [i, j] speaks of i -> j; its magnitude ranks.
    graph : GeneGraph
        Its genes in the order of the matrix.
    target : str
        One of :data:`TARGETS`.
    threshold : float
        Magnitudes above it are called edges, for the SHD alone.
    rng : Generator
        For the permutations and the bootstrap.
    signed_GG : float, (G, G), optional
        Estimated effects whose signs are scored; without it ``sign_agreement`` is None.
    true_sign_GG : float, (G, G), optional
        A matrix with the true signs. Without it the graph's weights give those of ``direct`` and ``skeleton``;
        those of total effects and partial correlations depend on more than the graph, so they stay unscored.
    n_permutations, n_bootstraps : int

    Raises
    ------
    InputError
        As :func:`score_matrix` and :func:`target_graph`.
    """
    if true_sign_GG is None and target in {"direct", "skeleton"}:
        true_sign_GG = graph.weight_GG
    return score_matrix(
        score_GG,
        target_graph(graph, target),
        target=target,
        symmetric=target in SYMMETRIC,
        threshold=threshold,
        rng=rng,
        signed_GG=signed_GG,
        true_sign_GG=true_sign_GG,
        n_permutations=n_permutations,
        n_bootstraps=n_bootstraps,
    )
