"""Cells: ``CellBatch``, the dense form in which every source gives them, and the protocol ``CellSource``.

``measured`` (could have been seen; a property of the dataset) is not ``expressed`` (value > 0): an unmeasured gene
holds 0, and ``measured_BG`` is False there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, Self, TypeVar, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.html import html_table

_T = TypeVar("_T", bound=np.generic)


class _HasRows(Protocol):
    def __len__(self) -> int: ...
    def rows(self, which: slice | NDArray[np.integer]) -> Self: ...


_Rows = TypeVar("_Rows", bound=_HasRows)

COVARIATES = ("cell_type", "dataset", "assay", "donor", "tissue", "disease", "batch")
"""The names under which sources report what a cell is; a source gives those that it knows."""


def check_array(owner: str, name: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: type) -> None:
    """Refuse an array of another shape or dtype, naming the field and both.

    Raises
    ------
    InputError
        ``owner.name`` has another shape or dtype than stated.
    """
    if array.shape != shape:
        raise InputError(f"{owner}.{name} has shape {array.shape}, expected {shape}")
    if array.dtype != np.dtype(dtype):
        raise InputError(f"{owner}.{name} has dtype {array.dtype}, expected {np.dtype(dtype)}")


def check_expression(
    owner: str,
    name: str,
    expression_BG: NDArray[np.float32],
    measured_BG: NDArray[np.bool_],
    vocab: GeneVocab,
    cell_id_B: NDArray[np.int64],
) -> None:
    """Refuse values that are not finite where measured, or not 0 where unmeasured.

    Raises
    ------
    InputError
        The message names the field, the first offending gene and cell, and the remedy.
    """
    # Nearly always all is well, and two passes over the values say so.
    if np.isfinite(expression_BG).all() and not ((expression_BG != 0) > measured_BG).any():
        return
    for bad_BG, what, remedy in (
        (
            measured_BG & ~np.isfinite(expression_BG),
            "is not finite but measured",
            "mark it unmeasured or mend the value",
        ),
        (~measured_BG & (expression_BG != 0), "is unmeasured but not 0", "store 0 where a gene is unmeasured"),
    ):
        if bad_BG.any():
            cell, gene = (int(i) for i in np.argwhere(bad_BG)[0])
            raise InputError(
                f"{owner}.{name} of gene {vocab.feature_id[gene]} in cell {int(cell_id_B[cell])} is "
                f"{expression_BG[cell, gene]}: it {what}; {remedy}"
            )


def read_only(array: NDArray[_T]) -> NDArray[_T]:
    """A view of ``array`` that refuses to be written; the caller's own array keeps its flags.

    An array that refuses already is given back as it is, so that tables which many batches share stay one object.
    """
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellBatch:
    """Some cells of a source.

    Parameters
    ----------
    vocab : GeneVocab
    expression_BG : float32, (B, G)
        log1p(TPM), or the world's own units for a simulated source; 0 where unmeasured.
    measured_BG : bool, (B, G)
        True where the gene could have been seen.
    cell_id_B : int64, (B,)
        The source's own name for each cell, unique within the source.
    covariates : mapping of str to (B,) arrays of str
        Any of :data:`COVARIATES`.

    Raises
    ------
    InputError
        A field has the wrong shape or dtype, or values that contradict the mask.
    """

    vocab: GeneVocab
    expression_BG: NDArray[np.float32]
    measured_BG: NDArray[np.bool_]
    cell_id_B: NDArray[np.int64]
    covariates: Mapping[str, NDArray[np.str_]] = field(default_factory=dict[str, NDArray[np.str_]])

    def __post_init__(self) -> None:
        shape = (len(self.cell_id_B), len(self.vocab))
        check_array("CellBatch", "cell_id_B", self.cell_id_B, shape[:1], np.int64)
        check_array("CellBatch", "expression_BG", self.expression_BG, shape, np.float32)
        check_array("CellBatch", "measured_BG", self.measured_BG, shape, np.bool_)
        check_expression("CellBatch", "expression_BG", self.expression_BG, self.measured_BG, self.vocab, self.cell_id_B)
        for name, values_B in self.covariates.items():
            if name not in COVARIATES:
                raise InputError(f"CellBatch.covariates[{name!r}] is none of {', '.join(COVARIATES)}")
            if values_B.shape != shape[:1] or values_B.dtype.kind != "U":
                raise InputError(
                    f"CellBatch.covariates[{name!r}] has shape {values_B.shape} and dtype {values_B.dtype}, "
                    f"expected {shape[:1]} of str"
                )
        object.__setattr__(self, "expression_BG", read_only(self.expression_BG))
        object.__setattr__(self, "measured_BG", read_only(self.measured_BG))
        object.__setattr__(self, "cell_id_B", read_only(self.cell_id_B))
        frozen = {name: read_only(values_B) for name, values_B in self.covariates.items()}
        object.__setattr__(self, "covariates", MappingProxyType(frozen))

    def _repr_html_(self) -> str:
        rows = [
            ("expression_BG", f"{self.expression_BG.shape}", f"mean {self.expression_BG[self.measured_BG].mean():.3g}"),
            ("measured_BG", f"{self.measured_BG.shape}", f"{self.measured_BG.mean():.1%} True"),
            *((name, f"{of_B.shape}", f"{len(np.unique(of_B))} kinds") for name, of_B in self.covariates.items()),
        ]
        return html_table(f"CellBatch: {len(self.cell_id_B):,} cells x {len(self.vocab):,} genes", rows)

    @classmethod
    def checked_before(
        cls,
        *,
        vocab: GeneVocab,
        expression_BG: NDArray[np.float32],
        measured_BG: NDArray[np.bool_],
        cell_id_B: NDArray[np.int64],
        covariates: Mapping[str, NDArray[np.str_]],
    ) -> "CellBatch":
        """A batch of arrays whose every promise the caller has checked where they were sparse, at a tenth of the cost.

        For sources inside the library only.
        """
        batch = object.__new__(cls)
        for name, value in (
            ("vocab", vocab),
            ("expression_BG", read_only(expression_BG)),
            ("measured_BG", read_only(measured_BG)),
            ("cell_id_B", read_only(cell_id_B)),
            ("covariates", MappingProxyType({name: read_only(text_B) for name, text_B in covariates.items()})),
        ):
            object.__setattr__(batch, name, value)
        return batch

    def __len__(self) -> int:
        return len(self.cell_id_B)

    def __reduce__(self) -> "tuple[object, ...]":
        """What pickle keeps; a read-only mapping cannot be pickled, a dict can."""
        parts = (self.vocab, self.expression_BG, self.measured_BG, self.cell_id_B, dict(self.covariates))
        return _unpickled, parts

    def rows(self, which: "slice | NDArray[np.integer] | NDArray[np.bool_]") -> "CellBatch":
        """The cells of a slice, of an index array (in its order) or of a bool array."""
        return CellBatch(
            vocab=self.vocab,
            expression_BG=self.expression_BG[which],
            measured_BG=self.measured_BG[which],
            cell_id_B=self.cell_id_B[which],
            covariates={name: values_B[which] for name, values_B in self.covariates.items()},
        )


def _unpickled(
    vocab: GeneVocab,
    expression_BG: NDArray[np.float32],
    measured_BG: NDArray[np.bool_],
    cell_id_B: NDArray[np.int64],
    covariates: Mapping[str, NDArray[np.str_]],
) -> CellBatch:
    return CellBatch(
        vocab=vocab,
        expression_BG=expression_BG,
        measured_BG=measured_BG,
        cell_id_B=cell_id_B,
        covariates=covariates,
    )


@runtime_checkable
class CellSource(Protocol):
    """Where cells come from: a simulator, an AnnData file, the Census."""

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        ...

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """Every cell once, in an order that ``seed`` decides; the last batch may be smaller.

        The same seed gives the same bytes whatever the batch size; another seed gives others.
        """
        ...


def concatenate_cells(batches: Sequence[CellBatch]) -> CellBatch:
    """All cells of some batches as one batch.

    Raises
    ------
    InputError
        There is no batch, or the batches differ in their vocabulary or in the names of their covariates.
    """
    if not batches:
        raise InputError("there is no cell to concatenate: the source is empty")
    if len(batches) == 1:
        return batches[0]
    vocab, names = batches[0].vocab, set(batches[0].covariates)
    if any(batch.vocab != vocab for batch in batches):
        raise InputError("batches of different vocabularies cannot be concatenated")
    if any(set(batch.covariates) != names for batch in batches):
        raise InputError("batches with different covariates cannot be concatenated")
    return CellBatch(
        vocab=vocab,
        expression_BG=np.concatenate([batch.expression_BG for batch in batches]),
        measured_BG=np.concatenate([batch.measured_BG for batch in batches]),
        cell_id_B=np.concatenate([batch.cell_id_B for batch in batches]),
        covariates={name: np.concatenate([batch.covariates[name] for batch in batches]) for name in sorted(names)},
    )


def rebatched_cells(blocks: Iterable[CellBatch], *, batch_size: int) -> Iterator[CellBatch]:
    """The same cells in the same order, in batches of ``batch_size``; the last may be smaller.

    Raises
    ------
    InputError
        ``batch_size`` is below 1.
    """
    return rebatched_rows(blocks, concatenate_cells, batch_size=batch_size)


def rebatched_rows(
    blocks: Iterable[_Rows], concatenate: Callable[[Sequence[_Rows]], _Rows], *, batch_size: int
) -> Iterator[_Rows]:
    """The rows of some blocks, of cells or of pairs, in batches of ``batch_size``; the last may be smaller.

    Raises
    ------
    InputError
        ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: it must be at least 1")
    held: list[_Rows] = []
    for block in blocks:
        held.append(block)
        if sum(map(len, held)) < batch_size:
            continue
        ready = concatenate(held)
        if len(ready) == batch_size:
            yield ready
            held = []
            continue
        whole = len(ready) - len(ready) % batch_size
        for start in range(0, whole, batch_size):
            yield ready.rows(slice(start, start + batch_size))
        # An index array copies: a slice would keep the whole block alive for the sake of its last rows.
        held = [ready.rows(np.arange(whole, len(ready)))] if whole < len(ready) else []
    if held and sum(map(len, held)):
        yield concatenate(held)
