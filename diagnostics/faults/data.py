"""Faults planted in the data: in the source, the split and the collation."""

import time
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.altered_pairs import AlteredPairs
from diagnostics.faults.decorators import Collated, collate_fault, pairs_fault
from diagnostics.faults.fault import fault, source_of, with_source
from diagnostics.faults.is_planted import first_pairs, held_out_differs, pairs_differ
from gpcp.core.pairs import FixedPairs, PairBatch, concatenate
from gpcp.model.batch import ModelBatch


def _after(pairs: PairBatch, scored_BG: np.ndarray[Any, Any]) -> PairBatch:
    """Other values after at scored genes; the perturbation stays."""
    after_BG = np.where(pairs.scored_BG, scored_BG, pairs.after_BG).astype(np.float32)
    return replace(pairs, after_BG=after_BG)


_SIGNAL = ("data.signal",)
_PERTURBED = ("data.signal", "data.perturbation", "data.identity", "data.dose")


@pairs_fault("no_signal", "the cell after is noise at every scored gene", *_SIGNAL)
def _no_signal(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    return _after(pairs, rng.standard_normal(pairs.after_BG.shape))


@pairs_fault("signal_buried", "noise of thirty standard deviations is added to the cell after", *_SIGNAL)
def _buried(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    noise_BG = rng.standard_normal(pairs.after_BG.shape) * 30 * max(1.0, float(pairs.after_BG.std()))
    return _after(pairs, pairs.after_BG + noise_BG)


@pairs_fault("unmatched_pairs", "the cell after belongs to another pair's cell before and perturbation", *_SIGNAL)
def _unmatched(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    return _after(pairs, pairs.after_BG[rng.permutation(len(pairs))])


@pairs_fault("label_shuffle", "doses are given for other genes than those that were perturbed", *_PERTURBED)
def _labels(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    order_BG = rng.permuted(np.tile(np.arange(len(pairs.vocab)), (len(pairs), 1)), axis=1)
    perturbed_BG = np.take_along_axis(pairs.perturbed_BG, order_BG, axis=1)
    dose_BG = np.take_along_axis(pairs.after_BG, order_BG, axis=1)
    perturbed_BG &= pairs.measured_BG
    return replace(pairs, perturbed_BG=perturbed_BG, after_BG=np.where(perturbed_BG, dose_BG, pairs.after_BG))


@pairs_fault("dose_shuffle", "the doses given are those of other pairs", *_PERTURBED)
def _doses(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    other_BG = rng.permuted(pairs.after_BG, axis=0)
    return replace(pairs, after_BG=np.where(pairs.perturbed_BG, other_BG, pairs.after_BG))


@pairs_fault(
    "perturbation_of_the_next_pair", "perturbations, genes and doses, are joined to the pairs one row off", *_PERTURBED
)
def _next_row(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    perturbed_BG = np.roll(pairs.perturbed_BG, 1, axis=0) & pairs.measured_BG
    return replace(
        pairs,
        perturbed_BG=perturbed_BG,
        after_BG=np.where(perturbed_BG, np.roll(pairs.after_BG, 1, axis=0), pairs.after_BG),
    )


@pairs_fault(
    "zero_genes", "all genes but two are 0 in every cell, and count as measured", "data.constant_genes", "data.silent"
)
def _zeros(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    kept_G = np.arange(len(pairs.vocab)) < 2
    return replace(
        pairs,
        before_BG=np.where(kept_G, pairs.before_BG, np.float32(0)),
        after_BG=np.where(kept_G, pairs.after_BG, np.float32(0)),
    )


def _counts(value_BG: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.floor(np.exp(np.clip(1.5 * value_BG + 4, -4, 12))).astype(np.float32)


@pairs_fault("raw_counts", "cells hold counts, up to tens of thousands, instead of their logarithm", "data.units")
def _raw(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    return replace(
        pairs,
        before_BG=np.where(pairs.measured_BG, _counts(pairs.before_BG), np.float32(0)),
        after_BG=np.where(pairs.measured_BG, _counts(pairs.after_BG), np.float32(0)),
    )


@pairs_fault("before_of_another_cell", "the cell before belongs to another pair", "data.partners", "data.world",
        not_in=("matched", "interventional"))  # fmt: skip
def _before(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    return replace(pairs, before_BG=np.roll(pairs.before_BG, 1, axis=0))


@pairs_fault("workers_repeat", "four workers share their random numbers: every pair comes four times", "data.repeats")
def _repeat(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    return concatenate([pairs.rows(slice(0, max(1, len(pairs) // 4)))] * 4)


def _pool(subject: Subject, n: int) -> PairBatch:
    return first_pairs(source_of(subject), n=n, seed=11)


def _same_passes(healthy: Subject, faulty: Subject) -> bool:
    del healthy
    one, other = first_pairs(faulty.pairs, seed=1), first_pairs(faulty.pairs, seed=2)
    return np.array_equal(one.after_BG, other.after_BG)


@fault(
    "same_order",
    "every epoch gives the same pairs in the same order, whatever the seed",
    part="data", expected=("data.other_seed",), cause="data", shows=_same_passes,
)  # fmt: skip
def _same_order(subject: Subject) -> Subject:
    return with_source(subject, FixedPairs(held=_pool(subject, 8192), shuffled=False), subject.held_out)


@fault(
    "leaky_split",
    "the held-out pairs are among those that are trained on",
    part="data", expected=("data.split",), cause="data", shows=held_out_differs,
)  # fmt: skip
def _leaky(subject: Subject) -> Subject:
    held = _pool(subject, 8192)
    return with_source(subject, FixedPairs(held=held), FixedPairs(held=held.rows(slice(0, 2048))))


def _jittered(held: PairBatch, block: PairBatch, rng: np.random.Generator) -> PairBatch:
    """As many noisy copies of some pairs as a block has, under names of their own."""
    copies = held.rows(rng.integers(len(held), size=len(block)))
    noise_BG = rng.normal(0, 0.01, copies.after_BG.shape).astype(np.float32)
    return replace(
        copies,
        after_BG=np.where(copies.measured_BG, copies.after_BG + noise_BG, copies.after_BG),
        before_id_B=block.before_id_B,
        after_id_B=block.after_id_B,
    )


@fault(
    "augmented_before_the_split",
    "a hundred pairs are copied with a little noise, and the copies are split into training and held-out ones",
    part="data", expected=("data.copies", "data.split", "data.repeats"), cause="data", shows=pairs_differ,
)  # fmt: skip
def _augmented(subject: Subject) -> Subject:
    alter = partial(_jittered, _pool(subject, 100))
    training = AlteredPairs(source=source_of(subject), alter=alter)
    return with_source(subject, training, AlteredPairs(source=subject.held_out or source_of(subject), alter=alter))


@fault(
    "few_pairs",
    "there are 30 pairs in all: they are memorised",
    part="data", expected=("learning.generalises", "data.signal"), cause="data", shows=pairs_differ,
)  # fmt: skip
def _few(subject: Subject) -> Subject:
    return with_source(subject, FixedPairs(held=_pool(subject, 30)), subject.held_out or subject.pairs)


_WAIT_S = 0.05


def _fastest_s(subject: Subject) -> float:
    """Seconds of the quickest of eight batches, which a busy machine hardly changes."""
    one_pass, ends_s = source_of(subject).pairs(batch_size=64, seed=1), [time.perf_counter()]
    ends_s += [time.perf_counter() for _ in islice(one_pass, 8)]
    return min(end - start for start, end in pairwise(ends_s))


def _is_slow(healthy: Subject, faulty: Subject) -> bool:
    return _fastest_s(healthy) < _WAIT_S <= _fastest_s(faulty)


@fault(
    "loader_starves",
    "every batch takes a twentieth of a second to read, several times as long as a step",
    part="data", expected=("learning.input",), cause="data", shows=_is_slow,
)  # fmt: skip
def _starves(subject: Subject) -> Subject:
    return replace(subject, pairs=AlteredPairs(source=source_of(subject), wait_s=_WAIT_S))


@collate_fault("double_log", "collation takes the logarithm of the values a second time", "data.before")
def _double_log(batch: ModelBatch, after_BL: Tensor) -> Collated:
    def again(value_BL: Tensor) -> Tensor:
        return value_BL.sign() * value_BL.abs().log1p()

    return replace(batch, before_BL=again(batch.before_BL), target_BL=again(batch.target_BL)), again(after_BL)


@collate_fault("rounded", "collation makes whole numbers of the cell before", "data.before")
def _rounded(batch: ModelBatch, after_BL: Tensor) -> Collated:
    return replace(batch, before_BL=batch.before_BL.round()), after_BL


@collate_fault("target_leak", "collation passes the model the cell after instead of the cell before", "data.before",
          "data.leak", "data.target")  # fmt: skip
def _leak(batch: ModelBatch, after_BL: Tensor) -> Collated:
    return replace(batch, before_BL=torch.where(batch.measured_BL, after_BL, 0.0)), after_BL


@collate_fault("wrong_target", "the model is to predict the cell before", "data.target")
def _wrong_target(batch: ModelBatch, after_BL: Tensor) -> Collated:
    del after_BL
    return batch, batch.before_BL.clone()


@collate_fault("deltas_as_expression", "the model is to predict the change, and is scored as if it were expression",
          "data.target")  # fmt: skip
def _deltas(batch: ModelBatch, after_BL: Tensor) -> Collated:
    return batch, after_BL - batch.before_BL


@collate_fault("columns_misaligned", "the cell after lists its genes in another order", "data.target", "data.perturbed")
def _misaligned(batch: ModelBatch, after_BL: Tensor) -> Collated:
    return batch, after_BL.flip(1)


@collate_fault("unmeasured_as_zero", "collation marks every gene as measured, and leaves the zeros", "data.masks",
          cause="bug")  # fmt: skip
def _as_zero(batch: ModelBatch, after_BL: Tensor) -> Collated:
    return replace(batch, measured_BL=torch.ones_like(batch.measured_BL)), after_BL


@collate_fault("perturbed_inverted", "the mask of perturbed genes is inverted", "data.masks", cause="bug")
def _inverted(batch: ModelBatch, after_BL: Tensor) -> Collated:
    perturbed_BL = batch.measured_BL & ~batch.perturbed_BL
    return replace(batch, perturbed_BL=perturbed_BL, target_BL=torch.where(perturbed_BL, after_BL, 0.0)), after_BL


@collate_fault("unknown_as_control", "perturbations of half of the genes are unknown and are taken for controls",
          "data.masks", "data.perturbed", cause="bug")  # fmt: skip
def _as_control(batch: ModelBatch, after_BL: Tensor) -> Collated:
    known_BL = batch.perturbed_BL & (batch.token_BL % 2 == 0)
    return replace(batch, perturbed_BL=known_BL, target_BL=torch.where(known_BL, batch.target_BL, 0.0)), after_BL
