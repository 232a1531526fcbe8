"""``Screen``: what the checks look at: labels and a few numbers of every cell, and the expression of a sample."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.screens.conventions import ScreenColumns
from gpcp.sources.h5ad.kinds import Look

if TYPE_CHECKING:
    import pandas as pd

Values: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"

MISSING = re.compile(r"|nan|none|na|n/a|unassigned|unknown|multiplet|doublet|ambiguous|negative", re.IGNORECASE)
"""Labels of cells of which it is not known what was done to them."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerCell:
    """Numbers of every cell, from one pass over the file.

    Parameters
    ----------
    total_N : float64, (N,)
        Sum of its finite values.
    n_expressed_N : int64, (N,)
        Genes that are not 0.
    n_whole_N : int64, (N,)
        Of these, with a whole number.
    n_bad_N : int64, (N,)
        Values that are not finite.
    hash_N : uint64, (N,)
        The same for cells with the same values of all genes.
    """

    total_N: NDArray[np.float64]
    n_expressed_N: NDArray[np.int64]
    n_whole_N: NDArray[np.int64]
    n_bad_N: NDArray[np.int64]
    hash_N: NDArray[np.uint64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Screen:
    """A screen, as far as the checks need it.

    Parameters
    ----------
    name : str
    obs, var : pandas.DataFrame
    columns : ScreenColumns
    layer : str
    stored : str
        How the matrix is stored: ``"csr"``, ``"csc"`` or ``"dense"``.
    look : Look
        What the values are.
    gene_G : tuple of str
        Names of the genes, in the form in which targets are named where there is one.
    targets_of : mapping of str to tuple of str
        By label.
    label_N : str, (N,)
        ``""`` where there is none.
    kind_N : str, (N,)
        Kind of each cell's perturbation.
    per_cell : PerCell
    measured : tuple of str
        The targets that are measured genes.
    target_values : sparse float32, (N, len(measured))
        Their values in every cell, by columns.
    row_B : int64, (B,)
        The rows of the sample, rising.
    value_BG : sparse float64, (B, G)
        Values of the sample, of the genes ``sampled_G``.
    sampled_G : int64
        Genes of the sample.
    seed : int
    notes : tuple of str
        How the file was read.

    Attributes
    ----------
    control_N, missing_N, perturbed_N : bool, (N,)
        True for controls; for cells without a label that says what was done; for all others.
    n_of : mapping of str to int
        Cells of each label, controls and missing ones left out.
    stratum_N : int64, (N,)
        The context within which cells are compared, as a number.
    """

    name: str
    obs: "pd.DataFrame"
    var: "pd.DataFrame"
    columns: ScreenColumns
    layer: str
    stored: str
    look: Look
    gene_G: tuple[str, ...]
    targets_of: Mapping[str, tuple[str, ...]]
    label_N: NDArray[np.str_]
    kind_N: NDArray[np.str_]
    per_cell: PerCell
    measured: tuple[str, ...]
    target_values: "sp.csc_array[np.float32]"
    row_B: NDArray[np.int64]
    value_BG: Values
    sampled_G: NDArray[np.int64]
    seed: int
    notes: tuple[str, ...]
    control_N: NDArray[np.bool_] = field(init=False)
    missing_N: NDArray[np.bool_] = field(init=False)
    perturbed_N: NDArray[np.bool_] = field(init=False)
    n_of: Mapping[str, int] = field(init=False)
    stratum_N: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        labels, code_N, n_of_label = np.unique(self.label_N, return_inverse=True, return_counts=True)
        control = np.isin(labels, self.columns.controls)
        missing = np.array([MISSING.fullmatch(label.strip()) is not None for label in labels.tolist()]) & ~control
        n_of = dict(zip(labels.tolist(), n_of_label.tolist(), strict=True))
        for name, value in (
            ("control_N", control[code_N]),
            ("missing_N", missing[code_N]),
            ("perturbed_N", ~(control | missing)[code_N]),
            ("n_of", {label: n_of[label] for label in labels[~(control | missing)].tolist()}),
            ("stratum_N", np.unique(self.context("cell_type", "dataset", "donor", "batch"), return_inverse=True)[1]),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.label_N)

    def context(self, *covariates: str) -> NDArray[np.str_]:
        """The covariates of each cell as one text, those that the file has."""
        known = [self.columns.contexts[name] for name in covariates if name in self.columns.contexts]
        parts = [self.obs[column].astype("string").fillna("").to_numpy().astype(str) for column in known]
        joined: NDArray[np.str_] = parts[0] if parts else np.full(len(self), "", dtype="<U1")
        for part in parts[1:]:
            joined = np.char.add(np.char.add(joined, " / "), part)
        return joined

    def value_of(self, target: str) -> NDArray[np.float64]:
        """The values of a measured target in every cell, float64, (N,)."""
        column: Any = self.target_values[:, [self.measured.index(target)]]
        value_N: NDArray[np.float64] = column.toarray().reshape(-1).astype(np.float64)
        return value_N

    def linear(self, value_E: NDArray[np.float64], row_E: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values without logarithm, in the same total for each cell where they are counts."""
        if self.look.kind in ("counts", "fractional"):
            total_N = np.maximum(self.per_cell.total_N, 1e-9)
            return value_E * (np.median(total_N) / total_N[row_E])
        undone_E = self.look.undo(value_E)
        return undone_E if np.isfinite(undone_E).all() else value_E

    @property
    def log_BG(self) -> Values:
        """Log expression of the sample, natural, in one scale for all cells."""
        log_BG = self.value_BG.copy()
        log_BG.data = np.nan_to_num(log_BG.data, nan=0.0, posinf=0.0, neginf=0.0)
        row_E = np.repeat(self.row_B, np.diff(log_BG.indptr))
        log_BG.data = np.log1p(np.maximum(self.linear(log_BG.data, row_E), 0.0))
        return log_BG
