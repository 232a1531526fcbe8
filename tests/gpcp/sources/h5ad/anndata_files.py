"""AnnData files, written for a test."""

from pathlib import Path
from typing import Any

import anndata
import pandas as pd


def write_cells(path: Path, values: Any, obs: pd.DataFrame, var: pd.DataFrame) -> None:
    """A file with one matrix, and the tables of its rows and columns."""
    anndata.AnnData(X=values, obs=obs, var=var).write_h5ad(path)
