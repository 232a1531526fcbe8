"""Decomposition of the squared change of pairs into contexts, depth, regression to the mean, and the rest.

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
    own_PF : float64, (P, F)
        Contexts of the cell before.
    depth_summary : str
    log_total : bool
        Whether the depth is among ``part_of``; else each gene has its own, or there is none.
    """

    part_of: Mapping[str, NDArray[np.float64]]
    own_PF: NDArray[np.float64]
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
    square_RV, alone_R, n_R = np.zeros((n_rows, len(names) + 1)), np.zeros(n_rows), np.zeros(n_rows)
    scored_PG = sampled.pairs.scored_BG
    for gene in np.flatnonzero(scored_PG.any(axis=0)).tolist():
        rows_P = np.flatnonzero(scored_PG[:, gene])
        column_PF, step_F = _columns(sampled, known, gene, rows_P)
        gram_RFF, n_gene_R = _left_out(column_PF, group_P[rows_P], n_rows - 1)
        square_RV += adjusted(*sequential_squares(gram_RFF, step_F, len(names)), n_gene_R)
        short = np.array([0, len(step_F) - 1, len(step_F)])
        simple = sequential_squares(gram_RFF[:, short][:, :, short], np.array([0, 1]), 2)
        alone_R += adjusted(*simple, n_gene_R)[:, 1]
        n_R += n_gene_R
    total_R = square_RV.sum(axis=1)
    if not n_R[0] or not total_R.all():
        raise InputError("no scored entry of these pairs changes: there is nothing to take apart")
    value_RV = np.column_stack([total_R / n_R, alone_R / total_R, square_RV / total_R[:, None]])
    mean_square, alone, *shares = jackknife(value_RV[0], value_RV[1:])
    return Parts(
        mean_square=mean_square,
        share_of=dict(zip((*names, REMAINS), shares, strict=True)),
        before_alone=alone,
        depth_summary=known.depth_summary,
    )


def sequential_squares(
    gram_RFF: NDArray[np.float64], step_F: NDArray[np.int64], n_steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squares of a target explained by each step in turn, by Cholesky elimination of Gram matrices.

    Parameters
    ----------
    gram_RFF : float64, (R, F, F)
        Of the regressors, in order, and then the target.
    step_F : int64, (F - 1,)
        To which step each regressor belongs, ascending.
    n_steps : int

    Returns
    -------
    square_RV : float64, (R, n_steps + 1)
        The last is what no regressor explains; a row sums to the target's squares.
    df_RV : float64, (R, n_steps)
        Regressors of each step that were new.
    """
    gram_RFF = gram_RFF.copy()
    n_R, target = len(gram_RFF), gram_RFF.shape[1] - 1
    size_RF = np.diagonal(gram_RFF, axis1=1, axis2=2).copy()
    square_RV, df_RV = np.zeros((n_R, n_steps + 1)), np.zeros((n_R, n_steps))
    for q, step in enumerate(step_F.tolist()):
        pivot_R = gram_RFF[:, q, q]
        new_R = pivot_R > _TOLERANCE * size_RF[:, q]
        row_RF = np.where(new_R, 1 / np.sqrt(np.where(new_R, pivot_R, 1.0)), 0.0)[:, None] * gram_RFF[:, q]
        square_RV[:, step] += row_RF[:, target] ** 2
        df_RV[:, step] += new_R
        gram_RFF -= row_RF[:, :, None] * row_RF[:, None, :]
    square_RV[:, -1] = np.maximum(gram_RFF[:, target, target], 0.0)
    return square_RV, df_RV


def adjusted(
    square_RV: NDArray[np.float64], df_RV: NDArray[np.float64], n_R: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squares without what so many regressors explain of noise, (R, V); a row keeps its sum.

    A gene with no more rows than regressors is not informative: all of it remains.
    """
    left_R = n_R - df_RV.sum(axis=1)
    enough_R = left_R > 0
    variance_R = square_RV[:, -1] / np.where(enough_R, left_R, 1.0)
    part_RV = np.where(enough_R[:, None], square_RV[:, :-1] - df_RV * variance_R[:, None], 0.0)
    return np.column_stack([part_RV, square_RV.sum(axis=1) - part_RV.sum(axis=1)])


def indicators(labels: Labels) -> NDArray[np.float64]:
    """One column for each of the commonest labels and one for the others, float64 (B, F)."""
    n_of_label = np.bincount(labels.code_B, minlength=len(labels.names))
    common = np.argsort(-n_of_label, kind="stable")[:MOST_LABELS]
    column_of_label = np.full(len(n_of_label), min(len(common), MOST_LABELS), dtype=np.int64)
    column_of_label[common] = np.arange(len(common))
    return np.eye(len(common) + 1)[column_of_label[labels.code_B]]


def _regressors(sampled: SampledPairs) -> _Regressors:
    cells, before_P, after_P = sampled.cells, sampled.before_row_P, sampled.after_row_P
    part_of = {CHANGE: np.ones((len(sampled), 1))}
    own: list[NDArray[np.float64]] = []
    for name in CONTEXTS:
        if name not in cells.index.covariates:
            continue
        indicator_BF = indicators(cells.index.covariates[name])
        part_of[name] = _varying(indicator_BF[after_P] - indicator_BF[before_P])
        own.append(indicator_BF[before_P])
    total_B = cells.index.total_B
    known = cells.of_counts and total_B is not None and bool((total_B > 0).all())
    summary = "depth is the log number of the other genes expressed: total counts are not known of every cell"
    if not cells.of_counts:
        summary = "values below 0 are no counts: there is no measure of depth"
    elif known and total_B is not None:
        basis_BF = _powers(np.log(total_B))
        part_of[DEPTH] = basis_BF[after_P] - basis_BF[before_P]
        own.append(basis_BF[before_P])
        summary = "depth is the log total of counts"
    own_PF = _varying(np.hstack(own)) if own else np.zeros((len(sampled), 0))
    return _Regressors(part_of=part_of, own_PF=own_PF, depth_summary=summary, log_total=known)


def _varying(column_PF: NDArray[np.float64]) -> NDArray[np.float64]:
    return column_PF[:, (column_PF != column_PF[:1]).any(axis=0)]


def _powers(depth_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth and its square about its mean, (B, 2)."""
    centred_B = depth_B - depth_B.mean()
    return np.column_stack([centred_B, centred_B**2])


def _columns(
    sampled: SampledPairs, known: _Regressors, gene: int, rows_P: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Regressors of one gene and then its delta, (rows, F), and the step of each regressor; ``before`` comes last."""
    before_P = sampled.pairs.before_BG[rows_P, gene].astype(np.float64)
    after_P = sampled.pairs.after_BG[rows_P, gene].astype(np.float64)
    steps = [part_PF[rows_P] for part_PF in known.part_of.values()]
    own = [known.own_PF[rows_P]]
    if not known.log_total and sampled.cells.of_counts:
        n_before_P = sampled.cells.n_expressed_B[sampled.before_row_P[rows_P]] - (before_P > 0)
        n_after_P = sampled.cells.n_expressed_B[sampled.after_row_P[rows_P]] - (after_P > 0)
        basis = _powers(np.log1p(np.concatenate([n_before_P, n_after_P])))
        steps.append(basis[len(rows_P) :] - basis[: len(rows_P)])
        own.append(basis[: len(rows_P)])
    steps.append(np.hstack([*own, before_P[:, None]]))
    step_F = np.repeat(np.arange(len(steps)), [part.shape[1] for part in steps])
    return np.hstack([*steps, (after_P - before_P)[:, None]]), step_F


def _left_out(
    column_PF: NDArray[np.float64], group_P: NDArray[np.int64], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gram matrices of all rows and then without each group, (R, F, F), and their numbers of rows."""
    order_P = np.argsort(group_P, kind="stable")
    n_group_R = np.bincount(group_P, minlength=n_groups)
    parts = np.split(column_PF[order_P], np.cumsum(n_group_R)[:-1])
    gram_RFF = np.stack([part.T @ part for part in parts])
    all_FF = gram_RFF.sum(axis=0)
    n_R = np.concatenate([[len(group_P)], len(group_P) - n_group_R]).astype(np.float64)
    return np.concatenate([all_FF[None], all_FF - gram_RFF]), n_R
