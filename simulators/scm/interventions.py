"""Interventions: ``Do``, ``Shift``, ``KnockDown`` on a set of genes, ``DoCells`` cell by cell.

All are, gene by gene, ``x := keep * natural + add``, where ``natural`` is what the gene would have been, given its
(possibly changed) parents and its own noise. Genes and cells that are not named stay untouched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab

PerGene = float | Sequence[float] | NDArray[np.float64]
"""One number for all perturbed genes, or one for each, in their order."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Change:
    """What is done to one gene: ``keep * natural + add`` in the touched cells.

    Parameters
    ----------
    keep : float
        0 cuts the gene off from its parents and its noise.
    add : float, or float64 (B,)
        One number, or one for each cell.
    touched_B : bool (B,), or None
        The cells whose genes are perturbed; None for all.
    """

    keep: float
    add: float | NDArray[np.float64]
    touched_B: NDArray[np.bool_] | None = None

    def apply(self, value_B: NDArray[np.float64], cells: slice) -> None:
        """Change ``value_B``, the natural values of ``cells``, in place."""
        if self.keep == 1 and not np.any(self.add):
            return  # even adding 0 would turn -0.0 into 0.0
        add_B = self._add_of(cells)
        new_B = add_B if self.keep == 0 else self.keep * value_B + add_B
        np.copyto(value_B, new_B, where=True if self.touched_B is None else self.touched_B[cells])

    def natural(self, value_B: NDArray[np.float64], cells: slice) -> NDArray[np.float64]:
        """What the gene would have been where it now is ``value_B``; NaN where ``keep`` 0 has erased it."""
        erased = self.keep == 0
        natural_B = np.full(value_B.shape, np.nan) if erased else (value_B - self._add_of(cells)) / self.keep
        return natural_B if self.touched_B is None else np.where(self.touched_B[cells], natural_B, value_B)

    def _add_of(self, cells: slice) -> NDArray[np.float64]:
        return self.add[cells] if isinstance(self.add, np.ndarray) else np.asarray(self.add, dtype=np.float64)


class Intervention(Protocol):
    """Anything that can say what it does to each gene."""

    def changes(self, vocab: GeneVocab, n_cells: int) -> dict[int, Change]:
        """Change of each perturbed gene by its token; other genes are absent."""
        ...


def _check_genes(owner: str, genes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(genes, str):
        raise InputError(f"{owner}.genes is the text {genes!r}: give a sequence of gene ids, such as ({genes!r},)")
    perturbed = tuple(genes)
    for gene in perturbed:
        if perturbed.count(gene) > 1:
            raise InputError(f"{owner}.genes holds {gene!r} more than once: name each gene once")
    return perturbed


def _per_gene(owner: str, name: str, values: PerGene, genes: tuple[str, ...]) -> tuple[float, ...]:
    """One finite number for each gene."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(len(genes), float(array))
    if array.shape != (len(genes),):
        raise InputError(f"{owner}.{name} has shape {array.shape}, expected ({len(genes)},): one for each gene")
    for gene, value in zip(genes, array, strict=True):
        if not np.isfinite(value):
            raise InputError(f"{owner}.{name} of gene {gene} is {value}: give a finite number")
    return tuple(array.tolist())


@final
@dataclass(frozen=True, slots=True)
class Do:
    """Set genes to values, whatever their parents: ``x := value``.

    Parameters
    ----------
    genes : sequence of str
        Gene ids, each once; none is a no-op.
    values : float or sequence of float
        In the units of expression, one for all or one for each gene.

    Raises
    ------
    InputError
        A gene is named twice, or the values are not finite or not as many as the genes.
    """

    genes: Sequence[str]
    values: PerGene

    def __post_init__(self) -> None:
        genes = _check_genes("Do", self.genes)
        object.__setattr__(self, "genes", genes)
        object.__setattr__(self, "values", _per_gene("Do", "values", self.values, genes))

    def changes(self, vocab: GeneVocab, n_cells: int) -> dict[int, Change]:
        """``keep`` 0, ``add`` the value; an unknown gene is an InputError that names the nearest."""
        del n_cells
        values = _per_gene("Do", "values", self.values, tuple(self.genes))
        return {vocab.token(gene): Change(keep=0.0, add=v) for gene, v in zip(self.genes, values, strict=True)}


@final
@dataclass(frozen=True, slots=True)
class Shift:
    """Add to genes what they would not have had: ``x := natural + value``. Parameters and errors as in :class:`Do`."""

    genes: Sequence[str]
    values: PerGene

    def __post_init__(self) -> None:
        genes = _check_genes("Shift", self.genes)
        object.__setattr__(self, "genes", genes)
        object.__setattr__(self, "values", _per_gene("Shift", "values", self.values, genes))

    def changes(self, vocab: GeneVocab, n_cells: int) -> dict[int, Change]:
        """``keep`` 1, ``add`` the value; an unknown gene is an InputError that names the nearest."""
        del n_cells
        values = _per_gene("Shift", "values", self.values, tuple(self.genes))
        return {vocab.token(gene): Change(keep=1.0, add=v) for gene, v in zip(self.genes, values, strict=True)}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class KnockDown:
    """Leave genes a part of what they would have been above ``off``: ``x := off + keep * (natural - off)``.

    Parameters
    ----------
    genes : sequence of str
        Gene ids, each once; none is a no-op.
    keep : float or sequence of float
        Between 0 (the gene sits at ``off``) and 1 (nothing happens).
    off : float
        The level of a gene that is switched off, in the units of expression. The default lies three standard
        deviations below the mean of iSCM and standardised worlds; a raw world has no natural one.

    Raises
    ------
    InputError
        As in :class:`Do`, or ``keep`` lies outside 0 .. 1.
    """

    genes: Sequence[str]
    keep: PerGene
    off: float = -3.0

    def __post_init__(self) -> None:
        genes = _check_genes("KnockDown", self.genes)
        keep = _per_gene("KnockDown", "keep", self.keep, genes)
        for gene, part in zip(genes, keep, strict=True):
            if not 0 <= part <= 1:
                raise InputError(f"KnockDown.keep of gene {gene} is {part}: it must lie in 0 .. 1; see also Shift")
        if not np.isfinite(self.off):
            raise InputError(f"KnockDown.off is {self.off}: give a finite number")
        object.__setattr__(self, "genes", genes)
        object.__setattr__(self, "keep", keep)

    def changes(self, vocab: GeneVocab, n_cells: int) -> dict[int, Change]:
        """``add`` is ``(1 - keep) * off``; an unknown gene is an InputError that names the nearest."""
        del n_cells
        parts = _per_gene("KnockDown", "keep", self.keep, tuple(self.genes))
        return {
            vocab.token(gene): Change(keep=part, add=(1 - part) * self.off)
            for gene, part in zip(self.genes, parts, strict=True)
        }


@final
@dataclass(frozen=True, slots=True, eq=False)
class DoCells:
    """Set other genes to other values in every cell: ``x := value`` where perturbed.

    Parameters
    ----------
    perturbed_BG : bool, (B, G)
        True where the gene is set in that cell.
    value_BG : float64, (B, G)
        The values, in the units of expression; read only where perturbed.

    Raises
    ------
    InputError
        Wrong shape or dtype, or the value of a perturbed gene is not finite.
    """

    perturbed_BG: NDArray[np.bool_]
    value_BG: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.perturbed_BG.ndim != 2:
            raise InputError(f"DoCells.perturbed_BG has shape {self.perturbed_BG.shape}, expected (cells, genes)")
        check_array("DoCells", "perturbed_BG", self.perturbed_BG, self.perturbed_BG.shape, np.bool_)
        check_array("DoCells", "value_BG", self.value_BG, self.perturbed_BG.shape, np.float64)
        bad = np.argwhere(self.perturbed_BG & ~np.isfinite(self.value_BG))
        if len(bad):
            cell, gene = (int(i) for i in bad[0])
            raise InputError(
                f"DoCells.value_BG of gene {gene} in cell {cell} is {self.value_BG[cell, gene]}: "
                "give a finite value, or do not perturb it"
            )
        object.__setattr__(self, "perturbed_BG", read_only(self.perturbed_BG))
        object.__setattr__(self, "value_BG", read_only(self.value_BG))

    def changes(self, vocab: GeneVocab, n_cells: int) -> dict[int, Change]:
        """``keep`` 0 in the perturbed cells of each gene that is perturbed in any."""
        check_array("DoCells", "perturbed_BG", self.perturbed_BG, (n_cells, len(vocab)), np.bool_)
        perturbed = np.flatnonzero(self.perturbed_BG.any(axis=0)).tolist()
        return {
            gene: Change(
                keep=0.0,
                add=np.ascontiguousarray(self.value_BG[:, gene]),
                touched_B=np.ascontiguousarray(self.perturbed_BG[:, gene]),
            )
            for gene in perturbed
        }


def affine(intervention: Intervention | None, vocab: GeneVocab) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``keep_G`` and ``add_G`` of an intervention that is the same for all cells; 1 and 0 where nothing is perturbed.

    Raises
    ------
    InputError
        The intervention differs from cell to cell (``DoCells``), or names an unknown gene.
    """
    keep_G, add_G = np.ones(len(vocab)), np.zeros(len(vocab))
    if isinstance(intervention, DoCells):
        raise InputError("DoCells does something else to every cell: one law needs a Do, Shift or KnockDown")
    for gene, change in ({} if intervention is None else intervention.changes(vocab, 1)).items():
        if not isinstance(change.add, float) or change.touched_B is not None:
            raise InputError(
                f"{type(intervention).__name__} differs from cell to cell: one law needs one change for all"
            )
        keep_G[gene], add_G[gene] = change.keep, change.add
    return keep_G, add_G
