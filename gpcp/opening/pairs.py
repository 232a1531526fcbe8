"""Pairs by name: the source that a text names, how its cells become pairs, and a part of them held out.

Cells are read once, up to a limit, and matched two by two. A source that makes pairs itself, such as a simulated world,
registers how: ``OWN_PAIRS.register(scheme)(function)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.core.random import stream
from gpcp.core.read_ahead import closed
from gpcp.core.registry import Registry
from gpcp.opening.cells import open_cells, scheme_and_place, shown_as
from gpcp.pairing.paired import Paired
from gpcp.sources.in_memory import sample_cells
from gpcp.sources.sparse import indexed
from gpcp.sources.subsets import split_cells

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

MAX_CELLS = 40_000
HELD_OUT_SHARE = 0.2
"""Share of the cells that is held out, where the pairs are matched from cells."""

_BLOCK_PAIRS = 512


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PairOptions:
    """What is asked of pairs, beside where they come from.

    Parameters
    ----------
    regime : str, optional
        Of a source that makes pairs itself.
    n_perturbed : (int, int), optional
        Fewest and most genes perturbed; from 1 to all but one by default.
    match_on : tuple of str, optional
        What two cells share; ``cell_type`` by default, where it is known.
    differ_on : tuple of str
        What they differ in.
    max_cells : int or None
        Cells to read once and keep; None: keep none, so that every pass reads the source itself.
    """

    regime: str | None = None
    n_perturbed: tuple[int, int] | None = None
    match_on: tuple[str, ...] | None = None
    differ_on: tuple[str, ...] = ()
    max_cells: int | None = MAX_CELLS


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OpenedPairs:
    """The pairs that a name stands for.

    Parameters
    ----------
    pairs : PairSource
    name : str
        What they are called in reports.
    cells : CellSource or None
        What they are matched from; None of a source whose every pass draws pairs that were never there before.
    match : callable or None
        From some of those cells to their pairs.
    apart : callable or None
        From a seed to pairs to train on, pairs to score and how they were split, of a source that splits itself.
    exact : callable or None
        The exact answer for some pairs, where it is known.
    provenance : str
        What was read and decided: matrix, kind of values, totals, ids; empty of a source that does not say.
    """

    pairs: PairSource
    name: str
    cells: CellSource | None = None
    match: Callable[[CellSource], PairSource] | None = None
    apart: Callable[[int], tuple[PairSource, PairSource, str]] | None = None
    exact: Callable[[PairBatch], Any] | None = None
    provenance: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplitPairs:
    """Pairs to train on, and others to be judged by.

    Parameters
    ----------
    training : PairSource
    held_out : PairBatch
        No cell of theirs is in a pair of the training.
    summary : str
        How they were split.
    """

    training: PairSource
    held_out: PairBatch
    summary: str


OWN_PAIRS: Registry[Callable[..., OpenedPairs | None]] = Registry("source of pairs")
"""``make(place, pair_options, genes=..., **options)`` of sources that make pairs themselves; None where, with these
options, they give cells to be matched."""


def open_pairs(
    text: "str | Path | AnnData",
    pair_options: PairOptions,
    *,
    genes: Sequence[str] | str | None = None,
    seed: int = 0,
    **options: Any,
) -> OpenedPairs:
    """The pairs of the source that a text names.

    Parameters
    ----------
    text : str, Path or AnnData
        As :func:`gpcp.opening.cells.open_cells` takes it.
    pair_options : PairOptions
    genes : sequence of str, or str, optional
        Ids, or a file of them.
    seed : int
        Which cells are read, where there are more than ``pair_options.max_cells``.
    **options
        Of the source.

    Raises
    ------
    InputError
        As the source itself; or something is asked that has no meaning for it.
    """
    scheme, place = scheme_and_place(str(text)) if isinstance(text, (str, Path)) else ("h5ad", "")
    if scheme in OWN_PAIRS:
        own = OWN_PAIRS[scheme](place, pair_options, genes=genes, **options)
        if own is not None:
            return own
    if pair_options.regime not in (None, "matched"):
        raise InputError(
            "--regime is for a simulated world in its own units: leave it out; cells are matched two by two"
        )
    whole = open_cells(text, genes=genes, **options)
    provenance = str(getattr(whole, "provenance", ""))
    if pair_options.max_cells is None:
        match_on = _match_on(whole, pair_options)
        stored = _matching(match_on, pair_options)(whole)
        how = "planned" if stored.planned else "streamed"
        name = f"{shown_as(text)} ({len(whole.vocab):,} genes, {_shared(match_on)}, {how})"
        return OpenedPairs(pairs=stored, name=name, provenance=provenance)
    # Read once and kept: a training goes through them many times.
    cells = sample_cells(whole, whole.vocab.feature_id, max_cells=pair_options.max_cells, seed=seed)
    match_on = _match_on(cells, pair_options)
    match = _matching(match_on, pair_options)
    pairs, name = match(cells), f"{shown_as(text)} ({len(cells):,} cells, {_shared(match_on)})"
    if next(pairs.pairs(batch_size=1, seed=seed), None) is None:
        raise InputError(f"{name} gives no pair: no two of the cells may be paired; match on less, or give more cells")
    return OpenedPairs(pairs=pairs, name=name, cells=cells, match=match, provenance=provenance)


def _matching(match_on: tuple[str, ...], pair_options: PairOptions) -> Callable[[CellSource], Paired]:
    def match(some: CellSource) -> Paired:
        return Paired(some, match_on=match_on, differ_on=pair_options.differ_on, n_perturbed=pair_options.n_perturbed)

    return match


def _shared(match_on: tuple[str, ...]) -> str:
    return f"pairs of the same {', '.join(match_on)}" if match_on else "pairs of any two cells"


def _match_on(cells: CellSource, pair_options: PairOptions) -> tuple[str, ...]:
    """What was asked, or the cell type where the source knows it; one that streams shows it in a first cell."""
    if pair_options.match_on is not None:
        return pair_options.match_on
    known = indexed(cells)
    if known is not None:
        names = set(known.index.covariates)
    else:
        batches = cells.cells(batch_size=1, seed=0)
        first = next(batches, None)
        closed(batches)
        names = set[str]() if first is None else set(first.covariates)
    return tuple(name for name in ("cell_type",) if name in names)


def split_pairs(named: OpenedPairs, *, n_held_out: int, seed: int) -> SplitPairs:
    """Pairs for training and up to ``n_held_out`` others, apart by cell where the cells are known.

    Raises
    ------
    InputError
        Too few cells for two sides, or one of them makes no pair.
    """
    training, judged, summary = named.pairs, named.pairs, "held-out pairs are another draw of the same world"
    if named.apart is not None:
        training, judged, summary = named.apart(seed)
    elif named.cells is not None and named.match is not None:
        split = split_cells(named.cells, HELD_OUT_SHARE, seed)
        training, judged, summary = named.match(split.training), named.match(split.held_out), split.summary
    # A seed of its own: no epoch of a training has it.
    one_pass = judged.pairs(
        batch_size=min(n_held_out, _BLOCK_PAIRS), seed=int(stream(seed, "held out").integers(2**31))
    )
    parts = list(islice(one_pass, -(-n_held_out // _BLOCK_PAIRS)))
    if not parts:
        raise InputError(f"{named.name}: the cells held out make no pair; give more cells, or match on less")
    return SplitPairs(training=training, held_out=concatenate(parts).rows(slice(0, n_held_out)), summary=summary)
