"""What is known of cells without reading their expression: ``CellIndex``, with covariates as ``Labels``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import COVARIATES, check_array, read_only
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab

Which: TypeAlias = "slice | NDArray[np.integer] | NDArray[np.bool_]"
"""Some rows: of a slice, of an index array (in its order) or of a bool array."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labels:
    """One covariate of some cells: a few names, and the code of each cell.

    Parameters
    ----------
    names : array of str
        Each once; a name may have no cell.
    code_B : (B,)
        Position in ``names``, of a signed integer type; kept as the smallest that all names need: int8 up to 128.

    Raises
    ------
    InputError
        A code lies outside ``0 .. len(names) - 1``, or a field has the wrong dtype.
    """

    names: NDArray[np.str_]
    code_B: NDArray[np.signedinteger]

    def __post_init__(self) -> None:
        if self.code_B.ndim != 1 or self.code_B.dtype.kind != "i":
            raise InputError(
                f"Labels.code_B has shape {self.code_B.shape} and dtype {self.code_B.dtype}: give a row of integers"
            )
        if self.names.ndim != 1 or self.names.dtype.kind != "U":
            raise InputError(
                f"Labels.names has shape {self.names.shape} and dtype {self.names.dtype}: give a row of str"
            )
        if len(self.code_B) and not (int(self.code_B.min()) >= 0 and int(self.code_B.max()) < len(self.names)):
            raise InputError(
                f"Labels.code_B goes from {self.code_B.min()} to {self.code_B.max()}, but there are {len(self.names)} "
                "names, counted from 0"
            )
        object.__setattr__(self, "names", read_only(self.names))
        smallest = np.min_scalar_type(-max(1, len(self.names)))
        object.__setattr__(self, "code_B", read_only(self.code_B.astype(smallest, copy=False)))

    @classmethod
    def of(cls, text_B: "NDArray[np.str_]") -> "Labels":
        """The labels of some texts; names are sorted."""
        names, code_B = np.unique(text_B, return_inverse=True)
        return cls(names=names, code_B=code_B.reshape(-1))

    @classmethod
    def coded(cls, names: "NDArray[np.str_]", code_B: "NDArray[np.integer]") -> "Labels":
        """The labels of some codes: names sorted, each once, and only those that a cell has."""
        used, place_B = np.unique(code_B, return_inverse=True)
        kept, place_of = np.unique(names[used], return_inverse=True)
        return cls(names=kept, code_B=place_of.reshape(-1)[place_B.reshape(-1)])

    def __len__(self) -> int:
        return len(self.code_B)

    @property
    def text_B(self) -> NDArray[np.str_]:
        """The name of each cell's code, (B,)."""
        if not len(self.names):
            return np.zeros(0, dtype="<U1")
        return self.names[self.code_B]

    def rows(self, which: Which) -> "Labels":
        """Those of some cells; the names stay."""
        # What comes of checked labels needs no check: of a small batch, checks would take most of the time.
        some = object.__new__(Labels)
        object.__setattr__(some, "names", self.names)
        object.__setattr__(some, "code_B", read_only(self.code_B[which]))
        return some


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellIndex:
    """What is known of cells without reading their expression.

    Parameters
    ----------
    vocab : GeneVocab
    cell_id_B : int64, (B,)
        As in :class:`gpcp.core.cells.CellBatch`.
    measured_SG : bool, (S, G)
        The sets of genes that cells were measured for, such as one for each dataset.
    set_B : int32, (B,)
        Each cell's row of ``measured_SG``.
    covariates : mapping of str to Labels
        Any of :data:`gpcp.core.cells.COVARIATES`.
    total_B : float64, (B,), optional
        Counts of each cell over all genes that were sequenced, before any panel was taken; NaN where they are not
        known. With it log1p(TPM) of a UMI assay can be turned back into counts.

    Raises
    ------
    InputError
        A field has the wrong shape or dtype, a set does not exist, or a covariate is unknown.
    """

    vocab: GeneVocab
    cell_id_B: NDArray[np.int64]
    measured_SG: NDArray[np.bool_]
    set_B: NDArray[np.int32]
    covariates: Mapping[str, Labels] = field(default_factory=dict[str, Labels])
    total_B: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = (len(self.cell_id_B),)
        check_array("CellIndex", "cell_id_B", self.cell_id_B, n, np.int64)
        check_array("CellIndex", "measured_SG", self.measured_SG, (len(self.measured_SG), len(self.vocab)), np.bool_)
        check_array("CellIndex", "set_B", self.set_B, n, np.int32)
        if n[0] and not (int(self.set_B.min()) >= 0 and int(self.set_B.max()) < len(self.measured_SG)):
            raise InputError(f"CellIndex.set_B names a set outside 0 .. {len(self.measured_SG) - 1}")
        if self.total_B is not None:
            check_array("CellIndex", "total_B", self.total_B, n, np.float64)
            object.__setattr__(self, "total_B", read_only(self.total_B))
        for name, labels in self.covariates.items():
            if name not in COVARIATES:
                raise InputError(f"CellIndex.covariates names {name!r}; {nearest(name, COVARIATES)}")
            if len(labels) != n[0]:
                raise InputError(f"CellIndex.covariates[{name!r}] has {len(labels)} cells, expected {n[0]}")
        for name in ("cell_id_B", "measured_SG", "set_B"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.cell_id_B)

    def labels(self, name: str) -> Labels:
        """One covariate.

        Raises
        ------
        InputError
            The cells do not have it; the message says which they have.
        """
        if name not in self.covariates:
            known = ", ".join(self.covariates) or "none"
            raise InputError(f"the source gives no covariate {name!r} (it gives: {known})")
        return self.covariates[name]

    def rows(self, which: Which) -> "CellIndex":
        """Some cells: of a slice, of an index array (in its order) or of a bool array. The tables stay."""
        some = object.__new__(CellIndex)
        for name, value in (
            ("vocab", self.vocab),
            ("cell_id_B", read_only(self.cell_id_B[which])),
            ("measured_SG", self.measured_SG),
            ("set_B", read_only(self.set_B[which])),
            ("covariates", {name: labels.rows(which) for name, labels in self.covariates.items()}),
            ("total_B", None if self.total_B is None else read_only(self.total_B[which])),
        ):
            object.__setattr__(some, name, value)
        return some

    def compacted(self) -> "CellIndex":
        """The same cells with a table of no measured set that none of them has."""
        if len(self.measured_SG) <= 1:
            return self
        used_S, set_B = np.unique(self.set_B, return_inverse=True)
        if len(used_S) == len(self.measured_SG):
            return self
        return replace(self, measured_SG=self.measured_SG[used_S], set_B=set_B.reshape(-1).astype(np.int32))

    def with_genes(self, vocab: GeneVocab) -> "CellIndex":
        """The same cells with some of their genes; totals stay those of all genes.

        Raises
        ------
        InputError
            A gene is not among the cells'; the message names the nearest.
        """
        return replace(self, vocab=vocab, measured_SG=self.measured_SG[:, self.vocab.tokens(vocab.feature_id)])


def concatenate_labels(parts: Sequence[Labels]) -> Labels:
    """The labels of some blocks one after the other; a name that several have is one name."""
    if all(part.names is parts[0].names for part in parts):
        return Labels(names=parts[0].names, code_B=np.concatenate([part.code_B for part in parts]))
    names, code_of = np.unique(np.concatenate([part.names for part in parts]), return_inverse=True)
    ends = np.cumsum([len(part.names) for part in parts])[:-1]
    code_B = [code[part.code_B] for part, code in zip(parts, np.split(code_of.reshape(-1), ends), strict=True)]
    return Labels(names=names, code_B=np.concatenate(code_B))


def concatenate_index(parts: Sequence[CellIndex]) -> CellIndex:
    """Some blocks' cells one after the other.

    Raises
    ------
    InputError
        There is no block, or blocks differ in their vocabulary or in the names of their covariates.
    """
    if not parts:
        raise InputError("there is no cell to concatenate: the source is empty")
    first = parts[0]
    if any(part.vocab is not first.vocab and part.vocab != first.vocab for part in parts):
        raise InputError("batches of different vocabularies cannot be concatenated")
    if any(set(part.covariates) != set(first.covariates) for part in parts):
        raise InputError("batches with different covariates cannot be concatenated")
    measured_SG, set_B = _concatenated_sets(parts)
    totals = [part.total_B for part in parts if part.total_B is not None]
    return CellIndex(
        vocab=first.vocab,
        cell_id_B=np.concatenate([part.cell_id_B for part in parts]),
        measured_SG=measured_SG,
        set_B=set_B,
        covariates={name: concatenate_labels([part.covariates[name] for part in parts]) for name in first.covariates},
        total_B=np.concatenate(totals) if len(totals) == len(parts) else None,
    )


def _concatenated_sets(parts: Sequence[CellIndex]) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """One table of measured sets for all blocks, and each cell's row of it."""
    first = parts[0]
    if all(part.measured_SG is first.measured_SG for part in parts):
        return first.measured_SG, np.concatenate([part.set_B for part in parts])
    stacked_SG = np.concatenate([part.measured_SG for part in parts])
    _, first_S, place_S = np.unique(np.packbits(stacked_SG, axis=1), axis=0, return_index=True, return_inverse=True)
    ends = np.cumsum([len(part.measured_SG) for part in parts])[:-1]
    set_B = [place[part.set_B] for part, place in zip(parts, np.split(place_S.reshape(-1), ends), strict=True)]
    return stacked_SG[first_S], np.concatenate(set_B).astype(np.int32)
