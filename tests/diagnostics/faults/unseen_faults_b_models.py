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

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from torch import Tensor, nn
from torch.optim import Optimizer

from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.decorators import layers_fault, step_fault
from diagnostics.faults.fault import fault, reforward, source_of
from diagnostics.faults.is_planted import first_pairs, steps_differ
from gpcp.core.pairs import PairBatch
from gpcp.model.attention import MultiHeadAttention, Residual
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.transformer import GenePerturbationTransformer

RATE = 1e-2
"""At which the healthy subjects learn."""

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


@layers_fault(
    "b_causal_mask",
    "attention has the causal mask of a language model: a gene sees those that are listed before it, and no others",
    "architecture.gene_order",
    "architecture.attention",
    "architecture.reads_other_genes",
    "architecture.perturbation_reaches_others",
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


@layers_fault(
    "b_heads_cut_from_the_sequence",
    "heads are reshaped without a transposition: each gets a quarter of the genes instead of a quarter of the width",
    "architecture.unmeasured",
    "architecture.gene_order",
    "architecture.reads_other_genes",
    "architecture.perturbation_reaches_others",
)
def _heads_cut(model: GenePerturbationTransformer) -> None:
    """Zhang et al. and Islam et al.: a tensor of the right shape and the wrong order."""
    for one in _attentions(model):
        _with_methods(one, _heads=_cut, forward=_cut_forward)


@layers_fault(
    "b_batch_norm_stale",
    "a batch norm before the head uses the batch in training, and statistics that were never updated in evaluation",
    "architecture.modes",
    "architecture.other_cells",
    "architecture.unmeasured",
)
def _batch_norm(model: GenePerturbationTransformer) -> None:
    """Humbatova et al., wrong layer for the purpose; the momentum of one library read as that of another."""

    def normalised(self: Any, usual: Any, decoded_BQD: Tensor, *rest: Tensor) -> Tensor:
        if self.training and decoded_BQD[..., 0].numel() > 1:
            flat = F.batch_norm(decoded_BQD.flatten(0, 1), None, None, training=True)
            decoded_BQD = flat.view_as(decoded_BQD)
        return usual(decoded_BQD, *rest)

    reforward(model.out, normalised)


@layers_fault(
    "b_every_gene_unknown",
    "no gene is found in the tokenizer's file, and each one gets the embedding of the first token",
    "architecture.reads_which",
    "architecture.identity",
)
def _unknown(model: GenePerturbationTransformer) -> None:
    """Pretrained vocabularies: ids without or with a version, and everything is the unknown token."""
    for table in (model.state_identity, model.query_identity):
        reforward(table, lambda _, usual, token: usual(torch.zeros_like(token)))


@layers_fault(
    "b_residual_doubled",
    "every sublayer's residual is added twice: the stream doubles at each one",
    "optimiser.start",
    "learning.rate",
    "learning.beats_baseline",
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


@layers_fault(
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


@layers_fault(
    "b_perturbed_genes_masked_out",
    "perturbed genes are taken for masked-out tokens, and attention does not look at them",
    "architecture.perturbation_reaches_others",
    "architecture.reads_perturbation",
    "architecture.reads_which",
    "architecture.attention",
    cause="architecture",
)
def _perturbed_hidden(model: GenePerturbationTransformer) -> None:
    """Masked language modelling: the mask of what is hidden is confused with that of what counts."""

    def stashed(self: Any, usual: Any, batch: ModelBatch, *maps: Any) -> Tensor:
        for one in self.modules():
            if isinstance(one, Residual):
                one.__dict__["unperturbed_BL"] = ~batch.perturbed_BL
        return usual(batch, *maps)

    def hidden(
        self: Any, usual: Any, token: Tensor, memory: Tensor | None, attend: Tensor | None, *rest: Any
    ) -> Tensor:
        unperturbed_BL: Tensor = self.__dict__["unperturbed_BL"]
        return usual(token, memory, unperturbed_BL if attend is None else attend & unperturbed_BL, *rest)

    for one in _residuals(model):
        if isinstance(one.sublayer, MultiHeadAttention):
            reforward(one, hidden)
    reforward(model, stashed)


@layers_fault(
    "b_dropout_of_nearly_all",
    "dropout drops 98 of 100 numbers that a sublayer returns, the share to keep having been given as that to drop",
    "learning.one_batch",
    "learning.beats_baseline",
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
    expected=("learning.rate", "learning.one_batch", "learning.beats_baseline", "learning.reaches_linear"),
    cause="optimiser",
    shows=steps_differ,
)
def _betas(subject: Subject) -> Subject:
    """Humbatova et al., wrong hyperparameters of the optimiser; Adam does not converge where beta1**2 > beta2."""

    def make(model: nn.Module) -> Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.999, 0.9), weight_decay=0.0)

    return replace(subject, make_optimizer=make)


@step_fault(
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


@step_fault(
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


@step_fault(
    "b_condition_dropout_inverted",
    "training drops the perturbations of all pairs but one in 64, where it was meant to drop that of one in 64",
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
    perturbed_BL = batch.perturbed_BL & kept_B[:, None]
    shown = replace(batch, perturbed_BL=perturbed_BL, target_BL=torch.where(perturbed_BL, batch.target_BL, 0.0))
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


@step_fault(
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
