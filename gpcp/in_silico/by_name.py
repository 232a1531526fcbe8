"""The perturbations of a screen predicted by name: the mean of each in each cell type, as the file would hold it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.perturbations import AppliedPerturbations
from gpcp.core.predictors import Perturbation, Predictor
from gpcp.core.progress import OnProgress, no_progress
from gpcp.core.random import stream
from gpcp.screens.h5ad_screen import H5adScreen

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

MOST_CONTROLS = 500
"""Controls of a context that a mean is taken over, at most."""

_CONTEXT = "cell_type"
"""The covariate that is a row's own; others that controls are matched on are averaged over."""

_MILLION = 1e6


def predicted_by_name(
    predictor: Predictor,
    screen: H5adScreen,
    *,
    most_controls: int = MOST_CONTROLS,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> "AnnData":
    """What a predictor expects of every perturbation of a screen, in every cell type where the screen has it.

    Parameters
    ----------
    predictor : Predictor
        Of the screen's genes, which reads perturbations by name.
    screen : H5adScreen
    most_controls : int
        Controls of each context that are asked about, drawn by ``seed`` where there are more.
    seed : int
    on_progress : callable
        Called with the number of means done.

    Returns
    -------
    AnnData
        A row for each perturbation and cell type: the mean expression after of controls of the contexts, such as
        batches, in which the screen has it, and of all doses that its cells got there, weighted by its cells. Labels,
        cell types and genes are called as in the file. Of a file of counts values are the controls' mean counts times
        the predicted fold change of mean logarithms, else logarithms as in the file. Of a measured target itself
        nothing is learnt: it has the controls' mean.

    Raises
    ------
    InputError
        The predictor has other genes, does not know a perturbation, or values cannot become counts again.
    """
    import pandas as pd
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    if predictor.vocab != screen.vocab:
        raise InputError(
            f"the predictor has {len(predictor.vocab)} genes and the screen {len(screen.vocab)}, or others: read the "
            "screen with those of the predictor"
        )
    groups = _groups(screen)
    rng = stream(seed, "screen", "controls")
    controls = {
        context: _Controls.of(screen, context, most_controls, rng)
        for context in np.unique(screen.context_N[screen.applied.is_control_B]).tolist()
    }
    place = np.array([row_B[0] for row_B in groups])
    values = np.zeros((len(groups), len(screen.vocab)), dtype=np.float32)
    for done, row_B in enumerate(groups):
        first_E, n_of = _alike(screen, row_B)
        parts = [
            controls[int(screen.context_N[row])].mean_after(predictor, screen.applied.rows(np.array([row])))
            for row in first_E.tolist()
        ]
        values[done] = np.average(parts, axis=0, weights=n_of)
        on_progress(done + 1, len(groups))
    obs: dict[str, Any] = {screen.columns.perturbation: screen.label_N[place]}
    if _CONTEXT in screen.rows.index.covariates:
        obs[screen.columns.contexts[_CONTEXT]] = screen.rows.index.labels(_CONTEXT).text_B[place]
    names = pd.Index([f"mean_{i}" for i in range(len(groups))])
    return AnnData(values, pd.DataFrame(obs, index=names), pd.DataFrame(index=pd.Index(screen.cells.label_G)))


def _groups(screen: H5adScreen) -> list[NDArray[np.int64]]:
    """The perturbed cells of each label in each cell type that have a control, in the order of labels."""
    control_B = screen.applied.is_control_B
    row_B = np.flatnonzero(~control_B & np.isin(screen.context_N, screen.context_N[control_B]))
    if not len(row_B):
        raise InputError("no perturbed cell of the screen has a control of its context")
    key_B = screen.label_N[row_B]
    if _CONTEXT in screen.rows.index.covariates:
        key_B = np.char.add(np.char.add(key_B, "\n"), screen.rows.index.labels(_CONTEXT).text_B[row_B])
    _, code_B = np.unique(key_B, return_inverse=True)
    order = np.argsort(code_B.reshape(-1), kind="stable")
    return np.split(row_B[order], np.flatnonzero(np.diff(code_B.reshape(-1)[order])) + 1)


def _alike(screen: H5adScreen, row_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One of the cells of each context and dose, and how many of them there are."""
    dose_BA: NDArray[np.float64] = np.nan_to_num(screen.applied.dose_BA[row_B].astype(np.float64), nan=np.inf)
    key_BA = np.column_stack([screen.context_N[row_B].astype(np.float64), dose_BA])
    _, first, n_of = np.unique(key_BA, axis=0, return_index=True, return_counts=True)
    return row_B[first], n_of.astype(np.int64)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Controls:
    """Some controls of a context: logarithms, NaN where unmeasured, and totals of counts, if the file holds counts."""

    log_BG: NDArray[np.float32]
    total_B: NDArray[np.float64] | None

    @classmethod
    def of(cls, screen: H5adScreen, context: int, most: int, rng: np.random.Generator) -> "_Controls":
        rows = np.flatnonzero(screen.applied.is_control_B & (screen.context_N == context))
        row_B = np.sort(rng.permutation(rows)[:most])
        cells, total_N = screen.rows.sparse_rows(row_B).dense(), screen.rows.index.total_B
        total_B = None if total_N is None else total_N[row_B]
        if total_B is not None and not np.isfinite(total_B).all():
            raise InputError("totals of counts are not known for all controls, so that answers cannot become counts")
        return cls(log_BG=np.where(cells.measured_BG, cells.expression_BG, np.float32(np.nan)), total_B=total_B)

    def mean_after(self, predictor: Predictor, applied: AppliedPerturbations) -> NDArray[np.float64]:
        """The mean expression after of one perturbation, (G,)."""
        n_genes = self.log_BG.shape[1]
        asked = applied.rows(np.zeros(len(self.log_BG), dtype=np.int64))
        answer_BG = predictor.predict(self.log_BG, Perturbation.named(asked, n_genes))
        after_BG: NDArray[np.float64] = np.where(asked.targets_BG(n_genes), self.log_BG, answer_BG).astype(np.float64)
        # A logarithm of expression is never below 0, whatever a model answers.
        after_G = np.where(np.isnan(self.log_BG), 0.0, np.maximum(after_BG, 0.0)).mean(axis=0)
        return after_G if self.total_B is None else self._counts(after_G, self.total_B)

    def _counts(self, after_G: NDArray[np.float64], total_B: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean counts of the controls times the fold change that mean logarithms show.

        The exponential of a mean logarithm is far below the mean of sparse counts; in the ratio of two of them that
        cancels to first order. Where no control expresses the gene there is no ratio, and the exponential is taken.
        """
        log_BG: NDArray[np.float64] = np.where(np.isnan(self.log_BG), 0.0, self.log_BG).astype(np.float64)
        count_G = (np.expm1(log_BG) * (total_B / _MILLION)[:, None]).mean(axis=0)
        usual_G, found_G = np.expm1(log_BG.mean(axis=0)), np.expm1(after_G)
        expressed_G = usual_G > 0
        fold_G = found_G / np.where(expressed_G, usual_G, 1.0)
        return np.where(expressed_G, count_G * fold_G, found_G * float(total_B.mean()) / _MILLION)
