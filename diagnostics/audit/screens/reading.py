"""Reads a screen for the checks: one pass over all cells, and a second for the expression of a sample of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from diagnostics.audit.screens.screen import PerCell, Screen, Values
from gpcp.core.random import stream
from gpcp.screens.conventions import ScreenColumns, screen_columns
from gpcp.screens.known_names import kind_of
from gpcp.screens.label_forms import distinct_labels
from gpcp.screens.labels import targets_of
from gpcp.sources.h5ad.files.compressed import CompressedColumns, CompressedRows
from gpcp.sources.h5ad.files.open_file import opened
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.kinds import Look, look_at

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

MAX_CELLS, MAX_GENES = 30_000, 2_000
"""Cells whose expression is kept, and genes of them."""

SYMBOL_COLUMNS = ("gene_name", "gene_symbol", "gene_symbols", "feature_name", "symbol", "gene_short_name")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What of a screen's meaning is given rather than recognised; see :func:`gpcp.screens.conventions.screen_columns`.

    Parameters
    ----------
    perturbation, control, separator, guide, dose, kind : str or sequence of str, optional
    cell_type, batch : str, optional
        Columns.
    layer : str
        The matrix to check.
    """

    perturbation: str | None = None
    control: Sequence[str] | None = None
    separator: str | None = None
    guide: str | None = None
    dose: str | None = None
    kind: str | None = None
    cell_type: str | None = None
    batch: str | None = None
    layer: str = "X"

    def columns(self, obs: "pd.DataFrame", name: str, genes: Sequence[str]) -> ScreenColumns:
        """What the columns of a file mean."""
        contexts = {"cell_type": self.cell_type, "batch": self.batch}
        return screen_columns(
            obs,
            name=name,
            perturbation=self.perturbation,
            control=self.control,
            separator=self.separator,
            guide=self.guide,
            dose=self.dose,
            kind=self.kind,
            contexts={covariate: column for covariate, column in contexts.items() if column is not None},
            genes=genes,
        )


AS_RECOGNISED = Asked()
"""Nothing is given."""


def read_screen(
    path: "str | Path | AnnData", *, asked: Asked = AS_RECOGNISED, max_cells: int = MAX_CELLS, seed: int = 0
) -> Screen:
    """Read what the checks look at.

    Parameters
    ----------
    path : str, Path or AnnData
    asked : Asked
    max_cells : int
        Cells whose expression is kept; of more, a sample that ``seed`` decides, as many of each label as can be.
    seed : int

    Raises
    ------
    InputError
        The file cannot be read, has no such layer, or its columns are not recognised.
    """
    with opened(path) as file:
        file.check_layer(asked.layer)
        var = file.var_of(asked.layer)
        names = _names(var)
        columns = asked.columns(file.obs, file.name, [name for form in names.values() for name in form])
        label_N = _as_text(file.obs[columns.perturbation])
        labels = distinct_labels(file.obs[columns.perturbation])
        targets = dict(zip(labels, targets_of(labels, columns), strict=True))
        every = {target for some in targets.values() for target in some}
        form, gene_G = max(names.items(), key=lambda one: len(every & set(one[1])))
        token_of = {gene: token for token, gene in reversed(list(enumerate(gene_G)))}
        measured = sorted(every & set(gene_G))
        per_cell, expressed_G, target_values = _pass(file, asked.layer, [token_of[gene] for gene in measured])
        look, stored = _look(file, asked.layer), _stored(file, asked.layer)
        row_B = _chosen(label_N, columns.controls, max_cells, seed)
        sampled_G = np.sort(np.argsort(-expressed_G, kind="stable")[:MAX_GENES])
        value_BG = _rows(file, asked.layer, row_B, sampled_G)
    return Screen(
        name=file.name,
        obs=file.obs,
        var=var,
        columns=columns,
        layer=asked.layer,
        stored=stored,
        look=look,
        gene_G=gene_G,
        targets_of=targets,
        label_N=label_N,
        kind_N=_kinds(file.obs, columns),
        per_cell=per_cell,
        measured=tuple(measured),
        target_values=target_values,
        row_B=row_B,
        value_BG=value_BG,
        sampled_G=sampled_G,
        seed=seed,
        notes=_notes(label_N, row_B, sampled_G, gene_G, form, seed),
    )


def _look(file: H5adFile, layer: str) -> Look:
    """What the values are, those that are not finite left out."""
    sample: Any = sp.vstack([block for _, block in file.blocks(layer, sample=True)], format="csr")
    sample.data[~np.isfinite(sample.data)] = 0.0
    sample.eliminate_zeros()
    return look_at(sample)


def _stored(file: H5adFile, layer: str) -> str:
    """How a matrix is stored."""
    matrix: Any = file.matrices[layer]
    if isinstance(matrix, CompressedRows | CompressedColumns):
        return "csr" if isinstance(matrix, CompressedRows) else "csc"
    return str(getattr(matrix, "format", "dense"))


def _notes(
    label_N: NDArray[np.str_],
    row_B: NDArray[np.int64],
    sampled_G: NDArray[np.int64],
    gene_G: Sequence[str],
    form: str,
    seed: int,
) -> tuple[str, ...]:
    notes = [] if form == "index" else [f"genes are named by the column {form!r} of var"]
    if len(row_B) < len(label_N):
        notes.append(f"expression of a sample of {len(row_B):,} of {len(label_N):,} cells, drawn with seed {seed}")
    if len(sampled_G) < len(gene_G):
        notes.append(f"in the sample, the {len(sampled_G):,} genes that most cells express")
    return tuple(notes)


def _names(var: "pd.DataFrame") -> dict[str, tuple[str, ...]]:
    """The forms in which genes are named, the index first."""
    forms = {"index": tuple(map(str, var.index))}
    return forms | {name: tuple(_as_text(var[name]).tolist()) for name in SYMBOL_COLUMNS if name in var.columns}


def _as_text(column: "pd.Series[Any]") -> NDArray[np.str_]:
    return column.astype("string").fillna("").to_numpy().astype(str)


def _kinds(obs: "pd.DataFrame", columns: ScreenColumns) -> NDArray[np.str_]:
    if columns.kind_column is None:
        return np.full(len(obs), columns.kind)
    word_N = _as_text(obs[columns.kind_column])
    words, code_N = np.unique(word_N, return_inverse=True)
    return np.array([kind_of(word) for word in words.tolist()])[code_N]


def _pass(file: H5adFile, layer: str, tokens: Sequence[int]) -> tuple[PerCell, NDArray[np.int64], Any]:
    """Numbers of every cell, in how many cells each gene is expressed, and the values of some genes."""
    n_cells, n_genes = len(file.obs), len(file.var_of(layer))
    key_G = _mixed(np.arange(1, n_genes + 1, dtype=np.uint64))
    expressed_G = np.zeros(n_genes, dtype=np.int64)
    total_N = np.zeros(n_cells)
    n_expressed_N, n_whole_N, n_bad_N = (np.zeros(n_cells, dtype=np.int64) for _ in range(3))
    hash_N = np.zeros(n_cells, dtype=np.uint64)
    of_targets: list[Any] = [sp.csr_array((0, len(tokens)), dtype=np.float32)]
    for start, block in file.blocks(layer):
        rows = slice(start, start + block.shape[0])
        good_E = np.isfinite(block.data)
        known_E = np.where(good_E, block.data, 0.0)
        row_E = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        n_rows = block.shape[0]
        total_N[rows] = np.bincount(row_E, weights=known_E, minlength=n_rows)
        n_expressed_N[rows] = np.diff(block.indptr)
        whole_E = good_E & (known_E == np.rint(known_E))
        n_whole_N[rows] = np.bincount(row_E, weights=whole_E, minlength=n_rows).astype(np.int64)
        n_bad_N[rows] = np.bincount(row_E, weights=~good_E, minlength=n_rows).astype(np.int64)
        expressed_G += np.bincount(block.indices, minlength=n_genes)
        mixed_E = _mixed(block.data.view(np.uint64) ^ key_G[block.indices])
        summed_E = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed_E, dtype=np.uint64)])
        hash_N[rows] = summed_E[block.indptr[1:]] - summed_E[block.indptr[:-1]]
        if tokens:
            of_targets.append(cast("Any", block[:, list(tokens)]).astype(np.float32))
    per_cell = PerCell(
        total_N=total_N,
        n_expressed_N=n_expressed_N,
        n_whole_N=n_whole_N,
        n_bad_N=n_bad_N,
        hash_N=hash_N,
    )
    return per_cell, expressed_G, sp.csc_array(sp.vstack(of_targets, format="csc"))


def _mixed(word_E: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64: every bit depends on every bit (Steele, Lea and Flood 2014)."""
    word_E = (word_E ^ (word_E >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word_E = (word_E ^ (word_E >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word_E ^ (word_E >> np.uint64(31))


def _chosen(label_N: NDArray[np.str_], controls: Sequence[str], max_cells: int, seed: int) -> NDArray[np.int64]:
    """Rows of a sample: as many of each label as can be, controls five times as many."""
    if len(label_N) <= max_cells:
        return np.arange(len(label_N))
    order_N = stream(seed, "screen", "sample").permutation(len(label_N))
    labels, code_N = np.unique(label_N[order_N], return_inverse=True)
    by_label_N = np.argsort(code_N, kind="stable")
    n_of_label = np.bincount(code_N)
    place_N = np.empty(len(label_N), dtype=np.float64)
    place_N[by_label_N] = np.arange(len(label_N)) - np.repeat(np.cumsum(n_of_label) - n_of_label, n_of_label)
    place_N /= np.where(np.isin(labels, list(controls)), 5.0, 1.0)[code_N]
    return np.sort(order_N[np.argsort(place_N, kind="stable")[:max_cells]])


def _rows(file: H5adFile, layer: str, row_B: NDArray[np.int64], sampled_G: NDArray[np.int64]) -> Values:
    parts: list[Any] = []
    for start, block in file.blocks(layer):
        first, last = np.searchsorted(row_B, (start, start + block.shape[0]))
        if first < last:
            parts.append(cast("Any", block[row_B[first:last] - start])[:, sampled_G])
    return cast("Values", sp.csr_array(sp.vstack(parts, format="csr")))
