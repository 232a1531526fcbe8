"""Decomposition of the squared change of pairs into contexts, depth, regression to the mean, and the rest.

Dimension key: ``B`` cells, ``P`` pairs, ``G`` genes, ``Q`` regressors and the target, ``S`` parts, ``L`` labels of a
covariate, ``K`` sets of pairs: all of them, and all but one group, ``V`` values.

For one gene, write ``x = c + e``: the part of a cell's context (type, dataset, ..., depth), and the cell's own part.
Then ``delta = (c_after - c_before) + (e_after - e_before)``. Projected in turn, each on the span of all that came
before it:

1. *change*: on the constant. 0 where a coin decides which cell is before.
2. *each context*: on indicators of the cell after less those of the cell before. 0 where partners share it; matching
   on it takes this part away.
3. *depth*: on differences of ``d`` and ``d^2``, with ``d`` the log total of counts, or, where totals are not known,
   the log number of the *other* genes expressed.
4. *regression to the mean*: on ``before`` and the contexts and depth of the cell before, which together give
   ``e_before``. Where partners are independent given their contexts, ``E[delta | this] = (c_after - c_before) -
   e_before`` with slope -1, so this part is ``Var e``: **exactly half of what the contexts leave**. It is free: any
   model that regresses to the mean has it, whatever else it has learnt.
5. *remains*: ``Var e`` again, the cell after's own. Only this can be won from the perturbation.

The spaces are nested, so the squares add up. Contexts come first, since a difference that matching removes is no
regression to the mean; ``before_alone`` is the other order: the part that ``before`` predicts gene by gene with nothing
else known, ``corr(delta, before)^2``; with correlation ``r`` between partners it is ``(1 - r) / 2``, so 1/2 for
independent partners of one law.

A projection on ``df`` random directions explains ``df s^2`` of pure noise. That much, with ``s^2`` the residual
variance of the gene, is moved from each part to what remains: sums stay, and the parts have no bias under the null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.sample import SampledPairs
from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, jackknife
from gpcp.sources.index import Labels

CONTEXTS = ("cell_type", "tissue", "disease", "dataset", "assay", "donor")
"""In the order in which they are projected on: biology before technique, wide before narrow."""

CHANGE, DEPTH, REGRESSION, REMAINS = "mean change", "depth", "regression to the mean", "remains"
FREE = 0.5
"""What ``before`` alone predicts of the change of independent partners of one law."""

N_GROUPS = 20
MOST_LABELS = 20
"""Labels of a covariate that have a regressor of their own, the commonest; the others share one."""

_TOLERANCE = 1e-8
"""A regressor of which less than this share is new to those before it adds nothing."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The mean squared change of the scored entries, and what it is made of.

    Parameters
    ----------
    mean_square : Interval
        Of ``delta``.
    share_of : mapping of str to Interval
        Shares of it, in the order of projection; the values sum to 1.
    before_alone : Interval
        Share that ``before`` predicts gene by gene with nothing else known; not one of the parts.
    depth_summary : str
        The measure of depth, or why there is none.
    """

    mean_square: Interval
    share_of: Mapping[str, Interval]
    before_alone: Interval
    depth_summary: str


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Regressors:
    """Those that are the same for every gene.

    Parameters
    ----------
    part_of : dict of str to float64 (P, any)
        Of each part, in order.
    own_PL : float64, (P, L)
        Contexts of the cell before.
    depth_summary : str
    log_total : bool
        Whether the depth is among ``part_of``; else each gene has its own, or there is none.
    """

    part_of: Mapping[str, NDArray[np.float64]]
    own_PL: NDArray[np.float64]
    depth_summary: str
    log_total: bool


def decompose(sampled: SampledPairs, rng: np.random.Generator) -> Parts:
    """Take the squared change apart; intervals by a jackknife over 20 random groups of pairs.

    Parameters
    ----------
    sampled : SampledPairs
    rng : numpy.random.Generator
        Deals pairs to groups.

    Raises
    ------
    InputError
        No entry is scored, or no scored entry changes: there is nothing to take apart.
    """
    known = _regressors(sampled)
    names = (*known.part_of, *((DEPTH,) if not known.log_total and sampled.cells.of_counts else ()), REGRESSION)
    group_P = rng.permutation(len(sampled)) % min(N_GROUPS, len(sampled))
    n_rows = int(group_P.max()) + 2
    square_KS, alone_K, n_K = np.zeros((n_rows, len(names) + 1)), np.zeros(n_rows), np.zeros(n_rows)
    scored_PG = sampled.pairs.scored_BG
    for gene in np.flatnonzero(scored_PG.any(axis=0)).tolist():
        rows_P = np.flatnonzero(scored_PG[:, gene])
        column_PQ, step_Q = _columns(sampled, known, gene, rows_P)
        gram_KQQ, n_gene_K = _left_out(column_PQ, group_P[rows_P], n_rows - 1)
        square_KS += adjusted(*sequential_squares(gram_KQQ, step_Q, len(names)), n_gene_K)
        short = np.array([0, len(step_Q) - 1, len(step_Q)])
        simple = sequential_squares(gram_KQQ[:, short][:, :, short], np.array([0, 1]), 2)
        alone_K += adjusted(*simple, n_gene_K)[:, 1]
        n_K += n_gene_K
    total_K = square_KS.sum(axis=1)
    if not n_K[0] or not total_K.all():
        raise InputError("no scored entry of these pairs changes: there is nothing to take apart")
    value_KV = np.column_stack([total_K / n_K, alone_K / total_K, square_KS / total_K[:, None]])
    mean_square, alone, *shares = jackknife(value_KV[0], value_KV[1:])
    return Parts(
        mean_square=mean_square,
        share_of=dict(zip((*names, REMAINS), shares, strict=True)),
        before_alone=alone,
        depth_summary=known.depth_summary,
    )


def sequential_squares(
    gram_KQQ: NDArray[np.float64], step_Q: NDArray[np.int64], n_steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squares of a target explained by each step in turn, by Cholesky elimination of Gram matrices.

    Parameters
    ----------
    gram_KQQ : float64, (K, Q, Q)
        Of the regressors, in order, and then the target.
    step_Q : int64, (Q - 1,)
        To which step each regressor belongs, ascending.
    n_steps : int

    Returns
    -------
    square_KS : float64, (K, n_steps + 1)
        The last is what no regressor explains; a row sums to the target's squares.
    df_KS : float64, (K, n_steps)
        Regressors of each step that were new.
    """
    gram_KQQ = gram_KQQ.copy()
    n_K, target = len(gram_KQQ), gram_KQQ.shape[1] - 1
    size_KQ = np.diagonal(gram_KQQ, axis1=1, axis2=2).copy()
    square_KS, df_KS = np.zeros((n_K, n_steps + 1)), np.zeros((n_K, n_steps))
    for q, step in enumerate(step_Q.tolist()):
        pivot_K = gram_KQQ[:, q, q]
        new_K = pivot_K > _TOLERANCE * size_KQ[:, q]
        row_KQ = np.where(new_K, 1 / np.sqrt(np.where(new_K, pivot_K, 1.0)), 0.0)[:, None] * gram_KQQ[:, q]
        square_KS[:, step] += row_KQ[:, target] ** 2
        df_KS[:, step] += new_K
        gram_KQQ -= row_KQ[:, :, None] * row_KQ[:, None, :]
    square_KS[:, -1] = np.maximum(gram_KQQ[:, target, target], 0.0)
    return square_KS, df_KS


def adjusted(
    square_KS: NDArray[np.float64], df_KS: NDArray[np.float64], n_K: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squares without what so many regressors explain of noise, (K, S); a row keeps its sum.

    A gene with no more rows than regressors is not informative: all of it remains.
    """
    left_K = n_K - df_KS.sum(axis=1)
    enough_K = left_K > 0
    variance_K = square_KS[:, -1] / np.where(enough_K, left_K, 1.0)
    part_KS = np.where(enough_K[:, None], square_KS[:, :-1] - df_KS * variance_K[:, None], 0.0)
    return np.column_stack([part_KS, square_KS.sum(axis=1) - part_KS.sum(axis=1)])


def indicators(labels: Labels) -> NDArray[np.float64]:
    """One column for each of the commonest labels and one for the others, float64 (B, L)."""
    n_L = np.bincount(labels.code_B, minlength=len(labels.names))
    common = np.argsort(-n_L, kind="stable")[:MOST_LABELS]
    position_L = np.full(len(n_L), min(len(common), MOST_LABELS), dtype=np.int64)
    position_L[common] = np.arange(len(common))
    return np.eye(len(common) + 1)[position_L[labels.code_B]]


def _regressors(sampled: SampledPairs) -> _Regressors:
    cells, before_P, after_P = sampled.cells, sampled.before_row_P, sampled.after_row_P
    part_of = {CHANGE: np.ones((len(sampled), 1))}
    own: list[NDArray[np.float64]] = []
    for name in CONTEXTS:
        if name not in cells.index.covariates:
            continue
        indicator_BL = indicators(cells.index.covariates[name])
        part_of[name] = _varying(indicator_BL[after_P] - indicator_BL[before_P])
        own.append(indicator_BL[before_P])
    total_B = cells.index.total_B
    known = cells.of_counts and total_B is not None and bool((total_B > 0).all())
    summary = "depth is the log number of the other genes expressed: total counts are not known of every cell"
    if not cells.of_counts:
        summary = "values below 0 are no counts: there is no measure of depth"
    elif known and total_B is not None:
        basis_BL = _powers(np.log(total_B))
        part_of[DEPTH] = basis_BL[after_P] - basis_BL[before_P]
        own.append(basis_BL[before_P])
        summary = "depth is the log total of counts"
    own_PL = _varying(np.hstack(own)) if own else np.zeros((len(sampled), 0))
    return _Regressors(part_of=part_of, own_PL=own_PL, depth_summary=summary, log_total=known)


def _varying(column_PL: NDArray[np.float64]) -> NDArray[np.float64]:
    return column_PL[:, (column_PL != column_PL[:1]).any(axis=0)]


def _powers(depth_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth and its square about its mean, (B, 2)."""
    centred_B = depth_B - depth_B.mean()
    return np.column_stack([centred_B, centred_B**2])


def _columns(
    sampled: SampledPairs, known: _Regressors, gene: int, rows_P: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Regressors of one gene and then its delta, (rows, Q), and the step of each regressor; ``before`` comes last."""
    before_P = sampled.pairs.before_BG[rows_P, gene].astype(np.float64)
    after_P = sampled.pairs.after_BG[rows_P, gene].astype(np.float64)
    steps = [part_PL[rows_P] for part_PL in known.part_of.values()]
    own = [known.own_PL[rows_P]]
    if not known.log_total and sampled.cells.of_counts:
        n_before_P = sampled.cells.n_expressed_B[sampled.before_row_P[rows_P]] - (before_P > 0)
        n_after_P = sampled.cells.n_expressed_B[sampled.after_row_P[rows_P]] - (after_P > 0)
        basis = _powers(np.log1p(np.concatenate([n_before_P, n_after_P])))
        steps.append(basis[len(rows_P) :] - basis[: len(rows_P)])
        own.append(basis[: len(rows_P)])
    steps.append(np.hstack([*own, before_P[:, None]]))
    step_Q = np.repeat(np.arange(len(steps)), [part.shape[1] for part in steps])
    return np.hstack([*steps, (after_P - before_P)[:, None]]), step_Q


def _left_out(
    column_PQ: NDArray[np.float64], group_P: NDArray[np.int64], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gram matrices of all rows and then without each group, (K, Q, Q), and their numbers of rows."""
    order_P = np.argsort(group_P, kind="stable")
    n_group_K = np.bincount(group_P, minlength=n_groups)
    parts = np.split(column_PQ[order_P], np.cumsum(n_group_K)[:-1])
    gram_KQQ = np.stack([part.T @ part for part in parts])
    all_QQ = gram_KQQ.sum(axis=0)
    n_K = np.concatenate([[len(group_P)], len(group_P) - n_group_K]).astype(np.float64)
    return np.concatenate([all_QQ[None], all_QQ - gram_KQQ]), n_K
