"""Planted faults of another tester, who has not seen how the checks work; imported by the measurement alone.

Dimension key: ``B`` pairs, ``L`` state tokens, ``G`` genes, ``Q`` queries, ``D`` width.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.altered_pairs import AlteredPairs
from diagnostics.faults.decorators import Collated, collate_fault, layers_fault, loss_fault, pairs_fault, step_fault
from diagnostics.faults.fault import fault, reforward, source_of
from diagnostics.faults.is_planted import first_pairs, held_out_differs, steps_differ
from diagnostics.faults.optimiser import RATE, backward
from gpcp.core.pairs import PairBatch
from gpcp.model.attention import MultiHeadAttention
from gpcp.model.batch import ModelBatch
from gpcp.model.queries import Queries
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss

# ---------------------------------------------------------------- the source of pairs


def _after(pairs: PairBatch, scored_BG: NDArray[Any]) -> PairBatch:
    """Other values after at scored genes; the perturbation stays."""
    return replace(pairs, after_BG=np.where(pairs.scored_BG, scored_BG, pairs.after_BG).astype(np.float32))


def _reordered(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Every array with its genes in another order, under the vocabulary as it was."""
    del rng
    order_G = np.argsort([_number(gene) for gene in pairs.vocab.feature_id], kind="stable")
    return replace(
        pairs,
        before_BG=pairs.before_BG[:, order_G],
        after_BG=pairs.after_BG[:, order_G],
        measured_BG=pairs.measured_BG[:, order_G],
        perturbed_BG=pairs.perturbed_BG[:, order_G],
    )


def _number(gene: str) -> int:
    """A number by which the other file happens to sort its genes."""
    return sum((place + 3) * ord(letter) * 7919 for place, letter in enumerate(gene)) % 101


@fault(
    "a_held_out_genes_sorted",
    "the held-out file sorts its genes otherwise, and is read by column numbers of the training file",
    part="data", expected=("learning.generalises", "data.world", "data.split", "data.signal"), cause="data",
    shows=held_out_differs,
)  # fmt: skip
def _held_out_sorted(subject: Subject) -> Subject:
    held_out = source_of(subject) if subject.held_out is None else subject.held_out
    return replace(subject, held_out=AlteredPairs(source=held_out, alter=_reordered))


@pairs_fault("a_perturbed_values_of_the_cell_before", "perturbed genes are given their value before: no change "
"is ever given",
        "data.signal", "data.perturbation", "data.dose", "data.world")  # fmt: skip
def _no_change_perturbed(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    return replace(pairs, after_BG=np.where(pairs.perturbed_BG, pairs.before_BG, pairs.after_BG))


@pairs_fault("a_guides_that_do_not_work", "in 19 of 20 pairs the cell after is a control that escaped the perturbation",
        "data.signal", "data.perturbation", "data.world", "data.partners")  # fmt: skip
def _escapers(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    escaped_B1 = rng.random((len(pairs), 1)) < 0.95
    return _after(pairs, np.where(escaped_B1, np.roll(pairs.before_BG, 1, axis=0), pairs.after_BG))


@pairs_fault("a_normalised_to_a_signed_total", "each cell is divided by the sum of its centred values, often nearly 0",
        "data.units", "data.signal", "data.world")  # fmt: skip
def _signed_total(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng

    def normalised(value_BG: NDArray[np.float32]) -> NDArray[np.float32]:
        total_B1 = value_BG.sum(axis=1, keepdims=True)
        total_B1 = np.where(np.abs(total_B1) < 1e-6, np.float32(1e-6), total_B1)
        return np.where(pairs.measured_BG, value_BG * np.float32(len(pairs.vocab)) / total_B1, np.float32(0))

    return replace(pairs, before_BG=normalised(pairs.before_BG), after_BG=normalised(pairs.after_BG))


@pairs_fault("a_pseudobulk_of_all", "scored genes after are averaged over the whole plate: the grouping lost its key",
        "data.signal", "data.constant_genes", "data.perturbation", "data.world")  # fmt: skip
def _plate_means(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    del rng
    return _after(pairs, np.broadcast_to(pairs.after_BG.mean(axis=0, keepdims=True), pairs.after_BG.shape))


# ---------------------------------------------------------------- collation


@collate_fault("a_tokens_hashed", "tokens are taken modulo 3, the size of another table: genes share their names",
          "data.masks", "data.before", "data.perturbed", "data.target", cause="bug")  # fmt: skip
def _hashed(batch: ModelBatch, after_BL: Tensor) -> Collated:
    return replace(batch, token_BL=batch.token_BL % 3), after_BL


@collate_fault("a_after_read_column_major", "the cells after are written row by row and read column by column",
          "data.target", "data.collate_alone", cause="data")  # fmt: skip
def _column_major(batch: ModelBatch, after_BL: Tensor) -> Collated:
    n_pairs, n_positions = after_BL.shape
    return batch, after_BL.reshape(n_positions, n_pairs).T.contiguous()


@collate_fault("a_context_truncated", "only the first four positions fit the context: the other genes are cut off",
          "data.masks", "data.before", "data.perturbed", "data.target", cause="bug")  # fmt: skip
def _truncated(batch: ModelBatch, after_BL: Tensor) -> Collated:
    kept = ModelBatch(
        token_BL=batch.token_BL[:, :4],
        before_BL=batch.before_BL[:, :4],
        target_BL=batch.target_BL[:, :4],
        measured_BL=batch.measured_BL[:, :4],
        perturbed_BL=batch.perturbed_BL[:, :4],
    )
    return kept, after_BL[:, :4]


# ---------------------------------------------------------------- the loss


@loss_fault("a_loss_correlation", "1 minus the correlation over a cell's scored genes: level and size are ignored",
       "loss.every_direction", "loss.every_scored", "loss.least_at_target")  # fmt: skip
def _correlation(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    n_B1 = scored_BL.sum(dim=1, keepdim=True)

    def centred(value_BL: Tensor) -> Tensor:
        value_BL = torch.where(scored_BL, value_BL, 0.0)
        return torch.where(scored_BL, value_BL - value_BL.sum(dim=1, keepdim=True) / n_B1.clamp(min=1), 0.0)

    one_BL, other_BL = centred(prediction_BL), centred(after_BL)
    size_B = (one_BL.square().sum(dim=1) * other_BL.square().sum(dim=1) + 1e-8).sqrt()
    counts_B = n_B1[:, 0] > 1
    return torch.where(counts_B, 1 - (one_BL * other_BL).sum(dim=1) / size_B, 0.0).sum() / counts_B.sum().clamp(min=1)


@loss_fault("a_loss_of_expressed_genes_only",
         "only genes whose value after is above 0 count, though values are centred",
       "loss.every_scored", "loss.every_direction")  # fmt: skip
def _expressed(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL, scored_BL & (after_BL > 0))


@loss_fault("a_loss_relative_to_the_target",
         "errors are divided by the target, which is often nearly 0: little else counts",
       "loss.every_scored", "learning.beats_baseline", "learning.reaches_linear", "learning.rate")  # fmt: skip
def _relative(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    size_BL = torch.where(scored_BL, after_BL.abs(), 1.0) + 1e-6
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) / size_BL
    return error_BL.square().sum() / scored_BL.sum().clamp(min=1)


@loss_fault("a_loss_root", "the root of the mean squared error is minimised instead of itself", equivalent=True)
def _root(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return (masked_loss(prediction_BL, after_BL, scored_BL) + 1e-12).sqrt()


# ---------------------------------------------------------------- the model


def _attentions(model: nn.Module) -> list[MultiHeadAttention]:
    """Every attention of a model."""
    return [one for one in model.modules() if isinstance(one, MultiHeadAttention)]


@layers_fault("a_attended_viewed_sequence_first", "what attention gathers is viewed as (genes, pairs) and swapped back",
         "architecture.other_cells", "architecture.gene_order", "architecture.padding",
         "architecture.unmeasured")  # fmt: skip
def _sequence_first(model: GenePerturbationTransformer) -> None:
    def viewed(_: nn.Module, usual: Any, query: Tensor, memory: Tensor, attend: Tensor | None) -> Tensor:
        gathered_BQD = usual(query, memory, attend)
        n_pairs, n_queries, width = gathered_BQD.shape
        return gathered_BQD.reshape(n_queries, n_pairs, width).transpose(0, 1)

    for one in _attentions(model):
        reforward(one, viewed)


@layers_fault("a_strongest_perturbed_only",
         "of several perturbed genes the model reads the one that changes most, and no other",
         "architecture.reads_perturbation", "architecture.reads_which", "architecture.reads_dose",
         "learning.reaches_linear")  # fmt: skip
def _strongest(model: GenePerturbationTransformer) -> None:
    def asked(_: nn.Module, usual: Any, batch: ModelBatch, *maps: Any) -> Tensor:
        size_BL = torch.where(batch.perturbed_BL, (batch.target_BL - batch.before_BL).abs(), -1.0)
        most_BL = torch.zeros_like(batch.perturbed_BL).scatter(1, size_BL.argmax(dim=1, keepdim=True), True)
        kept_BL = most_BL & batch.perturbed_BL
        return usual(
            replace(batch, perturbed_BL=kept_BL, target_BL=torch.where(kept_BL, batch.target_BL, 0.0)), *maps
        )  # fmt: skip

    reforward(model, asked)


def _unperturbed_queries(batch: ModelBatch) -> Queries:
    """Every gene is a query, and perturbed ones are masked as padding is."""
    return Queries(place_BQ=None, attend_BQ=batch.measured_BL & ~batch.perturbed_BL)


@layers_fault("a_perturbed_genes_masked",
         "queries attend to scored genes only: perturbed ones are masked as if they were padding",
         "architecture.perturbation_reaches_others", "architecture.reads_which", "architecture.reads_perturbation",
         cause="architecture")  # fmt: skip
def _perturbed_masked(model: GenePerturbationTransformer) -> None:
    model._query_form = _unperturbed_queries  # pyright: ignore[reportPrivateUsage]


@layers_fault("a_inputs_saturate", "values come a million times too large into a tanh: only their signs are left",
         "architecture.reads_dose", "learning.reaches_linear", "architecture.reads_expression")  # fmt: skip
def _saturated(model: GenePerturbationTransformer) -> None:
    for one in (model.state_value, model.query_value):
        reforward(one, lambda _, usual, identity, value: usual(identity, torch.tanh(1e6 * value)))


@layers_fault("a_identities_renormed", "the embeddings' max_norm is 1e-6: each call shrinks the genes' names in place",
         "architecture.reads_which", "architecture.identity", "architecture.rank",
         "learning.reaches_linear")  # fmt: skip
def _renormed(model: GenePerturbationTransformer) -> None:
    for one in (model.state_identity, model.query_identity):
        one.max_norm = 1e-6


@layers_fault("a_batch_norm_never_counts",
         "a batch norm of momentum 0 stands before the head: its moments stay 0 and 1",
         "architecture.modes", "architecture.other_cells", "architecture.padding",
         "architecture.unmeasured")  # fmt: skip
def _batch_norm(model: GenePerturbationTransformer) -> None:
    def normed(self: Any, usual: Any, decoded: Tensor, attend: Tensor, token: Tensor) -> Tensor:
        return usual(self.batch_norm(decoded.flatten(0, 1)).view_as(decoded), attend, token)

    model.out.batch_norm = nn.BatchNorm1d(model.config.width, momentum=0.0)
    reforward(model.out, normed)


def _from_cache(self: Any, usual: Any, identity: Tensor, value: Tensor) -> Tensor:
    """Embedded queries; in evaluation those of the first batch of this shape, for ever."""
    if self.training:
        return usual(identity, value)
    key = (value.shape, value.dtype)
    if getattr(self, "kept_for", None) == key:
        return self.kept
    embedded = usual(identity, value)
    self.kept_for, self.kept = key, embedded.detach().clone()
    return embedded


def _stale(healthy: Subject, faulty: Subject) -> bool:
    """Asked a second batch of the same shape, the faulty model answers otherwise than the healthy one."""
    answers: list[Tensor] = []
    for subject in (healthy, faulty):
        assert subject.model is not None
        model = copy.deepcopy(subject.model).eval()
        pairs = first_pairs(subject.pairs, n=64)
        with torch.no_grad():
            subject.predict(model, subject.collate(pairs.rows(slice(0, 32)))[0])
            answers.append(subject.predict(model, subject.collate(pairs.rows(slice(32, 64)))[0]))
    return not torch.allclose(answers[0], answers[1])


@layers_fault("a_stale_query_cache",
         "in evaluation the embedded queries of the first batch of a shape are cached for ever",
         "architecture.reads_perturbation", "architecture.modes", "architecture.repeatable", "architecture.reads_dose",
         shows=_stale)  # fmt: skip
def _cache(model: GenePerturbationTransformer) -> None:
    reforward(model.query_value, _from_cache)


@layers_fault("a_embeddings_tied", "state tokens and queries share one table of identities", equivalent=True)
def _tied(model: GenePerturbationTransformer) -> None:
    model.query_identity = model.state_identity


# ---------------------------------------------------------------- the optimiser and the training step


@fault(
    "a_betas_swapped",
    "Adam's betas are (0.999, 0.9) instead of (0.9, 0.999): it goes on where old gradients pointed",
    part="optimiser",
    expected=("learning.rate", "learning.one_batch", "learning.beats_baseline", "learning.reaches_linear"),
    cause="optimiser", shows=steps_differ,
)  # fmt: skip
def _betas(subject: Subject) -> Subject:
    def make_optimizer(model: nn.Module) -> Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.999, 0.9), weight_decay=0.0)

    return replace(subject, make_optimizer=make_optimizer)


@step_fault("a_average_written_back",
         "the average of weights for evaluation, decay 0.9999, is swapped in and never out",
       "optimiser.first_step", "learning.rate", "optimiser.learning_rate", "optimiser.moves_parameters")  # fmt: skip
def _written_back(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    average = [one.detach().clone() for one in model.parameters()]
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.step()
    with torch.no_grad():
        for kept, one in zip(average, model.parameters(), strict=True):
            one.copy_(kept.lerp(one, 1e-4))
    return loss


@step_fault("a_frozen_after_the_first_step", "the first step ends with freezing all but the head, and nothing thaws it",
       "optimiser.moves_parameters", "architecture.gradients", "optimiser.gradients",
       "learning.reaches_linear")  # fmt: skip
def _frozen(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.step()
    *_, head = (part for part in model.children() if any(True for _ in part.parameters()))
    model.requires_grad_(False)
    head.requires_grad_(True)
    return loss


@step_fault("a_scaler_always_overflows",
         "the loss is scaled by 2**24 in half precision, overflows, and the step is skipped",
       "optimiser.moves_parameters", "optimiser.gradients", "optimiser.first_step")  # fmt: skip
def _overflows(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    scale = 2.0**24
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss.half() * scale)
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    if all(bool(one.isfinite().all()) for one in gradients):
        for one in gradients:
            one.div_(scale)
        optimizer.step()
    return loss


@fault(
    "a_first_batch_forever",
    "the loop asks a new iterator for its next batch: it learns from the first batch at every step",
    part="optimiser", expected=("data.step_inputs", "loss.reported", "learning.generalises"), cause="bug",
    shows=steps_differ,
)  # fmt: skip
def _first_forever(subject: Subject) -> Subject:
    first: list[PairBatch] = []

    def training_step(model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
        if not first:
            first.append(pairs)
        optimizer.zero_grad()
        loss = subject.composed_loss(model, first[0])
        backward(loss)
        optimizer.step()
        return loss

    return replace(subject, training_step=training_step)
