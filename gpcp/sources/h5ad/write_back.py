"""``write_back``: results of single cells, put into the AnnData object that the cells were read from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so


def write_back(
    adata: "AnnData",
    cell_id_B: NDArray[np.integer],
    values: NDArray[Any],
    *,
    key: str,
    columns: Sequence[str] | None = None,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Put one result of each cell into ``obs``, or a row of them into ``obsm``, in the order of the object.

    Parameters
    ----------
    adata : AnnData
        What the cells were read from, by ``H5adCells(adata)`` or from the same file; in memory, not a view.
    cell_id_B : int, (B,)
        Whose result each is, as ``cell_id_B`` of cells or ``after_id_B`` of pairs: rows of the object. In any order, no
        row twice; a row that is not there has no result, which is NaN.
    values : (B,) or (B, K)
        Numbers, or (B,) texts. One dimension goes to ``obs[key]``, two to ``obsm[key]``.
    key : str
    columns : sequence of str, optional
        Names of the K, such as ``vocab.feature_id``: ``obsm[key]`` is then a table.
    about : mapping, optional
        What to know of the result, such as its model and seed; it goes to ``uns[key]``.
    overwrite : bool
        Whether what is there under ``key`` is replaced.

    Raises
    ------
    InputError
        Ids and values do not fit each other or the object, ``key`` is there already, or the object is a view.
    """
    held: Any = adata
    values = np.asarray(values)
    row_B = _rows(held, cell_id_B, values)
    if values.ndim == 1 and columns is not None:
        raise InputError("columns name results of which a cell has several: values of shape (B,) have none")
    if columns is not None and len(columns) != values.shape[1]:
        raise InputError(f"columns names {len(columns)} results, and values has {values.shape[1]} of each cell")
    part = "obs" if values.ndim == 1 else "obsm"
    for name in (part, *(() if about is None else ("uns",))):
        if key in getattr(held, name) and not overwrite:
            raise InputError(f"{name}[{key!r}] is there already: choose another key, or pass overwrite=True")
    getattr(held, part)[key] = _in_order(held, row_B, values, columns)
    if about is not None:
        held.uns[key] = dict(about)


def _rows(held: Any, cell_id_B: NDArray[np.integer], values: NDArray[Any]) -> NDArray[np.int64]:
    """The rows of the object that have a result, checked."""
    if held.is_view:
        raise InputError("the AnnData object is a view, and what is written into one is lost: adata = adata.copy()")
    ids = np.asarray(cell_id_B)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputError(f"cell_id_B has shape {ids.shape} and dtype {ids.dtype}: give a row of whole numbers")
    if values.ndim not in (1, 2) or len(values) != len(ids):
        raise InputError(f"values has shape {values.shape}, and there are {len(ids)} cells: give (B,) or (B, K)")
    if values.dtype.kind not in ("biuf" if values.ndim == 2 else "biufUO"):
        raise InputError(f"values holds {values.dtype}: give numbers, or a row of texts")
    if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < held.n_obs):
        raise InputError(
            f"cell_id_B goes from {ids.min()} to {ids.max()}, and the AnnData object has the rows 0 to "
            f"{held.n_obs - 1}: these are not the cells that were read from it"
        )
    row_B = ids.astype(np.int64)
    found, n_of = np.unique(row_B, return_counts=True)
    if (n_of > 1).any():
        raise InputError(f"cell {found[n_of > 1][0]} has {n_of.max()} results: average them, or choose one")
    return row_B


def _in_order(held: Any, row_B: NDArray[np.int64], values: NDArray[Any], columns: Sequence[str] | None) -> Any:
    """One result for each row of the object, NaN where there is none."""
    import pandas as pd

    table: Any = pd.DataFrame(values if values.ndim == 2 else values[:, None], index=row_B)
    table = table.reindex(range(held.n_obs)).set_axis(held.obs_names, axis=0)
    if values.ndim == 1:
        return table[0].to_numpy()
    return table.to_numpy() if columns is None else table.set_axis(list(columns), axis=1)
