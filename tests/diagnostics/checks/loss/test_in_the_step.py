"""What a training step reads: faults that leave out the target, its pairing or the perturbation, and healthy steps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.subject import TrainingStep
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import Mlp, failures, found, made, pairs_of, subject

Dense = tuple[Tensor, Tensor, Tensor, Tensor]
Loss = Callable[[nn.Module, Dense, Tensor, Tensor], Tensor]
NAMES = ("loss.reads_target", "loss.own_target", "loss.reads_perturbation")


def step_of(loss: Loss) -> TrainingStep:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        model.train()
        batch, after = model_batch(pairs)
        target = torch.where(batch.perturbed_BL, batch.target_BL, 0.0)
        optimizer.zero_grad()
        value = loss(model, (batch.before_BL, target, batch.measured_BL, batch.perturbed_BL), after, batch.scored_BL)
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


def squared(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    return masked_loss(model(*values), after, scored)


def robust(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(model(*values)[scored], after[scored])


def correlation(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    answer = model(*values) * scored
    return -nn.functional.cosine_similarity(answer, after * scored, dim=1).mean()


def rarely_unconditional(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    kept = (torch.rand(len(after), 1) > 0.1).to(after)
    before, target, measured, perturbed = values
    return squared(model, (before, target * kept, measured, perturbed * kept), after, scored)


def reconstruction(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    return masked_loss(model(*values), values[0], scored)


def penalty_alone(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    return model(*values).square().mean()


def means(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    weight = scored.to(after)
    return (((model(*values) - after) * weight).sum(dim=0) / weight.sum(dim=0)).square().mean()


def mostly_unconditional(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    kept = (torch.rand(len(after), 1) > 0.6).to(after)
    before, target, measured, perturbed = values
    return masked_loss(model(before, target * kept, measured, perturbed * kept), after, torch.ones_like(scored))


@pytest.mark.parametrize("loss", [squared, robust, correlation, rarely_unconditional])
def test_healthy_steps_read_all_of_it(loss: Loss):
    asked = subject(made(lambda: Mlp(8)), training_step=step_of(loss))
    assert {found(asked, name).outcome for name in NAMES} == {"pass"}
    assert failures(asked, *NAMES) == []


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (reconstruction, "loss.reads_target"),
        (penalty_alone, "loss.reads_target"),
        (means, "loss.own_target"),
        (mostly_unconditional, "loss.reads_perturbation"),
    ],
)
def test_what_a_step_leaves_out_is_named(loss: Loss, name: str):
    asked = subject(made(lambda: Mlp(8)), training_step=step_of(loss))
    result = found(asked, name)
    assert (result.outcome, result.cause) == ("fail", "bug"), result.message
    assert found(subject(made(lambda: Mlp(8)), pairs=pairs_of()), name).outcome == "not_applicable"
