"""AnnData files, written for a test, and what is read of them."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells


def write_cells(path: Path, values: Any, obs: pd.DataFrame, var: pd.DataFrame) -> None:
    """A file with one matrix, and the tables of its rows and columns."""
    anndata.AnnData(X=values, obs=obs, var=var).write_h5ad(path)


def file_of(folder: Path, matrix: Any, *, index: list[str] | None = None, **parts: Any) -> Path:
    """A file of cells ``c0``, ``c1``, ... and genes ``ENSG00000000000``, ...; ``parts`` as for AnnData."""
    n_cells, n_genes = matrix.shape
    obs = pd.DataFrame(parts.pop("obs", {}), index=[f"c{i}" for i in range(n_cells)])
    ids = [f"ENSG{i:011d}" for i in range(n_genes)]
    var = pd.DataFrame(parts.pop("var", {}), index=ids if index is None else index)
    raw = parts.pop("raw", None)
    stored = anndata.AnnData(X=matrix, obs=obs, var=var, **parts)
    if raw is not None:
        stored.raw = raw
    path = folder / "cells.h5ad"
    stored.write_h5ad(path)
    return path


def in_file_order(source: CellSource) -> CellBatch:
    """All cells, by their ids."""
    cells = concatenate_cells(list(source.cells(batch_size=1000, seed=0)))
    return cells.rows(np.argsort(cells.cell_id_B))


def log1p_cpm(counts: NDArray[Any], total: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """By its formula; ``total`` (B,) instead of the sums."""
    total_B1 = counts.sum(axis=1, keepdims=True, dtype=np.float64) if total is None else np.asarray(total)[:, None]
    return np.log1p(1e6 * counts / np.where(total_B1 > 0, total_B1, 1))
