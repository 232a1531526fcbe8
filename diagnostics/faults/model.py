"""Faults planted in the model: inputs that it ignores, inputs that it should not read, and paths that are cut.

A patched forward takes the layer's own arguments, and so has no types to check.
"""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.decorators import input_fault, layers_fault, prediction_fault
from diagnostics.faults.fault import copied, fault, reforward, with_source
from diagnostics.faults.is_planted import gradients_differ, predictions_differ
from gpcp.model.attention import MultiHeadAttention, Residual
from gpcp.model.batch import ModelBatch
from gpcp.model.transformer import GenePerturbationTransformer


def _attentions(model: nn.Module) -> list[MultiHeadAttention]:
    return [one for one in model.modules() if isinstance(one, MultiHeadAttention)]


@layers_fault("attention_mask_missing", "attention looks at unmeasured genes and padding, too", "unmeasured", "padding")
def _mask_missing(model: GenePerturbationTransformer) -> None:
    for one in _attentions(model):
        reforward(one, lambda _, usual, query, memory, attend: usual(query, memory, None))


@layers_fault("attention_mask_inverted", "attention looks at what is unmeasured only, where there is any",
         "unmeasured", "padding", "reads_measured", "nan_unmeasured")  # fmt: skip
def _mask_inverted(model: GenePerturbationTransformer) -> None:
    for one in _attentions(model):
        reforward(
            one, lambda _, usual, query, memory, attend: usual(query, memory, None if attend is None else ~attend)
        )


def _wrong_axis(self: Any, usual: Any, query: Tensor, memory: Tensor, attend: Tensor | None) -> Tensor:
    del usual
    query_BHQd, key_BHKd, value_BHKd = self._projected(query, memory)
    logit = query_BHQd @ key_BHKd.transpose(-1, -2) * query_BHQd.shape[-1] ** -0.5
    weight = torch.softmax(logit, dim=-2)
    if attend is not None:
        weight = weight.masked_fill(~attend[:, None, None, :], 0.0)
    return self.out((weight @ value_BHKd).transpose(1, 2).flatten(2))


@layers_fault("softmax_over_the_wrong_axis", "attention's softmax runs over the queries instead of the tokens",
         "attention", "padding", "unmeasured")  # fmt: skip
def _softmax(model: GenePerturbationTransformer) -> None:
    for one in _attentions(model):
        reforward(one, _wrong_axis)


@layers_fault("attention_over_the_batch", "attention runs over the pairs of a batch instead of the genes of a pair",
         "reads_other_genes", "other_cells", cause="bug")  # fmt: skip
def _over_batch(model: GenePerturbationTransformer) -> None:
    def swapped(_: nn.Module, usual: Any, query: Tensor, memory: Tensor, attend: Tensor | None) -> Tensor:
        del attend
        return usual(query.transpose(0, 1), memory.transpose(0, 1), None).transpose(0, 1)

    for one in _attentions(model):
        reforward(one, swapped)


@layers_fault("no_attention", "every attention adds 0: no information passes between genes", "reads_other_genes",
         cause="architecture")  # fmt: skip
def _no_attention(model: GenePerturbationTransformer) -> None:
    for one in _attentions(model):
        reforward(one, lambda _, usual, query, memory, attend: 0.0 * usual(query, memory, attend))


@layers_fault("position_leak", "tokens carry their position in the batch", "gene_order")
def _position(model: GenePerturbationTransformer) -> None:
    reforward(
        model.state_value,
        lambda _, usual, identity, value: (
            usual(identity, value)
            + torch.linspace(0, 3, value.shape[1], dtype=value.dtype, device=value.device)[:, None]
        ),
    )


@input_fault("identity_of_the_place",
         "genes are identified by their position in the batch, not by their token", "gene_order",
        "padding")  # fmt: skip
def _by_position(batch: ModelBatch) -> ModelBatch:
    return replace(batch, token_BL=torch.arange(batch.before_BL.shape[1], device=batch.token_BL.device)[None])


@layers_fault("tokens_wrap", "the genes' embeddings have four entries, around which the tokens of all genes wrap",
         "reads_which", "distinguishes_genes")  # fmt: skip
def _wrap(model: GenePerturbationTransformer) -> None:
    for one in (model.state_identity, model.query_identity):
        reforward(one, lambda _, usual, token: usual(token % 4))


@layers_fault("tokens_shuffled",
         "the decoded queries are shuffled before the head reads them", "gene_order", "repeatable",
         "unmeasured")  # fmt: skip
def _shuffled(model: GenePerturbationTransformer) -> None:
    def mixed(_: nn.Module, usual: Any, decoded: Tensor, attend: Tensor, token: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(decoded.shape[1])
        return usual(decoded[:, torch.randperm(decoded.shape[1], generator=generator)], attend, token)

    reforward(model.out, mixed)


@layers_fault("dropout_in_evaluation", "dropout stays on in evaluation mode", "repeatable")
def _dropout(model: GenePerturbationTransformer) -> None:
    reforward(model.state_value, lambda _, usual, *values: F.dropout(usual(*values), 0.5, training=True))


@prediction_fault("cells_mixed", "the mean over the batch enters every pair's prediction", "other_cells", "unmeasured")
def _mixed(answer_BL: Tensor, batch: ModelBatch) -> Tensor:
    del batch
    return answer_BL + 0.5 * answer_BL.mean(dim=0, keepdim=True)


@layers_fault("first_cell_only", "the encoded state reaches the first cell of a batch only", "other_cells")
def _first_cell(model: GenePerturbationTransformer) -> None:
    def only_first(_: nn.Module, usual: Any, *values: Tensor) -> Tensor:
        state = usual(*values)
        return torch.cat((state[:1], torch.zeros_like(state[1:])))

    reforward(model.state_value, only_first)


@layers_fault("mask_of_the_first_cell", "the first cell's mask is used for all", "other_cells", "unmeasured", "padding")
def _first_mask(model: GenePerturbationTransformer) -> None:
    for one in _attentions(model):
        reforward(
            one,
            lambda _, usual, query, memory, attend: usual(
                query, memory, None if attend is None else attend[:1].expand_as(attend)
            ),
        )


@prediction_fault("nan_path", "unmeasured values are multiplied by 0, which keeps NaN, and none is stored",
           equivalent=True)  # fmt: skip
def _nan(answer_BL: Tensor, batch: ModelBatch) -> Tensor:
    return answer_BL + (batch.before_BL * 0).sum(dim=1, keepdim=True)


@prediction_fault("root_of_zero", "the root of 0 is added, whose derivative is infinite", "gradients", "nan_unmeasured",
           shows=gradients_differ)  # fmt: skip
def _root(answer_BL: Tensor, batch: ModelBatch) -> Tensor:
    del batch
    return answer_BL + (answer_BL * 0).sqrt()


@prediction_fault(
    "reads_unmeasured", "the mean over all positions, unmeasured ones included, enters the predictions", "unmeasured"
)
def _unmeasured(answer_BL: Tensor, batch: ModelBatch) -> Tensor:
    return answer_BL + batch.before_BL.mean(dim=1, keepdim=True)


@layers_fault("embedding_frozen", "the genes' embeddings are not trained, and distinguish genes as they are drawn",
         equivalent=True, shows=gradients_differ)  # fmt: skip
def _frozen(model: GenePerturbationTransformer) -> None:
    model.state_identity.weight.requires_grad_(False)
    model.query_identity.weight.requires_grad_(False)


@layers_fault("dead_relu", "a ReLU whose inputs are all far below 0 is put before the head", "gradients",
         "reads_expression")  # fmt: skip
def _dead(model: GenePerturbationTransformer) -> None:
    model.skip_G = None
    reforward(model.out, lambda _, usual, decoded, *rest: usual(torch.relu(decoded - 1e3), *rest))


@layers_fault("zero_weights", "every weight begins at 0", "gradients")
def _zero(model: GenePerturbationTransformer) -> None:
    with torch.no_grad():
        for one in model.parameters():
            one.zero_()


@layers_fault("pooled_to_a_scalar",
         "all queries are pooled to one number, which is the prediction for every gene", "identity",
         "rank", cause="architecture")  # fmt: skip
def _scalar(model: GenePerturbationTransformer) -> None:
    model.skip_G = None

    def pooled(_: nn.Module, usual: Any, decoded: Tensor, attend: Tensor, token: Tensor) -> Tensor:
        answer = usual(decoded, attend, token)
        counts = attend.to(answer)
        return ((answer * counts).sum(dim=1, keepdim=True) / counts.sum(dim=1, keepdim=True)).expand_as(answer)

    reforward(model.out, pooled)


@layers_fault("bottleneck", "one number passes between genes: predictions can only change together", "rank",
         "unmeasured", "padding", cause="architecture")  # fmt: skip
def _bottleneck(model: GenePerturbationTransformer) -> None:
    model.skip_G = None

    def narrow(_: nn.Module, usual: Any, decoded: Tensor, attend: Tensor, token: Tensor) -> Tensor:
        counts = attend[..., None].to(decoded)
        one = (decoded * counts).mean(dim=2, keepdim=True).sum(dim=1, keepdim=True) / counts.sum(dim=1, keepdim=True)
        return usual(one.expand_as(decoded), attend, token)

    reforward(model.out, narrow)


def _rebuilt(name: str, plants: str, *expected: str, **parts: Any) -> None:
    """Register a model of another configuration as a fault."""

    def apply(subject: Subject) -> Subject:
        model, _ = copied(subject)
        other = GenePerturbationTransformer(replace(model.config, **parts), seed=0)
        changed = replace(subject, model=other)
        return changed if changed.pairs is None else with_source(changed, changed.pairs, changed.held_out)

    fault(
        name, plants, part="model", expected=tuple(f"architecture.{one}" for one in expected), cause="architecture",
        shows=predictions_differ,
    )(apply)  # fmt: skip


_rebuilt("identity_lost", "identity x value: where the value is 0 a gene has no identity", "identity",
         value_embedding="product", head="mlp", query_features="delta", query_form="all_genes",
         standardise=False, skip=False)  # fmt: skip
_rebuilt("no_path_between_genes", "queries do not attend to each other: a gene's change reaches no other's prediction",
         "perturbation_reaches_others", query_attention=False)  # fmt: skip


@input_fault(
    "perturbation_not_fed",
    "the perturbation never enters the model",
    "reads_perturbation",
    "perturbation_reaches_others",
)
def _not_fed(batch: ModelBatch) -> ModelBatch:
    return replace(
        batch, perturbed_BL=torch.zeros_like(batch.perturbed_BL), target_BL=torch.zeros_like(batch.target_BL)
    )


@input_fault("dose_dropped", "the model reads which genes are perturbed, not how far", "reads_dose", "reads_sign")
def _dose(batch: ModelBatch) -> ModelBatch:
    return replace(batch, target_BL=batch.before_BL + batch.perturbed_BL.to(batch.before_BL))


@input_fault(
    "largest_change_only",
    "of several perturbed genes the model reads the one that changes most",
    "reads_every_perturbation",
)
def _largest(batch: ModelBatch) -> ModelBatch:
    size_BL = torch.where(batch.perturbed_BL, (batch.target_BL - batch.before_BL).abs(), -1.0)
    read_BL = batch.perturbed_BL & (size_BL == size_BL.max(dim=1, keepdim=True).values)
    return replace(batch, perturbed_BL=read_BL, target_BL=torch.where(read_BL, batch.target_BL, 0.0))


@input_fault("sign_lost", "the model reads by how much a gene changes, not which way", "reads_sign")
def _sign(batch: ModelBatch) -> ModelBatch:
    return replace(batch, target_BL=batch.before_BL + (batch.target_BL - batch.before_BL).abs())


@input_fault("expression_not_fed", "the cell before never enters the model", "reads_expression")
def _expression(batch: ModelBatch) -> ModelBatch:
    return replace(batch, before_BL=torch.zeros_like(batch.before_BL))


def _ignores_cell(model: GenePerturbationTransformer) -> None:
    reforward(
        model,
        lambda _, usual, batch, *maps: (
            batch.before_BL.nan_to_num() + usual(replace(batch, before_BL=torch.zeros_like(batch.before_BL)), *maps)
        ),
    )


layers_fault("effect_ignores_the_cell",
         "an effect that does not depend on the cell is added to it", "reads_other_genes",
        cause="architecture")(_ignores_cell)  # fmt: skip


@layers_fault("encoder_detached", "no gradient flows back into the encoder", "gradients", shows=gradients_differ)
def _detached(model: GenePerturbationTransformer) -> None:
    for layer in model.encoder:
        reforward(layer, lambda _, usual, *values: usual(*values).detach())


@layers_fault("layers_in_a_list",
         "the encoder's layers are in a plain list, where no optimiser finds them", "state_dict",
         shows=gradients_differ)  # fmt: skip
def _listed(model: GenePerturbationTransformer) -> None:
    layers = list(model.encoder)
    del model.encoder
    model.__dict__["encoder"] = layers


@layers_fault("training_mode_differs", "predictions are halved in training mode", "modes")
def _modes(model: GenePerturbationTransformer) -> None:
    reforward(model.out, lambda self, usual, *values: usual(*values) * (0.5 if self.training else 1.0))


@layers_fault("division_by_spread_zero", "genes are divided by a spread of 0", "finite")
def _spread(model: GenePerturbationTransformer) -> None:
    model.spread_G.zero_()


@prediction_fault("relu_on_the_output", "a ReLU ends the model; expression goes below 0", "range", cause="architecture")
def _relu(answer_BL: Tensor, batch: ModelBatch) -> Tensor:
    del batch
    return torch.relu(answer_BL)


@prediction_fault("sigmoid_on_the_output", "a sigmoid ends the model", "range", cause="architecture")
def _sigmoid(answer_BL: Tensor, batch: ModelBatch) -> Tensor:
    del batch
    return torch.sigmoid(answer_BL)


@layers_fault("residual_dropped", "one block's residual sum is missing", equivalent=True)
def _residual(model: GenePerturbationTransformer) -> None:
    last = [one for one in model.encoder.modules() if isinstance(one, Residual)][-1]
    reforward(last, lambda self, usual, token, *rest: usual(token, *rest) - token)


@layers_fault("attention_sharper", "attention's logits are twice as large", equivalent=True)
def _sharper(model: GenePerturbationTransformer) -> None:
    for one in _attentions(model):
        reforward(one.query_norm, lambda _, usual, query: 2 * usual(query))
