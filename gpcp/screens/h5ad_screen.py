"""``H5adScreen``: the screen in an AnnData file as a source of pairs, a control before and a perturbed cell after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.screens.applied import labelled_cells
from gpcp.screens.conventions import ScreenColumns, screen_columns
from gpcp.screens.pairs import ScreenPairs
from gpcp.screens.splits import SplitBy, hold_out
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files.open_file import opened
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.gene_ids import NAMES, has_ids
from gpcp.sources.sparse import IndexedCells
from gpcp.sources.subsets import OnlyCells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

USUAL_CONTEXT = ("cell_type", "batch", "donor", "dataset")
"""Covariates that a control shares with the perturbed cell, of those that the file has."""

IN_MEMORY_BYTES = 4 * 2**30
"""Of the values of a file, as they are kept: 8 bytes for each that is stored. Those of a larger one stay in it."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenSplit:
    """A screen in two parts that have no cell in common, controls included.

    Parameters
    ----------
    training, held_out : ScreenPairs
    names : tuple of str
        Perturbations, combinations or contexts that are held out; empty where cells alone are.
    summary : str
        How they were split.
    """

    training: ScreenPairs
    held_out: ScreenPairs
    names: tuple[str, ...]
    summary: str


@final
class H5adScreen:
    """A perturbation screen as pairs: each perturbed cell with a control of the same context.

    Meets :class:`gpcp.core.pairs.PairSource`. A model is given which perturbation the cell got, with its kind and dose
    where the file has them, and never a value of the cell after.

    Parameters
    ----------
    path : str, Path or AnnData
    perturbation, guide, dose : str, optional
        Columns of ``obs``; recognised by :func:`gpcp.screens.conventions.screen_columns` where not given.
    control : str or sequence of str, optional
        Labels that mean control.
    separator : str, optional
        What joins the targets of a combination.
    kind : str, optional
        Of :data:`gpcp.core.perturbations.KINDS`, of all perturbations.
    contexts : mapping of str to str, optional
        Columns of ``obs`` by the covariate's name.
    match_on : sequence of str, optional
        Covariates that a control shares with the perturbed cell; those of :data:`USUAL_CONTEXT` that the file has, by
        default.
    doses : bool
        Whether doses are given to models where the file has them.
    genes : sequence of str, optional
        Ids to keep, in this order.
    in_memory : bool, optional
        Whether the values of all cells are kept; else they are read from the file, the rows of each batch anew. By
        default they are kept up to :data:`IN_MEMORY_BYTES`. Batches are the same either way.
    **options
        Of :class:`gpcp.sources.h5ad.cells.H5adCells`, which reads the values. Genes of a file without any Ensembl id go
        by the names in its index, unless a table of symbols is given.

    Attributes
    ----------
    cells : H5adCells
        All labelled cells, controls among them.
    columns : ScreenColumns
        What the columns were taken for.
    applied : AppliedPerturbations
        What was done to each of the cells.
    label_N : str, (N,)
        The label of each, as the file has it.
    guide_N : str, (N,), or None
        The guide of each, where the file has a column of them.
    rows : IndexedCells
        The cells that have a label: those of ``applied`` and ``label_N``.
    provenance : str
        What was read, recognised and left out, in one line.

    Raises
    ------
    InputError
        As the cells' source, as the recognition of columns; or no perturbed cell has a control of its context.
    """

    def __init__(
        self,
        path: "str | Path | AnnData",
        *,
        perturbation: str | None = None,
        control: str | Sequence[str] | None = None,
        separator: str | None = None,
        guide: str | None = None,
        dose: str | None = None,
        kind: str | None = None,
        contexts: Mapping[str, str] | None = None,
        match_on: Sequence[str] | None = None,
        doses: bool = True,
        genes: Sequence[str] | None = None,
        in_memory: bool | None = None,
        **options: Any,
    ) -> None:
        given: dict[str, Any] = {
            "layer": "auto",
            "gene_id": "auto",
            "missing_id": "drop",
            "missing_length": "drop",
        } | options
        with opened(path, modality=given.get("modality")) as file:
            obs, var, name = file.obs, file.var, file.name
            if in_memory is None:
                in_memory = _kept_bytes(file) <= IN_MEMORY_BYTES
            if given["gene_id"] == "auto" and not given.keys() & {"gene_symbol", "gene_table"} and not has_ids(var):
                # Screens call genes by symbols, and so do all tools that read them.
                given["gene_id"] = NAMES
            known = {str(value) for column in _name_columns(var) for value in column}
            self.columns: ScreenColumns = screen_columns(
                obs, name=name, perturbation=perturbation, control=control, separator=separator, guide=guide,
                dose=dose, kind=kind, contexts=contexts, genes=known,
            )  # fmt: skip
        contexts_and_given: dict[str, Any] = {**self.columns.contexts, **given}
        self.cells = H5adCells(path, genes=genes, in_memory=in_memory, **contexts_and_given)
        labelled = labelled_cells(obs, self.columns, _gene_names(var, self.cells))
        self.rows, row_of = _both(self.cells, labelled.row_N)
        applied = labelled.applied.rows(row_of)
        self.label_N: NDArray[np.str_] = labelled.label_N[row_of]
        guide = self.columns.guide
        self.guide_N: NDArray[np.str_] | None = None
        if guide is not None:
            self.guide_N = obs[guide].iloc[labelled.row_N[row_of]].astype(str).to_numpy(dtype=np.str_)
        if not doses:
            applied = _without_doses(applied)
        self.applied = applied
        self.match_on = _match_on(match_on, self.rows)
        self.context_N, self._context_names = _contexts(self.rows, self.match_on)
        everything = np.arange(len(applied), dtype=np.int64)
        self._pairs = self._of(everything)
        n_control = int(applied.is_control_B.sum())
        shared = f"controls of the same {', '.join(self.match_on)}" if self.match_on else "any control"
        found = [
            f"{self._pairs.n_pairs:,} perturbed cells of {len(applied.vocab)} perturbations, {n_control:,} controls"
        ]
        found += [shared, self.columns.summary, *labelled.summary]
        found += [f"{self._pairs.n_alone:,} perturbed cells without a control left out"] if self._pairs.n_alone else []
        found += [] if self.cells.cheap_rows else ["values stay in the file"]
        self.provenance = "; ".join([*found, self.cells.provenance])

    def __repr__(self) -> str:
        return f"H5adScreen({len(self.vocab)} genes: {self.provenance})"

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self.cells.vocab

    @property
    def perturbations(self) -> PerturbationVocab:
        """All perturbations of the screen."""
        return self.applied.vocab

    @property
    def context_name_N(self) -> NDArray[np.str_]:
        """The context of each of the cells, str (N,): what it shares with its control."""
        return self._context_names[self.context_N]

    @property
    def n_pairs(self) -> int:
        """Perturbed cells that have a control."""
        return self._pairs.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> "Iterator[PairBatch]":
        """One pass over all perturbed cells; see :class:`gpcp.screens.pairs.ScreenPairs`."""
        return self._pairs.pairs(batch_size=batch_size, seed=seed)

    def split(
        self, *, by: SplitBy = "cells", names: Sequence[str] = (), share: float = 0.2, seed: int = 0
    ) -> ScreenSplit:
        """A part to train on and one to score; see :func:`gpcp.screens.splits.hold_out`.

        Raises
        ------
        InputError
            As there; or on one side no perturbed cell has a control of its context.
        """
        label_N = np.array(self.applied.labels(), dtype=np.str_)
        target, tokens_of = self.perturbations.target, self.applied.tokens()
        targets = {
            label: tuple(target[token] for token in tokens)
            for label, tokens in dict(zip(label_N.tolist(), tokens_of, strict=True)).items()
        }
        held = hold_out(label_N, targets, self.context_name_N, by=by, names=names, share=share, seed=seed)
        training, scored = (self._of(np.flatnonzero(side)) for side in (~held.held_N, held.held_N))
        return ScreenSplit(training=training, held_out=scored, names=held.names, summary=held.summary)

    def _of(self, row_N: NDArray[np.int64]) -> ScreenPairs:
        is_control_N = self.applied.is_control_B[row_N]
        return ScreenPairs(
            self.rows, self.applied, self.context_N,
            perturbed_N=row_N[~is_control_N], control_N=row_N[is_control_N],
        )  # fmt: skip


def _kept_bytes(file: H5adFile) -> int:
    """What the values of ``X`` take in memory, those that are stored; of a dense matrix all."""
    if "X" not in file.matrices:
        return 0
    matrix = file.matrices["X"]
    return 8 * int(getattr(matrix, "n_stored", np.prod([int(size) for size in matrix.shape])))


def _name_columns(var: Any) -> list[Any]:
    """The index of ``var`` and its columns of text: all that may name a gene."""
    return [var.index, *(var[name] for name in var.select_dtypes(exclude=["number", "bool"]).columns)]


def _gene_names(var: Any, cells: H5adCells) -> dict[str, int]:
    """The token of each gene of the cells by every name that the file has for it alone."""
    token_of_label = {label: token for token, label in enumerate(cells.label_G)}
    tokens = [token_of_label.get(str(label), -1) for label in var.index]
    found: dict[str, int] = {}
    doubtful: set[str] = set()
    for column in _name_columns(var):
        for value, token in zip(column, tokens, strict=True):
            name = str(value)
            if token < 0 or found.get(name, token) != token:
                doubtful |= {name} if name in found else set()
                continue
            found[name] = token
    found |= {gene: token for token, gene in enumerate(cells.vocab.feature_id)}
    return {name: token for name, token in found.items() if name not in doubtful}


def _both(cells: H5adCells, row_N: NDArray[np.int64]) -> tuple[IndexedCells, NDArray[np.int64]]:
    """The cells that have a label, and the place of each among the labelled ones."""
    kept_N = np.intersect1d(cells.index.cell_id_B, row_N)
    if not len(kept_N):
        raise InputError("no cell of the screen has both a label and values")
    some = cells if len(kept_N) == cells.n_cells else OnlyCells(cells, kept_N).indexed()
    assert some is not None
    return some, np.searchsorted(row_N, some.index.cell_id_B)


def _without_doses(applied: AppliedPerturbations) -> AppliedPerturbations:
    nothing = np.full_like(applied.dose_BA, np.nan)
    return replace(applied, dose_BA=nothing)


def _match_on(given: Sequence[str] | None, cells: IndexedCells) -> tuple[str, ...]:
    known = tuple(cells.index.covariates)
    for name in given or ():
        if name not in known:
            raise InputError(f"the screen has no covariate {name!r} to match controls on; {nearest(name, known)}")
    return tuple(given) if given is not None else tuple(name for name in USUAL_CONTEXT if name in known)


def _contexts(cells: IndexedCells, match_on: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """The number of each cell's context, and the name of each."""
    text_N = np.full(len(cells.index), "", dtype=np.str_)
    for name in match_on:
        part_N = cells.index.labels(name).text_B
        text_N = part_N if name == match_on[0] else np.char.add(np.char.add(text_N, ", "), part_N)
    names, code_N = np.unique(text_N, return_inverse=True)
    return code_N.reshape(-1).astype(np.int64), names
