"""Pairs of cells: ``PairBatch``, and ``PairSource``, the one interface of data sets of pairs.

``before`` and ``after`` are the two cells, ``delta`` their difference. ``perturbed`` genes are never scored. What a
model is given of a perturbation is either the change of these genes, or, in a screen, which one was ``applied``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, check_expression, read_only, rebatched_rows
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.html import html_table
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab, concatenate_applied
from gpcp.core.random import stream


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairBatch:
    """Some pairs of a source.

    Parameters
    ----------
    vocab : GeneVocab
    before_BG, after_BG : float32, (B, G)
        The two cells of each pair; 0 where unmeasured.
    measured_BG : bool, (B, G)
        True where the gene was measured in both cells.
    perturbed_BG : bool, (B, G)
        True where the gene is a target of the perturbation; implies measured.
    before_id_B, after_id_B : int64, (B,)
        The source's names of the two cells.
    applied : AppliedPerturbations, optional
        The perturbations of each cell after, where they have names of their own, as in a screen. All measured genes
        that are targets are perturbed, and no value of theirs is given. None where the values after of the perturbed
        genes are what a model is given.

    Raises
    ------
    InputError
        A field has the wrong shape or dtype, values that contradict the mask, a perturbed gene is unmeasured, or
        the perturbed genes are not the targets of ``applied``.
    """

    vocab: GeneVocab
    before_BG: NDArray[np.float32]
    after_BG: NDArray[np.float32]
    measured_BG: NDArray[np.bool_]
    perturbed_BG: NDArray[np.bool_]
    before_id_B: NDArray[np.int64]
    after_id_B: NDArray[np.int64]
    applied: AppliedPerturbations | None = None

    def __post_init__(self) -> None:
        shape = (len(self.before_id_B), len(self.vocab))
        for name in ("before_id_B", "after_id_B"):
            check_array("PairBatch", name, getattr(self, name), shape[:1], np.int64)
        for name in ("measured_BG", "perturbed_BG"):
            check_array("PairBatch", name, getattr(self, name), shape, np.bool_)
        for name, id_B in (("before_BG", self.before_id_B), ("after_BG", self.after_id_B)):
            check_array("PairBatch", name, getattr(self, name), shape, np.float32)
            check_expression("PairBatch", name, getattr(self, name), self.measured_BG, self.vocab, id_B)
        unperturbed_BG = self.perturbed_BG & ~self.measured_BG
        if unperturbed_BG.any():
            pair, gene = (int(i) for i in np.argwhere(unperturbed_BG)[0])
            raise InputError(
                f"PairBatch.perturbed_BG names gene {self.vocab.feature_id[gene]} in pair {pair}, "
                "which measured_BG says is unmeasured: perturb measured genes only"
            )
        if self.applied is not None:
            _check_applied(self.applied, self.measured_BG, self.perturbed_BG)
        for name in ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def _repr_html_(self) -> str:
        masks = ("measured_BG", "perturbed_BG", "scored_BG", "given_BG")
        rows = [
            ("before_BG, after_BG", f"{self.before_BG.shape}", "one row a cell, one column a gene"),
            *((name, f"{self.before_BG.shape}", f"{getattr(self, name).mean():.1%} True") for name in masks),
        ]
        return html_table(f"PairBatch: {len(self):,} pairs x {len(self.vocab):,} genes", rows)

    def __len__(self) -> int:
        return len(self.before_id_B)

    @property
    def delta_BG(self) -> NDArray[np.float32]:
        """``after - before``, float32 (B, G); 0 where unmeasured."""
        return self.after_BG - self.before_BG

    @property
    def scored_BG(self) -> NDArray[np.bool_]:
        """``measured & ~perturbed``, bool (B, G): the entries that a loss may count."""
        return self.measured_BG & ~self.perturbed_BG

    @property
    def given_BG(self) -> NDArray[np.bool_]:
        """The genes whose values after a model is given, bool (B, G): the perturbed ones, or none in a screen."""
        return self.perturbed_BG if self.applied is None else np.zeros_like(self.perturbed_BG)

    @property
    def perturbs_B(self) -> NDArray[np.bool_]:
        """Whether a perturbation is given of each pair, bool (B,): at a gene, or by name."""
        if self.applied is None:
            return np.logical_or.reduce(self.perturbed_BG, axis=1)
        return ~self.applied.is_control_B

    def rows(self, which: slice | NDArray[np.integer]) -> "PairBatch":
        """The pairs of a slice or of an index array, in its order."""
        return PairBatch(
            vocab=self.vocab,
            before_BG=self.before_BG[which],
            after_BG=self.after_BG[which],
            measured_BG=self.measured_BG[which],
            perturbed_BG=self.perturbed_BG[which],
            before_id_B=self.before_id_B[which],
            after_id_B=self.after_id_B[which],
            applied=None if self.applied is None else self.applied.rows(which),
        )

    def genes(self, token_G: NDArray[np.integer]) -> "PairBatch":
        """Some of the genes; of perturbations that have no names of their own, those of other genes are dropped."""
        if np.array_equal(token_G, np.arange(len(self.vocab))):
            return self
        return PairBatch(
            vocab=GeneVocab(feature_id=self.vocab.genes(token_G)),
            before_BG=self.before_BG[:, token_G],
            after_BG=self.after_BG[:, token_G],
            measured_BG=self.measured_BG[:, token_G],
            perturbed_BG=self.perturbed_BG[:, token_G],
            before_id_B=self.before_id_B,
            after_id_B=self.after_id_B,
            applied=None if self.applied is None else self.applied.only_genes(token_G),
        )

    def measured_where(self, measured_BG: NDArray[np.bool_]) -> "PairBatch":
        """The same pairs with fewer entries measured; what is not measured is not perturbed either."""
        return replace(
            self,
            before_BG=np.where(measured_BG, self.before_BG, np.float32(0)),
            after_BG=np.where(measured_BG, self.after_BG, np.float32(0)),
            measured_BG=measured_BG,
            perturbed_BG=self.perturbed_BG & measured_BG,
        )

    def perturbed_by(self, applied: AppliedPerturbations) -> "PairBatch":
        """The same cells with other perturbations of a screen, of which only the cells before are to be read."""
        targets_BG = applied.targets_BG(len(self.vocab))
        return replace(self, applied=applied, perturbed_BG=targets_BG & self.measured_BG)

    def dense(self) -> "PairBatch":
        """Itself: a batch is dense already; see :class:`PairsToCome`."""
        return self


@runtime_checkable
class PairSource(Protocol):
    """The one dataset interface: simulated and real pairs come through it alike."""

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        ...

    @property
    def n_pairs(self) -> int | None:
        """Pairs that one pass gives, or None where that cannot be known beforehand."""
        ...

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass over the pairs, which ``seed`` decides; the last batch may be smaller.

        The same seed gives the same bytes whatever the batch size; another seed gives others.
        """
        ...


class PairsToCome(Protocol):
    """A batch of pairs that is chosen and read, but not yet made dense: small enough to wait in a queue."""

    def __len__(self) -> int:
        """How many pairs it has."""
        ...

    def dense(self) -> PairBatch:
        """The pairs themselves."""
        ...


@runtime_checkable
class LatePairSource(PairSource, Protocol):
    """A source whose batches can wait, and that goes to any batch of a pass without making those before it dense."""

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[PairsToCome]:
        """Batches ``start``, ``start + step``, ... of the pass that ``pairs`` gives."""
        ...


def late_pairs(
    source: PairSource, *, batch_size: int, seed: int, start: int = 0, step: int = 1
) -> Iterator[PairsToCome]:
    """Batches ``start``, ``start + step``, ... of one pass over any source, at the least cost that it knows."""
    if isinstance(source, LatePairSource):
        return source.late_pairs(batch_size=batch_size, seed=seed, start=start, step=step)
    return islice(source.pairs(batch_size=batch_size, seed=seed), start, None, step)


def concatenate(batches: Iterable[PairBatch]) -> PairBatch:
    """All pairs of some batches as one batch.

    Raises
    ------
    InputError
        There is no batch, or the batches have different vocabularies.
    """
    parts = list(batches)
    if not parts:
        raise InputError("there is no pair to concatenate: the source is empty")
    if len(parts) == 1:
        return parts[0]
    vocab = parts[0].vocab
    if any(part.vocab != vocab for part in parts):
        raise InputError("batches of different vocabularies cannot be concatenated")
    return PairBatch(
        vocab=vocab,
        before_BG=np.concatenate([part.before_BG for part in parts]),
        after_BG=np.concatenate([part.after_BG for part in parts]),
        measured_BG=np.concatenate([part.measured_BG for part in parts]),
        perturbed_BG=np.concatenate([part.perturbed_BG for part in parts]),
        before_id_B=np.concatenate([part.before_id_B for part in parts]),
        after_id_B=np.concatenate([part.after_id_B for part in parts]),
        applied=concatenate_applied(part.applied for part in parts),
    )


def _check_applied(
    applied: AppliedPerturbations, measured_BG: NDArray[np.bool_], perturbed_BG: NDArray[np.bool_]
) -> None:
    n_pairs, n_genes = perturbed_BG.shape
    if len(applied) != n_pairs:
        raise InputError(f"PairBatch.applied has {len(applied)} rows, expected {n_pairs}")
    if max(applied.vocab.gene, default=-1) >= n_genes:
        raise InputError(f"PairBatch.applied has a target that is gene {max(applied.vocab.gene)}, of {n_genes}")
    wrong_BG = perturbed_BG != (applied.targets_BG(n_genes) & measured_BG)
    if wrong_BG.any():
        pair, gene = (int(i) for i in np.argwhere(wrong_BG)[0])
        raise InputError(
            f"PairBatch.perturbed_BG is {bool(perturbed_BG[pair, gene])} at gene {gene} of pair {pair}, against "
            "PairBatch.applied: perturb the measured genes that are targets, and no other"
        )


def rebatched(blocks: Iterable[PairBatch], *, batch_size: int) -> Iterator[PairBatch]:
    """The same pairs in the same order, in batches of ``batch_size``; the last may be smaller.

    Raises
    ------
    InputError
        ``batch_size`` is below 1.
    """
    return rebatched_rows(blocks, concatenate, batch_size=batch_size)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FixedPairs:
    """Always the same pairs, in an order that the seed decides, or always in the same."""

    held: PairBatch
    shuffled: bool = True

    @property
    def vocab(self) -> GeneVocab:
        """Of the pairs."""
        return self.held.vocab

    @property
    def n_pairs(self) -> int | None:
        """How many they are."""
        return len(self.held)

    @property
    def perturbations(self) -> PerturbationVocab | None:
        """Of the pairs, where they have names of their own."""
        return None if self.held.applied is None else self.held.applied.vocab

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass."""
        n = len(self.held)
        order_B = stream(seed, "fixed pairs").permutation(n) if self.shuffled else np.arange(n)
        return rebatched(iter([self.held.rows(order_B)]), batch_size=batch_size)
