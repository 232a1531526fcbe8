"""Planted faults by a tester who has not seen the checks: taken from taxonomies of faults and from bug reports.

Dimension key: ``B`` pairs, ``G`` genes of the vocabulary, ``L`` state tokens, ``F`` regressors, ``Q`` querying and
``K`` attended tokens, ``H`` heads, ``D`` width.

Sources are named fault by fault: Humbatova et al. 2020 (taxonomy of real faults), DeepCrime (mutation operators),
Islam et al. 2019 and Zhang et al. 2018 (bug studies), Karpathy's recipe, and single-cell and transformer practice.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from torch import Tensor, nn
from torch.optim import Optimizer

from diagnostics.checks.subject import Loss, Subject
from diagnostics.fault import copied, fault, reforward, source_of, with_source
from diagnostics.faults_data import AlteredPairs, FixedPairs
from diagnostics.faults_shown import (
    answers_differ,
    collated_differ,
    first_pairs,
    losses_differ,
    pairs_differ,
    steps_differ,
)
from diagnostics.result import Cause
from gpcp.attention import MultiHeadAttention, Residual
from gpcp.batches import ModelBatch, model_batch
from gpcp.model import GenePerturbationTransformer
from gpcp.pairs import PairBatch, concatenate

RATE = 1e-2
"""At which the healthy subjects learn."""

_Alter = Callable[[PairBatch, np.random.Generator], PairBatch]
_Collated = tuple[ModelBatch, Tensor]
_AlterCollated = Callable[[ModelBatch, Tensor], _Collated]
_AlterModel = Callable[[GenePerturbationTransformer], None]
_Update = Callable[[Subject, nn.Module, Optimizer, PairBatch], Tensor]


def _pairs(name: str, plants: str, *expected: str, **more: Any) -> Callable[[_Alter], _Alter]:
    """Enter an alteration of training and held-out pairs."""

    def enter(alter: _Alter) -> _Alter:
        def apply(subject: Subject) -> Subject:
            held_out = subject.held_out
            return with_source(
                subject,
                AlteredPairs(source=source_of(subject), alter=alter),
                None if held_out is None else AlteredPairs(source=held_out, alter=alter),
            )

        fault(name, plants, part="data", expected=expected, cause="data", shows=pairs_differ, **more)(apply)
        return alter

    return enter


def _collate(
    name: str, plants: str, *expected: str, cause: Cause = "bug", equivalent: bool = False
) -> Callable[[_AlterCollated], _AlterCollated]:
    """Enter an alteration of collated batches."""

    def enter(alter: _AlterCollated) -> _AlterCollated:
        def apply(subject: Subject) -> Subject:
            collate = subject.collate

            def altered(pairs: PairBatch) -> _Collated:
                return alter(*collate(pairs))

            return replace(subject, collate=altered)

        fault(
            name,
            plants,
            part="data",
            expected=expected,
            cause=cause,
            shows=collated_differ,
            equivalent=equivalent,
        )(apply)
        return alter

    return enter


def _loss(name: str, plants: str, *expected: str) -> Callable[[Loss], Loss]:
    """Enter a loss of its own."""

    def enter(loss: Loss) -> Loss:
        def apply(subject: Subject) -> Subject:
            return replace(subject, loss=loss)

        fault(name, plants, part="loss", expected=expected, cause="bug", shows=losses_differ)(apply)
        return loss

    return enter


def _layers(
    name: str, plants: str, *expected: str, cause: Cause = "bug", **more: Any
) -> Callable[[_AlterModel], _AlterModel]:
    """Enter a change of the layers of a copy."""

    def enter(alter: _AlterModel) -> _AlterModel:
        def apply(subject: Subject) -> Subject:
            model, faulty = copied(subject)
            alter(model)
            return faulty

        kept: dict[str, Any] = {"shows": answers_differ, **more}
        fault(name, plants, part="model", expected=expected, cause=cause, **kept)(apply)
        return alter

    return enter


def _step(
    name: str, plants: str, *expected: str, cause: Cause = "optimiser", **more: Any
) -> Callable[[_Update], _Update]:
    """Enter a training step of its own."""

    def enter(update: _Update) -> _Update:
        def apply(subject: Subject) -> Subject:
            def training_step(model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
                return update(subject, model, optimizer, pairs)

            return replace(subject, training_step=training_step)

        kept: dict[str, Any] = {"shows": steps_differ, **more}
        fault(name, plants, part="optimiser", expected=expected, cause=cause, **kept)(apply)
        return update

    return enter


# Data source.


@_pairs(
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


@_pairs(
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
    told_BG = pairs.perturbed_BG.astype(np.float64)
    known_BF = np.concatenate([np.ones((len(pairs), 1)), told_BG, told_BG * pairs.after_BG], axis=1)
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


@_pairs(
    "b_guides_of_one_alias",
    "the names of all perturbed genes are resolved to the first gene, which is told the mean of their doses",
    "data.identity",
    "data.perturbation",
    "data.signal",
    "data.world",
)
def _one_alias(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Single-cell practice: the perturbation is encoded for the wrong gene by its alias."""
    del rng
    n_told_B = pairs.perturbed_BG.sum(axis=1)
    dose_B = np.where(pairs.perturbed_BG, pairs.after_BG, 0).sum(axis=1) / np.maximum(n_told_B, 1)
    told_BG = np.zeros_like(pairs.perturbed_BG)
    told_BG[:, 0] = (n_told_B > 0) & pairs.measured_BG[:, 0]
    after_BG = np.where(told_BG, dose_B[:, None], pairs.after_BG).astype(np.float32)
    return replace(pairs, perturbed_BG=told_BG, after_BG=after_BG)


@_pairs(
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


@_collate(
    "b_truncated_to_the_most_expressed",
    "a longest sequence keeps the half of the genes that the cell before expresses most, perturbed ones or not",
    "data.masks",
    "data.told",
    "data.before",
    "data.target",
)
def _truncated(batch: ModelBatch, after_BL: Tensor) -> _Collated:
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


@_collate(
    "b_sorted_by_length",
    "collation sorts the inputs of a batch by how many genes are told, and leaves the cells after in their order",
    "data.masks",
    "data.before",
    "data.told",
    "data.target",
)
def _sorted(batch: ModelBatch, after_BL: Tensor) -> _Collated:
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


@_collate(
    "b_genes_listed_backwards",
    "collation lists tokens, values, masks and targets from the last gene to the first, padding in front",
    cause="data",
    equivalent=True,
)
def _backwards(batch: ModelBatch, after_BL: Tensor) -> _Collated:
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


@_loss(
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


@_loss(
    "b_relative_error_squared",
    "errors are divided by the target before they are squared, and many targets are near 0",
    "loss.every_scored",
    "learning.reaches_linear",
    "learning.beats_nothing",
    "learning.one_batch",
)
def _relative(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """Humbatova et al., wrong loss function; reports on percentage errors: the targets near 0 take all the weight."""
    size_BL = torch.where(scored_BL, after_BL.abs().clamp(min=1e-7), 1.0)
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) / size_BL
    return error_BL.square().sum() / scored_BL.sum().clamp(min=1)


@_loss(
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


# Model.


def _attentions(model: nn.Module) -> list[MultiHeadAttention]:
    return [one for one in model.modules() if isinstance(one, MultiHeadAttention)]


def _residuals(model: nn.Module) -> list[Residual]:
    return [one for one in model.modules() if isinstance(one, Residual)]


def _with_methods(module: nn.Module, **methods: Callable[..., Any]) -> None:
    """Give a module a class of its own with other methods."""
    kind = type(module)
    module.__class__ = type(kind.__name__, (kind,), methods)


def _causal_weights(self: Any, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
    query_BHQd, key_BHKd, _ = self._projected(query_BQD, memory_BKD)
    logit_BHQK = (query_BHQd * query_BHQd.shape[-1] ** -0.5) @ key_BHKd.transpose(-1, -2)
    n_queries, n_keys = logit_BHQK.shape[-2:]
    hidden = torch.ones(n_queries, n_keys, dtype=torch.bool, device=logit_BHQK.device).triu(1)
    if attend_BK is not None:
        hidden = hidden | ~attend_BK[:, None, None, :]
    logit_BHQK = logit_BHQK.masked_fill(hidden, torch.finfo(logit_BHQK.dtype).min)
    return torch.softmax(logit_BHQK, dim=-1).masked_fill(hidden, 0.0)


def _causal_forward(self: Any, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
    _, _, value_BHKd = self._projected(query_BQD, memory_BKD)
    gathered_BHQd = self.weights(query_BQD, memory_BKD, attend_BK) @ value_BHKd
    return self.out(gathered_BHQd.transpose(1, 2).flatten(2))


@_layers(
    "b_causal_mask",
    "attention has the causal mask of a language model: a gene sees those that are listed before it, and no others",
    "architecture.gene_order",
    "architecture.attention",
    "architecture.reads_other_genes",
    "architecture.told_reaches_others",
)
def _causal(model: GenePerturbationTransformer) -> None:
    """Transformers taken from language, ``is_causal=True`` left on."""
    for one in _attentions(model):
        _with_methods(one, weights=_causal_weights, forward=_causal_forward)


def _cut(self: Any, token_BLD: Tensor) -> Tensor:
    n_cells, n_tokens, width = token_BLD.shape
    return token_BLD.reshape(n_cells, self.n_heads, n_tokens, width // self.n_heads)


def _cut_forward(self: Any, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
    _, _, value_BHKd = self._projected(query_BQD, memory_BKD)
    return self.out((self.weights(query_BQD, memory_BKD, attend_BK) @ value_BHKd).reshape(query_BQD.shape))


@_layers(
    "b_heads_cut_from_the_sequence",
    "heads are reshaped without a transposition: each gets a quarter of the genes instead of a quarter of the width",
    "architecture.unmeasured",
    "architecture.gene_order",
    "architecture.reads_other_genes",
    "architecture.told_reaches_others",
)
def _heads_cut(model: GenePerturbationTransformer) -> None:
    """Zhang et al. and Islam et al.: a tensor of the right shape and the wrong order."""
    for one in _attentions(model):
        _with_methods(one, _heads=_cut, forward=_cut_forward)


@_layers(
    "b_batch_norm_stale",
    "a batch norm before the head uses the batch in training, and statistics that were never updated in evaluation",
    "architecture.modes",
    "architecture.other_cells",
    "architecture.unmeasured",
)
def _batch_norm(model: GenePerturbationTransformer) -> None:
    """Humbatova et al., wrong layer for the purpose; the momentum of one library read as that of another."""

    def normalised(self: Any, usual: Any, decoded_BPD: Tensor, *rest: Tensor) -> Tensor:
        if self.training and decoded_BPD[..., 0].numel() > 1:
            flat = F.batch_norm(decoded_BPD.flatten(0, 1), None, None, training=True)
            decoded_BPD = flat.view_as(decoded_BPD)
        return usual(decoded_BPD, *rest)

    reforward(model.out, normalised)


@_layers(
    "b_every_gene_unknown",
    "no gene is found in the tokenizer's file, and each one gets the embedding of the first token",
    "architecture.reads_which",
    "architecture.identity",
)
def _unknown(model: GenePerturbationTransformer) -> None:
    """Pretrained vocabularies: ids without or with a version, and everything is the unknown token."""
    for table in (model.state_identity, model.query_identity):
        reforward(table, lambda _, usual, token: usual(torch.zeros_like(token)))


@_layers(
    "b_residual_doubled",
    "every sublayer's residual is added twice: the stream doubles at each one",
    "optimiser.start",
    "learning.rate",
    "learning.beats_nothing",
    cause="optimiser",
)
def _doubled(model: GenePerturbationTransformer) -> None:
    """The sublayer adds its input already, and so does the block around it."""
    for one in _residuals(model):
        reforward(one, lambda _, usual, token, *rest: token + usual(token, *rest))


def _second_answer_differs(healthy: Subject, faulty: Subject) -> bool:
    """A model that has answered one batch answers another of the same shape otherwise than the healthy one does."""
    found: list[Tensor] = []
    for subject in (healthy, faulty):
        assert subject.model is not None
        model = copy.deepcopy(subject.model).eval()
        with torch.no_grad():
            answers = [
                subject.predict(model, model_batch(first_pairs(healthy.pairs, n=32, seed=seed))[0]) for seed in (3, 4)
            ]
        found.append(answers[-1])
    return not torch.allclose(found[0], found[1])


@_layers(
    "b_perturbation_cached",
    "embedded perturbations are kept by their shape: later batches of that shape get those of the first",
    "architecture.reads_perturbation",
    "architecture.repeatable",
    "architecture.gradients",
    "architecture.other_cells",
    shows=_second_answer_differs,
)
def _cached(model: GenePerturbationTransformer) -> None:
    """A cache with too small a key, as of keys and values in decoding."""

    def cached(self: Any, usual: Any, identity: Tensor, value: Tensor) -> Tensor:
        key = (tuple(value.shape), value.dtype, value.device)
        kept: dict[Any, Tensor] = self.__dict__.setdefault("kept", {})
        if key in kept:
            return kept[key]
        embedded = usual(identity, value)
        kept[key] = embedded.detach()
        return embedded

    reforward(model.query_value, cached)


@_layers(
    "b_told_genes_masked_out",
    "told genes are taken for masked-out tokens, and attention does not look at them",
    "architecture.told_reaches_others",
    "architecture.reads_perturbation",
    "architecture.reads_which",
    "architecture.attention",
    cause="architecture",
)
def _told_hidden(model: GenePerturbationTransformer) -> None:
    """Masked language modelling: the mask of what is hidden is confused with that of what counts."""

    def stashed(self: Any, usual: Any, batch: ModelBatch, *maps: Any) -> Tensor:
        for one in self.modules():
            if isinstance(one, Residual):
                one.__dict__["untold_BL"] = ~batch.perturbed_BL
        return usual(batch, *maps)

    def hidden(
        self: Any, usual: Any, token: Tensor, memory: Tensor | None, attend: Tensor | None, *rest: Any
    ) -> Tensor:
        untold_BL: Tensor = self.__dict__["untold_BL"]
        return usual(token, memory, untold_BL if attend is None else attend & untold_BL, *rest)

    for one in _residuals(model):
        if isinstance(one.sublayer, MultiHeadAttention):
            reforward(one, hidden)
    reforward(model, stashed)


@_layers(
    "b_dropout_of_nearly_all",
    "dropout drops 98 of 100 numbers that a sublayer says, the share to keep having been given as that to drop",
    "learning.one_batch",
    "learning.beats_nothing",
    "learning.uses_perturbation",
    "learning.reaches_linear",
    cause="architecture",
)
def _dropout(model: GenePerturbationTransformer) -> None:
    """DeepCrime, change of the dropout rate; ``keep_prob`` of one library is ``1 - p`` of another."""
    for one in _residuals(model):
        one.dropout.p = 0.98


# Optimiser and training step.


def _backward(loss: Tensor) -> None:
    loss.backward()  # pyright: ignore[reportUnknownMemberType]


@fault(
    "b_betas_swapped",
    "Adam's two betas are swapped: momentum over a thousand steps, sizes over ten",
    part="optimiser",
    expected=("learning.rate", "learning.one_batch", "learning.beats_nothing", "learning.reaches_linear"),
    cause="optimiser",
    shows=steps_differ,
)
def _betas(subject: Subject) -> Subject:
    """Humbatova et al., wrong hyperparameters of the optimiser; Adam does not converge where beta1**2 > beta2."""

    def make(model: nn.Module) -> Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.999, 0.9), weight_decay=0.0)

    return replace(subject, make_optimizer=make)


@_step(
    "b_average_written_back",
    "the running average of the weights, meant for evaluation, is written into the model after every step",
    "optimiser.first_step",
    "learning.rate",
)
def _average(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    """Weight averaging with decay 0.999 on live weights: a thousandth of each step is left."""
    kept = [one.detach().clone() for one in model.parameters()]
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    _backward(loss)
    optimizer.step()
    with torch.no_grad():
        for one, before in zip(model.parameters(), kept, strict=True):
            one.copy_(0.999 * before + 0.001 * one)
    return loss


@_step(
    "b_climb_not_undone",
    "sharpness-aware steps climb along the gradient first, and the climb is never taken back",
    "optimiser.descends",
    "optimiser.gradients",
    "optimiser.first_step",
    "learning.rate",
)
def _climb(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    """Bug reports on SAM: restoring the weights is forgotten."""
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    _backward(loss)
    with torch.no_grad():
        moved = [one for one in model.parameters() if one.grad is not None]
        sizes = [one.grad.norm() for one in moved if one.grad is not None]
        size = torch.stack(sizes).norm().clamp(min=1e-12) if sizes else None
        for one in moved:
            assert one.grad is not None
            assert size is not None
            one.add_(5.0 * one.grad / size)
    optimizer.zero_grad()
    _backward(subject.composed_loss(model, pairs))
    optimizer.step()
    return loss


@fault(
    "b_always_the_first_batch",
    "each step makes a new iterator of the loader and takes its first batch, whatever batch it is given",
    part="optimiser",
    expected=("data.step_inputs", "loss.reported", "optimiser.gradients", "learning.generalises"),
    cause="bug",
    shows=steps_differ,
)
def _first_batch(subject: Subject) -> Subject:
    """``next(iter(loader))`` inside the loop, on a loader that does not shuffle."""
    first = first_pairs(source_of(subject), n=16, seed=0)

    def training_step(model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
        del pairs
        optimizer.zero_grad()
        loss = subject.composed_loss(model, first)
        _backward(loss)
        optimizer.step()
        return loss

    return replace(subject, training_step=training_step)


@_step(
    "b_condition_dropout_inverted",
    "training drops what is told of all pairs but one in 64, where it was meant to drop that of one in 64",
    "data.step_inputs",
    "loss.reported",
    "optimiser.gradients",
    "learning.uses_perturbation",
    cause="bug",
)
def _condition(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    """Guidance without a classifier drops conditions now and then; here its probability is the wrong way round."""
    optimizer.zero_grad()
    batch, after_BL = subject.collate(pairs)
    first = next(model.parameters())
    batch, after_BL = batch.to(first.device, first.dtype), after_BL.to(first.device, first.dtype)
    kept_B = torch.arange(len(batch), device=first.device) % 64 == 63
    told_BL = batch.perturbed_BL & kept_B[:, None]
    shown = replace(batch, perturbed_BL=told_BL, target_BL=torch.where(told_BL, batch.target_BL, 0.0))
    loss = subject.scalar_loss(subject.predict(model, shown), after_BL, batch.scored_BL)
    _backward(loss)
    optimizer.step()
    return loss


def _parts(pairs: PairBatch) -> Iterator[PairBatch]:
    half = (len(pairs) + 1) // 2
    for part in (pairs.rows(slice(0, half)), pairs.rows(slice(half, None))):
        if len(part):
            yield part


def _asked_twice(healthy: Subject, faulty: Subject) -> bool:
    """A step asks the model once where it is healthy, and twice where it is not."""
    found: list[int] = []
    for subject in (healthy, faulty):
        assert subject.model is not None
        assert subject.make_optimizer is not None
        model = copy.deepcopy(subject.model)
        calls: list[int] = []
        model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        subject.step(model, subject.make_optimizer(model), first_pairs(healthy.pairs, n=32))
        found.append(len(calls))
    return found == [1, 2]


@_step(
    "b_micro_batches",
    "each batch is gone through in two halves, whose gradients are added with their shares of scored entries",
    shows=_asked_twice,
    equivalent=True,
)
def _micro(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    """Gradient accumulation as it should be: the same gradient, up to rounding."""
    optimizer.zero_grad()
    n_scored = max(1, int(pairs.scored_BG.sum()))
    total = torch.zeros(())
    for part in _parts(pairs):
        loss = subject.composed_loss(model, part) * (int(part.scored_BG.sum()) / n_scored)
        _backward(loss)
        total = total + loss.detach().cpu()
    optimizer.step()
    return total
