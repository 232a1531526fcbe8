"""Planted faults by a tester who has not seen the checks: taken from taxonomies of faults and from bug reports.

Dimension key: ``B`` pairs, ``G`` genes of the vocabulary, ``L`` state tokens, ``F`` regressors, ``Q`` querying and
``K`` attended tokens, ``H`` heads, ``D`` width.

Sources are named fault by fault: Humbatova et al. 2020 (taxonomy of real faults), DeepCrime (mutation operators),
Islam et al. 2019 and Zhang et al. 2018 (bug studies), Karpathy's recipe, and single-cell and transformer practice.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.decorators import Collated, collate_fault, loss_fault, pairs_fault
from diagnostics.faults.fault import fault, source_of, with_source
from diagnostics.faults.is_planted import first_pairs, pairs_differ
from gpcp.core.pairs import FixedPairs, PairBatch, concatenate
from gpcp.model.batch import ModelBatch

RATE = 1e-2
"""At which the healthy subjects learn."""

# Data source.


@pairs_fault(
    "b_controls_of_another_plate",
    "controls come from other plates, whose offset of each gene is three times as large as what cells differ by",
    "data.world",
    "data.partners",
    not_in=("matched", "interventional"),
)
def _other_plate(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Single-cell practice: a batch effect between controls and treated cells, not corrected."""
    n_plates = max(1, len(pairs) // 4)
    spread_G = np.maximum(pairs.before_BG.std(axis=0), 0.1)
    offset_PG = 3 * spread_G * rng.standard_normal((n_plates, len(pairs.vocab)))
    moved_BG = pairs.before_BG + offset_PG[rng.integers(n_plates, size=len(pairs))]
    return replace(pairs, before_BG=np.where(pairs.measured_BG, moved_BG, 0).astype(np.float32))


@pairs_fault(
    "b_perturbation_regressed_out",
    "the covariates that preprocessing regresses out of the cells after include the perturbation and its doses",
    "data.perturbation",
    "data.signal",
    "data.dose",
    "data.world",
)
def _regressed_out(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Single-cell practice: ``regress_out`` or batch correction on a covariate that is the treatment itself."""
    del rng
    perturbed_BG = pairs.perturbed_BG.astype(np.float64)
    known_BF = np.concatenate([np.ones((len(pairs), 1)), perturbed_BG, perturbed_BG * pairs.after_BG], axis=1)
    after_BG = pairs.after_BG.astype(np.float64)
    for gene in range(len(pairs.vocab)):
        rows = np.flatnonzero(pairs.scored_BG[:, gene])
        if not len(rows):
            continue
        known = known_BF[rows]
        change = after_BG[rows, gene] - after_BG[rows, gene].mean()
        weight = np.linalg.solve(known.T @ known + np.eye(known.shape[1]), known.T @ change)
        after_BG[rows, gene] -= known @ weight
    return replace(pairs, after_BG=after_BG.astype(np.float32))


@pairs_fault(
    "b_guides_of_one_alias",
    "the names of all perturbed genes are resolved to the first gene, which is given the mean of their doses",
    "data.identity",
    "data.perturbation",
    "data.signal",
    "data.world",
)
def _one_alias(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Single-cell practice: the perturbation is encoded for the wrong gene by its alias."""
    del rng
    n_perturbed_B = pairs.perturbed_BG.sum(axis=1)
    dose_B = np.where(pairs.perturbed_BG, pairs.after_BG, 0).sum(axis=1) / np.maximum(n_perturbed_B, 1)
    perturbed_BG = np.zeros_like(pairs.perturbed_BG)
    perturbed_BG[:, 0] = (n_perturbed_B > 0) & pairs.measured_BG[:, 0]
    after_BG = np.where(perturbed_BG, dose_B[:, None], pairs.after_BG).astype(np.float32)
    return replace(pairs, perturbed_BG=perturbed_BG, after_BG=after_BG)


@pairs_fault(
    "b_imputed_with_its_partner",
    "imputation over controls and treated cells at once makes the cell before nine tenths of the cell after",
    "data.world",
    "data.copied_answer",
    "learning.too_good",
    "data.partners",
)
def _imputed(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Leakage through preprocessing: smoothing over neighbours before the pairs are split from each other."""
    del rng
    mixed_BG = (0.1 * pairs.before_BG + 0.9 * pairs.after_BG).astype(np.float32)
    return replace(pairs, before_BG=np.where(pairs.measured_BG, mixed_BG, np.float32(0)))


def _jittered(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """The pairs with a hundredth of a spread of noise on both cells."""

    def noisy(value_BG: Any) -> Any:
        noise_BG = 0.01 * value_BG.std(axis=0) * rng.standard_normal(value_BG.shape)
        return np.where(pairs.measured_BG, value_BG + noise_BG, 0).astype(np.float32)

    return replace(pairs, before_BG=noisy(pairs.before_BG), after_BG=noisy(pairs.after_BG))


@fault(
    "b_split_after_augmentation",
    "48 pairs are copied 96 times each with a little noise, and the split into training and held-out comes after",
    part="data",
    expected=("data.split", "data.repeats", "data.world", "learning.too_good"),
    cause="data",
    shows=pairs_differ,
)
def _augmented(subject: Subject) -> Subject:
    """Humbatova et al., training data quality: near duplicates on both sides of the split."""
    rng = np.random.default_rng(48)
    few = first_pairs(source_of(subject), n=48, seed=11)
    many = concatenate([_jittered(few, rng) for _ in range(96)])
    order_B = rng.permutation(len(many))
    id_B = np.arange(len(many), dtype=np.int64)
    many = replace(many.rows(order_B), before_id_B=2 * id_B, after_id_B=2 * id_B + 1)
    return with_source(
        subject, FixedPairs(held=many.rows(slice(0, 3072))), FixedPairs(held=many.rows(slice(3072, None)))
    )


# Collation.


@collate_fault(
    "b_truncated_to_the_most_expressed",
    "a longest sequence keeps the half of the genes that the cell before expresses most, perturbed ones or not",
    "data.masks",
    "data.perturbed",
    "data.before",
    "data.target",
)
def _truncated(batch: ModelBatch, after_BL: Tensor) -> Collated:
    """Foundation models of cells: rank truncation drops the perturbed genes."""
    n_kept = max(1, batch.before_BL.shape[1] // 2)
    value_BL = torch.where(batch.measured_BL, batch.before_BL, -torch.inf)
    place_BL = value_BL.argsort(dim=1, descending=True, stable=True)[:, :n_kept]
    kept = ModelBatch(
        token_BL=batch.token_BL.expand(batch.before_BL.shape).gather(1, place_BL),
        before_BL=batch.before_BL.gather(1, place_BL),
        target_BL=batch.target_BL.gather(1, place_BL),
        measured_BL=batch.measured_BL.gather(1, place_BL),
        perturbed_BL=batch.perturbed_BL.gather(1, place_BL),
    )
    return kept, after_BL.gather(1, place_BL)


@collate_fault(
    "b_sorted_by_length",
    "collation sorts the inputs of a batch by the number of perturbed genes, and leaves the cells after in their order",
    "data.masks",
    "data.before",
    "data.perturbed",
    "data.target",
)
def _sorted(batch: ModelBatch, after_BL: Tensor) -> Collated:
    """Sorting by length as packed sequences ask for it, the labels forgotten."""
    order_B = batch.perturbed_BL.sum(dim=1).argsort(stable=True)
    shared = len(batch.token_BL) != len(batch)
    moved = ModelBatch(
        token_BL=batch.token_BL if shared else batch.token_BL[order_B],
        before_BL=batch.before_BL[order_B],
        target_BL=batch.target_BL[order_B],
        measured_BL=batch.measured_BL[order_B],
        perturbed_BL=batch.perturbed_BL[order_B],
    )
    return moved, after_BL


@collate_fault(
    "b_genes_listed_backwards",
    "collation lists tokens, values, masks and targets from the last gene to the first, padding in front",
    cause="data",
    equivalent=True,
)
def _backwards(batch: ModelBatch, after_BL: Tensor) -> Collated:
    """Tokens are a set: every part is turned around alike, and nothing is lost."""
    turned = ModelBatch(
        token_BL=batch.token_BL.flip(1),
        before_BL=batch.before_BL.flip(1),
        target_BL=batch.target_BL.flip(1),
        measured_BL=batch.measured_BL.flip(1),
        perturbed_BL=batch.perturbed_BL.flip(1),
    )
    return turned, after_BL.flip(1)


# Loss.


@loss_fault(
    "b_loss_of_correlation",
    "the loss is one minus each cell's correlation over its scored genes: level and size of the answers are free",
    "loss.every_direction",
    "loss.every_scored",
    "loss.least_at_target",
)
def _correlation(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """Papers report Pearson's correlation, and so it is trained on."""
    n_B1 = scored_BL.sum(dim=1, keepdim=True)

    def centred(value_BL: Tensor) -> Tensor:
        value_BL = torch.where(scored_BL, value_BL, 0.0)
        return torch.where(scored_BL, value_BL - value_BL.sum(dim=1, keepdim=True) / n_B1.clamp(min=1), 0.0)

    one_BL, other_BL = centred(prediction_BL), centred(after_BL)
    size_B = (one_BL.square().sum(dim=1) * other_BL.square().sum(dim=1) + 1e-8).sqrt()
    said_B = 1 - (one_BL * other_BL).sum(dim=1) / size_B
    counts_B = n_B1[:, 0] > 1
    return torch.where(counts_B, said_B, 0.0).sum() / counts_B.sum().clamp(min=1)


@loss_fault(
    "b_relative_error_squared",
    "errors are divided by the target before they are squared, and many targets are near 0",
    "loss.every_scored",
    "learning.reaches_linear",
    "learning.beats_baseline",
    "learning.one_batch",
)
def _relative(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """Humbatova et al., wrong loss function; reports on percentage errors: the targets near 0 take all the weight."""
    size_BL = torch.where(scored_BL, after_BL.abs().clamp(min=1e-7), 1.0)
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) / size_BL
    return error_BL.square().sum() / scored_BL.sum().clamp(min=1)


@loss_fault(
    "b_loss_one_sided",
    "only answers above the target count: what is too low costs nothing and is not pulled at",
    "loss.least_at_target",
    "loss.every_direction",
    "loss.every_scored",
)
def _one_sided(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """A hinge in the place of a square; a quantile loss whose quantile is 0."""
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0)
    return torch.relu(error_BL).square().sum() / scored_BL.sum().clamp(min=1)
