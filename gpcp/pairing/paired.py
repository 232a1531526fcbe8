"""``Paired``: the cells of any source, matched two by two, as a ``PairSource``.

One contract, two engines. *Planned*, for sources that know their cells beforehand: pairs are chosen from the index, so
that their number is known and a pass can start at any batch. *Streaming*, for all others: cells are read once, in the
order of the source, and each is kept until its partner comes. The difference of a pair is a *pseudo-perturbation*: two
unrelated cells, no intervention.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, final, get_args

from gpcp.core.cells import COVARIATES, CellSource
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.pairing.buffer import BufferLimits
from gpcp.pairing.planned import PlannedPairs
from gpcp.pairing.rules import PairRule
from gpcp.pairing.sparse_pairs import SparsePairs
from gpcp.pairing.stats import PairingStats, Tally
from gpcp.pairing.streaming import StreamingPairs
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files.open_file import is_anndata
from gpcp.sources.sparse import indexed

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

Engine = Literal["auto", "planned", "streaming"]

MOST_HELD = 16_384
"""Cells that wait at once, at most, unless said otherwise: some 80 MB at 600 expressed genes."""


@final
class Paired:
    """Pairs of cells that share a key, none twice in a pass.

    Meets :class:`gpcp.core.pairs.LatePairSource`. ``measured`` is measured in both cells. A coin decides which cell is
    ``before``. The perturbed genes are a random set of the measured ones; its size is uniform over ``n_perturbed``,
    both ends clipped to one less than are measured, so that something is left to score.

    Parameters
    ----------
    cells : CellSource or AnnData
        Of an AnnData object, the columns of ``obs`` that are called as the covariates asked for are these covariates;
        read it with :class:`gpcp.sources.h5ad.cells.H5adCells` where they are called otherwise.
    n_perturbed : (int, int), optional
        The fewest and the most genes perturbed in a pair; ``(1, G - 1)`` by default.
    match_on : sequence of str
        What both cells share: covariates, ``"measured"`` (the set of genes measured), ``"depth"`` (the number of
        expressed genes, in bins of half a doubling). Empty pairs any two cells.
    differ_on : sequence of str
        Covariates in each of which the two differ, such as disease or donor.
    prefer_on : sequence of str
        Named as in ``match_on``: partners that share these are looked for first. If there is none, at the end or
        when a cell waits for too long, the last named is given up first.
    engine : {"auto", "planned", "streaming"}
        ``"auto"`` plans where the source is an :class:`gpcp.sources.sparse.IndexedCells` with cheap rows.
    best_of : int
        1 pairs at random: the two cells of a pair are independent given their key, and that is the law for which
        exact answers are worked out. ``K`` pairs a cell with the best of the K that are held for its key, by the
        Jaccard index of expressed genes over the genes measured in both: pairs differ by less noise, but they follow
        another law, and the ceiling of random pairs is no longer theirs.
    max_age : int, optional
        Streaming only: a cell that has waited while so many others were read is paired with the best there is, and
        if there is none with the next that comes.
    max_held : int
        Streaming only: cells that wait at once, at most. One too many, and the oldest is paired with the best there
        is, or given up.
    min_shared : int
        Genes that both cells of a pair were measured for, at least.

    Attributes
    ----------
    vocab : GeneVocab
        That of the cells.
    n_pairs : int or None
        Pairs of every pass; None if they are streamed, since a source does not say how many cells of each key it has.

    Raises
    ------
    InputError
        A number or a name is no good, the source cannot be planned though that is asked for, or, where pairs are
        planned, it does not give a covariate.
    """

    __slots__ = ("_cells", "_engine", "_stats")

    def __init__(
        self,
        cells: "CellSource | AnnData",
        *,
        n_perturbed: tuple[int, int] | None = None,
        match_on: Sequence[str] = ("cell_type",),
        differ_on: Sequence[str] = (),
        prefer_on: Sequence[str] = (),
        engine: Engine = "auto",
        best_of: int = 1,
        max_age: int | None = None,
        max_held: int = MOST_HELD,
        min_shared: int = 2,
    ) -> None:
        cells = _source(cells, (*_names(match_on), *_names(differ_on), *_names(prefer_on)))
        n_genes = len(cells.vocab)
        if n_genes < 2:
            raise InputError("pairs need at least two genes, one to perturb and one to score; the source has one")
        lo, hi = (1, n_genes - 1) if n_perturbed is None else n_perturbed
        if not 1 <= lo <= hi <= n_genes - 1:
            raise InputError(f"n_perturbed is {(lo, hi)}: it must be (fewest, most) within 1 .. {n_genes - 1} genes")
        if min_shared > n_genes:
            raise InputError(f"min_shared is {min_shared}, but the source has {n_genes} genes: no pair could be made")
        rule = PairRule(
            match_on=_names(match_on), differ_on=_names(differ_on), prefer_on=_names(prefer_on), min_shared=min_shared
        )
        limits = BufferLimits(best_of=best_of, max_age=max_age, max_held=max_held)
        if engine not in get_args(Engine):
            raise InputError(f"engine is {engine!r}; {nearest(engine, get_args(Engine))}")
        known = indexed(cells) if engine != "streaming" else None
        if engine == "planned" and known is None:
            raise InputError(
                "engine='planned' needs a source that gives any of its cells, such as a panel cache; this one gives "
                "them in turn: leave engine out"
            )
        self._cells = cells
        self._engine: PlannedPairs | StreamingPairs
        if known is not None and (engine == "planned" or known.cheap_rows):
            self._engine = PlannedPairs(known, rule=rule, n_perturbed=(lo, hi), best_of=best_of)
        else:
            self._engine = StreamingPairs(cells, rule=rule, n_perturbed=(lo, hi), limits=limits)
        self._stats: Tally | int | None = None

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self._cells.vocab

    @property
    def n_pairs(self) -> int | None:
        """Pairs of every pass, or None if they are streamed."""
        return self._engine.n_pairs if isinstance(self._engine, PlannedPairs) else None

    @property
    def planned(self) -> bool:
        """Whether pairs are chosen beforehand."""
        return isinstance(self._engine, PlannedPairs)

    @property
    def stats(self) -> PairingStats:
        """The last pass begun: its whole plan, or else the cells read so far; all 0 before the first.

        A value: it does not change when the pass goes on. Reading runs ahead of the batches given by part of a block.
        """
        if isinstance(self._stats, Tally):
            return self._stats.stats()
        if self._stats is None or isinstance(self._engine, StreamingPairs):
            return PairingStats()
        return self._engine.stats(self._stats)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass over the pairs, which ``seed`` decides; the last batch may be smaller.

        Raises
        ------
        InputError
            ``batch_size`` is below 1, ``seed`` is negative, or the source does not give a covariate asked for.
        """
        return (pairs.dense() for pairs in self.late_pairs(batch_size=batch_size, seed=seed))

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[SparsePairs]:
        """Batches ``start``, ``start + step``, ... of the pass that :meth:`pairs` gives, not yet dense.

        Planned pairs are gone to at once; streamed ones are made and passed over.

        Raises
        ------
        InputError
            As :meth:`pairs`, or ``start`` is negative, or ``step`` is below 1.
        """
        for name, number, least in (("batch_size", batch_size, 1), ("start", start, 0), ("step", step, 1)):
            if number < least:
                raise InputError(f"{name} is {number}: it must be at least {least}")
        # A negative seed is refused here, before the first batch is asked for.
        tally = Tally(seed)
        if isinstance(self._engine, PlannedPairs):
            self._stats = seed
            return self._engine.late_pairs(batch_size=batch_size, seed=seed, start=start, step=step)
        self._stats = tally
        return self._engine.late_pairs(tally, batch_size=batch_size, seed=seed, start=start, step=step)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _source(cells: "CellSource | AnnData", names: Sequence[str]) -> CellSource:
    """A source as it is, and that of an AnnData object with the covariates among ``names``."""
    held: Any = cells
    if is_anndata(held):
        columns: dict[str, Any] = {name: name for name in names if name in COVARIATES}
        return H5adCells(held, layer="auto", gene_id="auto", missing_id="drop", **columns)
    if not hasattr(held, "cells"):
        raise InputError(f"pairs are made of a source of cells or an AnnData object, not of a {type(held).__name__}")
    return held
