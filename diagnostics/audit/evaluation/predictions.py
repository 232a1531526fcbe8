"""Anyone's predictions as AnnData files: read, checked, and brought to the cells and genes of the screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, read_h5ad, scale_of
from diagnostics.audit.evaluation.emission import same_cells
from gpcp.core.errors import InputError, nearest

Groups = Mapping[tuple[str, str], NDArray[np.float32]]
"""Predicted cells (B, G) in the units of the screen, by perturbation and context."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FilePrediction:
    """An AnnData file of predictions.

    Parameters
    ----------
    name : str
        What it is called in the results.
    path : Path
    """

    name: str
    path: Path


def named_prediction(text: str) -> FilePrediction:
    """``NAME=FILE.h5ad`` as a prediction.

    Raises
    ------
    InputError
        It has no name or no file.
    """
    name, sign, path = text.partition("=")
    if not sign or not name.strip() or not path.strip():
        raise InputError(f"--prediction: {text!r} is not NAME=FILE.h5ad")
    return FilePrediction(name=name.strip(), path=Path(path.strip()))


def predicted_groups(
    prediction: FilePrediction, screen: ScreenData, test: tuple[str, ...], *, rng: np.random.Generator
) -> Groups:
    """The predicted cells of every test perturbation in every context where the screen has it.

    One row for a perturbation is its mean, repeated for as many cells as the screen has; counts are then rounded at
    random. Genes may come in another order; cells of other labels are left out.

    Raises
    ------
    InputError
        A gene or a test perturbation is missing, the label column is, or the values are of another kind than the
        screen's. Nothing is filled in.
    """
    what = f"prediction {prediction.name!r}"
    adata = read_h5ad(prediction.path, what=what)
    columns = screen.columns.perturbation, screen.columns.contexts.get("cell_type")
    return groups_in(adata, screen, test, what=what, columns=columns, rng=rng)


def groups_in(
    adata: Any,
    screen: ScreenData,
    test: tuple[str, ...],
    *,
    what: str,
    columns: tuple[str, str | None],
    rng: np.random.Generator,
) -> Groups:
    """As :func:`predicted_groups`, of an AnnData object, with the columns of perturbations and contexts named."""
    column, context = columns
    label_B = _column(adata, column, what)
    label_B = np.where(np.isin(label_B, screen.columns.controls), CONTROL, label_B).astype(object)
    several = len(screen.contexts) > 1
    context_B = (
        _column(adata, context, what)
        if several and context is not None
        else np.full(len(label_B), screen.contexts[0], dtype=object)
    )
    X_BG = _in_order(adata, screen.genes, what)
    groups: dict[tuple[str, str], NDArray[np.float32]] = {}
    is_mean = True
    for one in screen.contexts:
        for label in screen.in_context(one, test):
            rows = np.flatnonzero((label_B == label) & (context_B == one))
            if not len(rows):
                where = f" in context {one!r}" if several else ""
                known = sorted(set(label_B.tolist()))
                raise InputError(f"{what} has no row of perturbation {label!r}{where}; {nearest(label, known)}")
            is_mean &= len(rows) == 1
            groups[label, one] = X_BG[rows]
    _check_scale(X_BG, screen, what, is_mean=is_mean)
    if not is_mean:
        return groups
    return {
        (label, one): same_cells(
            cell_BG[0].astype(np.float64), len(screen.rows(label, one)), scale=screen.scale, rng=rng
        )
        for (label, one), cell_BG in groups.items()
    }


def _column(adata: Any, column: str, what: str) -> NDArray[np.object_]:
    if column not in adata.obs.columns:
        raise InputError(f"{what} has no column {column!r} in obs; {nearest(column, map(str, adata.obs.columns))}")
    return adata.obs[column].astype(str).to_numpy(dtype=object)


def _in_order(adata: Any, genes: tuple[str, ...], what: str) -> NDArray[np.float32]:
    place_of = {str(gene): i for i, gene in enumerate(adata.var_names)}
    missing = [gene for gene in genes if gene not in place_of]
    if missing:
        raise InputError(
            f"{what} lacks {len(missing)} of {len(genes)} genes, {missing[0]}; {nearest(missing[0], place_of)}"
        )
    X: Any = adata.X
    dense = np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float32)
    return dense[:, [place_of[gene] for gene in genes]]


def _check_scale(X_BG: NDArray[np.float32], screen: ScreenData, what: str, *, is_mean: bool) -> None:
    import scipy.sparse as sp

    if screen.scale == "counts" and is_mean and np.isfinite(X_BG).all() and (X_BG >= 0).all():
        return
    scale = scale_of(sp.csr_array(X_BG), name=what)
    if scale != screen.scale:
        raise InputError(f"{what} holds {scale}, and {screen.name} holds {screen.scale}: predict in the screen's units")
