"""Cells and pairs of a known world, through the same two interfaces as real ones.

Both generate fixed-size blocks, each from a random stream of its own, and cut them into batches afterwards: the same
seed gives the same bytes whatever the batch size, and memory does not grow with the number of cells.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, rebatched_cells, rebatched_rows
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, rebatched
from gpcp.core.random import generator
from gpcp.sources.provenance import digest_of
from simulators.assay import Assay, log1p_tpm
from simulators.counted import CountedBatch, concatenate_counted
from simulators.scm.interventions import DoCells
from simulators.scm.regimes import REGIMES, Regime, regime_of
from simulators.scm.scm import Scm

__all__ = ["REGIMES", "Regime", "SimulatedCells", "SimulatedPairs", "Spread"]

_BLOCK_ENTRIES = 262_144
"""Entries (cells x genes) of a block: 2 MB a float64 array."""

_IDS_PER_SEED = 2**40
"""Cells of passes with different seeds are different cells, so they get different ids."""

_T = TypeVar("_T")


class Spread(Protocol):
    """How the blocks of a pass are made: by this process one after the other, as ``map`` does, or by several."""

    def __call__(self, make: Callable[[int], _T], blocks: Iterable[int]) -> Iterator[_T]:
        """What ``make`` gives of each block, in their order."""
        ...


def _here(make: Callable[[int], _T], blocks: Iterable[int]) -> Iterator[_T]:
    return map(make, blocks)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedPairs:
    """Pairs of a world's cells, fresh for every seed, in the world's own units; all genes are measured.

    Meets :class:`gpcp.core.pairs.PairSource`.

    The number of perturbed genes is uniform over ``n_perturbed``, and every set of that size is as likely. In the
    matched regime their values are those of the second cell. In the other two they are drawn from N(0, ``dose_sd``) in
    the units of expression, independently, and set by ``Do``: ``after`` holds exactly these values there.

    Parameters
    ----------
    scm : Scm
    regime : {"matched", "counterfactual", "interventional"}
        See :mod:`simulators.scm.regimes`.
    n_pairs : int
        Pairs of one pass.
    n_perturbed : (int, int), optional
        The fewest and the most perturbed genes of a pair; ``(1, G - 1)`` by default.
    dose_sd : float
        Standard deviation of the perturbed values; not read in the matched regime.

    Raises
    ------
    InputError
        The regime does not exist, or a number lies outside its range.
    """

    scm: Scm
    regime: Regime
    n_pairs: int
    n_perturbed: tuple[int, int] | None = None
    dose_sd: float = 2.0

    def __post_init__(self) -> None:
        regime_of(self.regime)
        n_genes = self.scm.graph.n_genes
        if self.n_pairs < 1:
            raise InputError(f"SimulatedPairs.n_pairs is {self.n_pairs}: it must be at least 1")
        if n_genes < 2:
            raise InputError("pairs need at least two genes, one to perturb and one to score; the world has one")
        lo, hi = self.perturbed_range
        if not 1 <= lo <= hi <= n_genes - 1:
            raise InputError(f"n_perturbed is {(lo, hi)}: it must be (fewest, most) within 1 .. {n_genes - 1} genes")
        if not (np.isfinite(self.dose_sd) and self.dose_sd > 0):
            raise InputError(f"SimulatedPairs.dose_sd is {self.dose_sd}: it must be above 0")

    @property
    def vocab(self) -> GeneVocab:
        """The world's genes."""
        return self.scm.graph.vocab

    @property
    def perturbed_range(self) -> tuple[int, int]:
        """The fewest and the most perturbed genes of a pair."""
        return (1, self.scm.graph.n_genes - 1) if self.n_perturbed is None else self.n_perturbed

    def pairs(self, *, batch_size: int, seed: int, spread: Spread = _here) -> Iterator[PairBatch]:
        """One pass over ``n_pairs`` pairs, which ``seed`` decides; the last batch may be smaller.

        ``spread`` makes the blocks; see :class:`simulators.processes.PairsInProcesses`.

        Raises
        ------
        InputError
            ``batch_size`` is below 1 or ``seed`` is negative.
        """
        _check_seed(seed)
        return rebatched(self._blocks(seed, spread), batch_size=batch_size)

    def _blocks(self, seed: int, spread: Spread) -> Iterator[PairBatch]:
        blocks = range(_n_blocks(self.n_pairs, len(self.vocab)))
        made = spread(partial(self._block, seed), blocks)
        for block, (perturbed_BG, before_BG, after_BG) in zip(blocks, made, strict=True):
            id_B = _ids(*_block_size(block, self.n_pairs, len(self.vocab)), seed)
            yield PairBatch(
                vocab=self.vocab,
                before_BG=before_BG,
                after_BG=after_BG,
                measured_BG=np.ones(perturbed_BG.shape, dtype=np.bool_),
                perturbed_BG=perturbed_BG,
                before_id_B=2 * id_B,
                after_id_B=2 * id_B + 1,
            )

    def _block(self, seed: int, block: int) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        """Perturbed genes and both cells of the pairs of a block."""
        rng = generator("simulated pairs", self.regime, seed, block)
        _, n_pairs = _block_size(block, self.n_pairs, len(self.vocab))
        perturbed_BG = perturbed_sets(n_pairs, len(self.vocab), self.perturbed_range, rng)
        return perturbed_BG, *self._cells(perturbed_BG, rng)

    def _cells(
        self, perturbed_BG: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both cells of each pair, float32 (B, G)."""
        n_pairs = len(perturbed_BG)
        if self.regime == "matched":
            return _stored(self.scm.sample(n_pairs, rng)), _stored(self.scm.sample(n_pairs, rng))
        noise_BG = self.scm.draw(n_pairs, rng)
        before_BG = _stored(self.scm.expression(noise_BG))
        if self.regime == "interventional":
            noise_BG = self.scm.draw(n_pairs, rng)
        # Rounded to float32 before they act, so that `after` holds the very values that its descendants felt.
        dose_GB = rng.standard_normal(perturbed_BG.shape[::-1], dtype=np.float32) * np.float32(self.dose_sd)
        after_BG = self.scm.expression(noise_BG, DoCells(perturbed_BG, dose_GB.T.astype(np.float64)))
        return before_BG, _stored(after_BG)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedCells:
    """A finite population of a world's cells, as the world has them or as an assay reports them.

    Meets :class:`gpcp.core.cells.CellSource`. The cells are the same for every ``seed`` of :meth:`cells`, which decides
    their order alone: blocks are shuffled, and the cells of each block.

    Without an assay: expression in the world's own units, all genes measured, one cell type ``type_0`` and one
    dataset ``dataset_0``. With one: log1p(TPM), the datasets' own measured genes, and types and datasets drawn for each
    cell, all as likely.

    Parameters
    ----------
    scm : Scm
    n_cells : int
    assay : Assay, optional
        Of the world's genes.
    population : int
        Another one has other cells; not negative.

    Raises
    ------
    InputError
        ``n_cells`` is below 1, ``population`` is negative, or the assay is of other genes.
    """

    scm: Scm
    n_cells: int
    assay: Assay | None = None
    population: int = 0

    def __post_init__(self) -> None:
        if self.n_cells < 1:
            raise InputError(f"SimulatedCells.n_cells is {self.n_cells}: it must be at least 1")
        if self.population < 0:
            raise InputError(f"SimulatedCells.population is {self.population}: it must be 0 or more")
        if self.assay is not None and self.assay.vocab != self.vocab:
            raise InputError("SimulatedCells.assay is of other genes than the world: build it with the world's vocab")

    @property
    def vocab(self) -> GeneVocab:
        """The world's genes."""
        return self.scm.graph.vocab

    @property
    def provenance(self) -> str:
        """What decides the cells, and a digest of all of it."""
        how = "in the world's units" if self.assay is None else "sequenced"
        what = f"{self.n_cells} simulated cells of {len(self.vocab)} genes, population {self.population}, {how}"
        return f"{what}: {self.scm.mechanism.name}, {self.scm.noise.name}, {self.scm.scaling} ({digest_of(self)})"

    def cells(self, *, batch_size: int, seed: int, spread: Spread = _here) -> Iterator[CellBatch]:
        """Every cell once, in an order that ``seed`` decides; the last batch may be smaller.

        ``spread`` makes the blocks; see :class:`simulators.processes.CellsInProcesses`.

        Raises
        ------
        InputError
            ``batch_size`` is below 1 or ``seed`` is negative.
        """
        _check_seed(seed)
        blocks = (cells.rows(order_B) for cells, _, order_B in self._blocks(seed, spread))
        return rebatched_cells(blocks, batch_size=batch_size)

    def counted(self, *, batch_size: int, seed: int, spread: Spread = _here) -> Iterator[CountedBatch]:
        """The batches of :meth:`cells`, in the same order, with the assay's counts.

        Meets :class:`CountedCells`.

        Raises
        ------
        InputError
            There is no assay, ``batch_size`` is below 1 or ``seed`` is negative.
        """
        _check_seed(seed)
        if self.assay is None:
            raise InputError(
                "SimulatedCells without an assay are in the world's own units and have no counts: "
                "give them one, assay=build_assay(...) of simulators.assay"
            )
        blocks = (
            CountedBatch(cells=cells, count_BG=count_BG).rows(order_B)
            for cells, count_BG, order_B in self._blocks(seed, spread)
            if count_BG is not None
        )
        return rebatched_rows(blocks, concatenate_counted, batch_size=batch_size)

    def _blocks(
        self, seed: int, spread: Spread
    ) -> Iterator[tuple[CellBatch, NDArray[np.int64] | None, NDArray[np.int64]]]:
        """Cells of each block with their counts, and the order in which this pass gives them."""
        order = generator("order of simulated cells", self.population, seed)
        blocks: list[int] = order.permutation(_n_blocks(self.n_cells, len(self.vocab))).tolist()
        for block, made in zip(blocks, spread(self._block, blocks), strict=True):
            start, n_cells = _block_size(block, self.n_cells, len(self.vocab))
            cells = CellBatch(
                vocab=self.vocab,
                expression_BG=made.expression_BG,
                measured_BG=made.measured_BG,
                cell_id_B=_ids(start, n_cells, self.population),
                covariates={
                    "cell_type": _named("type", made.cell_type_B),
                    "dataset": _named("dataset", made.dataset_B),
                },
            )
            yield cells, made.count_BG, order.permutation(n_cells)

    def _block(self, block: int) -> "_Drawn":
        """The same cells whatever the pass."""
        rng = generator("simulated cells", self.population, block)
        _, n_cells = _block_size(block, self.n_cells, len(self.vocab))
        latent_BG = self.scm.sample(n_cells, rng)
        if self.assay is None:
            alike_B = np.zeros(n_cells, dtype=np.int64)
            return _Drawn(_stored(latent_BG), np.ones(latent_BG.shape, dtype=np.bool_), None, alike_B, alike_B)
        type_B = rng.integers(self.assay.n_cell_types, size=n_cells)
        dataset_B = rng.integers(self.assay.n_datasets, size=n_cells)
        reads = self.assay.reads(latent_BG, cell_type_B=type_B, dataset_B=dataset_B, rng=rng)
        return _Drawn(log1p_tpm(reads.count_BG), reads.measured_BG, reads.count_BG, type_B, dataset_B)


@final
class _Drawn(NamedTuple):
    """Arrays of a block of cells: what another process sends."""

    expression_BG: NDArray[np.float32]
    measured_BG: NDArray[np.bool_]
    count_BG: NDArray[np.int64] | None
    cell_type_B: NDArray[np.int64]
    dataset_B: NDArray[np.int64]


def perturbed_sets(
    n_pairs: int, n_genes: int, n_perturbed: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Random sets of genes, bool (B, G): size uniform over ``n_perturbed``, ends included.

    Sets are uniform given their size.
    """
    size_B = rng.integers(n_perturbed[0], n_perturbed[1], size=n_pairs, endpoint=True)
    first_BG = np.arange(n_genes) < size_B[:, None]
    return rng.permuted(first_BG, axis=1, out=first_BG)


def _stored(expression_BG: NDArray[np.float64]) -> NDArray[np.float32]:
    """As batches hold it: float32, cells side by side."""
    return np.ascontiguousarray(expression_BG, dtype=np.float32)


def _named(prefix: str, code_B: NDArray[np.integer]) -> NDArray[np.str_]:
    names = np.array([f"{prefix}_{code}" for code in range(int(code_B.max()) + 1)], dtype=np.str_)
    return names[code_B]


def _n_blocks(n_cells: int, n_genes: int) -> int:
    return -(-n_cells // max(1, _BLOCK_ENTRIES // n_genes))


def _block_size(block: int, n_cells: int, n_genes: int) -> tuple[int, int]:
    """Number of the first cell and number of cells of a block."""
    step = max(1, _BLOCK_ENTRIES // n_genes)
    return block * step, min(step, n_cells - block * step)


def _ids(start: int, n_cells: int, seed: int) -> NDArray[np.int64]:
    """Distinct for cells of one seed, and of any seeds that differ by less than a million or so."""
    return np.arange(start, start + n_cells, dtype=np.int64) + seed % 2**21 * _IDS_PER_SEED


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed is {seed}: it must be 0 or more")
