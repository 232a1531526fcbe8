"""``ScreenPairs``: each perturbed cell of a screen with a control of the same context."""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.core.random import stream
from gpcp.screens.splits import hold_out
from gpcp.sources.sparse import IndexedCells
from gpcp.sources.subsets import OnlyCells, OnlyGenes


@final
class ScreenPairs:
    """Pairs of a control, before, and a perturbed cell, after, of the same context.

    A pass gives every perturbed cell once, in an order and with controls that the seed decides. What a model is given
    is which perturbation the cell got; never a value of the cell after.

    Parameters
    ----------
    cells : IndexedCells
    applied : AppliedPerturbations
        Of every row of the cells.
    context_N : int64, (N,)
        Cells with the same number may meet.
    perturbed_N, control_N : int64
        Rows of the cells after and before; a perturbed cell in whose context there is no control is in no pair.

    Attributes
    ----------
    n_alone : int
        Perturbed cells that are in no pair.

    Raises
    ------
    InputError
        A control is perturbed or the other way round, or no perturbed cell has a control of its context.
    """

    __slots__ = (
        "_applied", "_cells", "_context_N", "_first", "_n_of", "_sorted_controls", "control_N", "n_alone", "perturbed_N"
    )  # fmt: skip

    def __init__(
        self,
        cells: IndexedCells,
        applied: AppliedPerturbations,
        context_N: NDArray[np.int64],
        *,
        perturbed_N: NDArray[np.int64],
        control_N: NDArray[np.int64],
    ) -> None:
        is_control_N = applied.is_control_B
        if is_control_N[perturbed_N].any() or not is_control_N[control_N].all():
            raise InputError("ScreenPairs: a cell after must be perturbed, and a cell before a control")
        contexts, code_N = np.unique(context_N[control_N], return_inverse=True)
        self._sorted_controls = control_N[np.argsort(code_N, kind="stable")]
        n_of = np.bincount(code_N.reshape(-1), minlength=len(contexts))
        at = np.minimum(np.searchsorted(contexts, context_N[perturbed_N]), max(0, len(contexts) - 1))
        met = contexts[at] == context_N[perturbed_N] if len(contexts) else np.zeros(len(perturbed_N), dtype=np.bool_)
        if not met.any():
            raise InputError("no perturbed cell of the screen has a control of its context: match on less")
        self.perturbed_N: NDArray[np.int64] = perturbed_N[met]
        self.control_N = control_N
        self.n_alone = int((~met).sum())
        starts = np.concatenate([[0], np.cumsum(n_of)])
        self._first, self._n_of = starts[at[met]], n_of[at[met]]
        self._cells, self._applied, self._context_N = cells, applied, context_N

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self._cells.vocab

    @property
    def perturbations(self) -> PerturbationVocab:
        """All perturbations of the screen, those of other parts of a split included."""
        return self._applied.vocab

    @property
    def n_pairs(self) -> int:
        """Pairs of every pass: one for each perturbed cell."""
        return len(self.perturbed_N)

    @property
    def applied(self) -> AppliedPerturbations:
        """What was done to each of :attr:`perturbed_N`."""
        return self._applied.rows(self.perturbed_N)

    @property
    def cells(self) -> OnlyCells:
        """The cells that come in pairs, and no other."""
        row_N = np.concatenate([self.perturbed_N, self.control_N])
        return OnlyCells(self._cells, self._cells.index.cell_id_B[row_N])

    def with_genes(self, genes: Sequence[str]) -> "ScreenPairs":
        """The same pairs with some of their genes.

        Raises
        ------
        InputError
            A gene is not among them; the message names the nearest.
        """
        token_G = self.vocab.tokens(genes)
        some = OnlyGenes(self._cells, genes).indexed()
        assert some is not None, "the whole is indexed"
        return self._part(some, self._applied.only_genes(token_G), self.perturbed_N, self.control_N)

    def apart(self, *, share: float, seed: int) -> "tuple[ScreenPairs, ScreenPairs]":
        """The same perturbations in two parts without a common cell, controls included: the rest, and a share.

        Raises
        ------
        InputError
            As :func:`gpcp.screens.splits.hold_out`, or one part has no pair.
        """
        row_N = np.concatenate([self.perturbed_N, self.control_N])
        label_N = np.array(self._applied.rows(row_N).labels(), dtype=np.str_)
        context_N = self._context_N[row_N].astype(np.str_)
        held_N = hold_out(label_N, {}, context_N, by="cells", share=share, seed=seed).held_N
        is_control_N = np.arange(len(row_N)) >= self.n_pairs
        rest, some = (
            self._part(self._cells, self._applied, row_N[side & ~is_control_N], row_N[side & is_control_N])
            for side in (~held_N, held_N)
        )
        return rest, some

    def _part(
        self,
        cells: IndexedCells,
        applied: AppliedPerturbations,
        perturbed_N: NDArray[np.int64],
        control_N: NDArray[np.int64],
    ) -> "ScreenPairs":
        return ScreenPairs(cells, applied, self._context_N, perturbed_N=perturbed_N, control_N=control_N)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass; see :class:`gpcp.core.pairs.PairSource`."""
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be at least 1")
        rng = stream(seed, "screen pairs")
        order = rng.permutation(self.n_pairs)
        before = self._sorted_controls[self._first + rng.integers(self._n_of)]
        for start in range(0, self.n_pairs, batch_size):
            some = order[start : start + batch_size]
            yield self._batch(before[some], self.perturbed_N[some])

    def _batch(self, before_B: NDArray[np.int64], after_B: NDArray[np.int64]) -> PairBatch:
        before, after = self._cells.sparse_rows(before_B).dense(), self._cells.sparse_rows(after_B).dense()
        measured_BG = before.measured_BG & after.measured_BG
        applied = self._applied.rows(after_B)
        return PairBatch(
            vocab=self.vocab,
            before_BG=np.where(measured_BG, before.expression_BG, np.float32(0)),
            after_BG=np.where(measured_BG, after.expression_BG, np.float32(0)),
            measured_BG=measured_BG,
            perturbed_BG=applied.targets_BG(len(self.vocab)) & measured_BG,
            before_id_B=before.cell_id_B,
            after_id_B=after.cell_id_B,
            applied=applied,
        )
