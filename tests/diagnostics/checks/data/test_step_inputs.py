"""What a training step of one's own shows its model: mishaps inside the closed box, and healthy steps of many makes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import Mlp, found, made, subject

NAME = "data.step_inputs"
Alter = Callable[[ModelBatch, Tensor], ModelBatch]


def step_with(alter: Alter):
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        optimizer.zero_grad()
        batch, after_BL = model_batch(pairs)
        loss = masked_loss(model(alter(batch, after_BL)), after_BL, batch.scored_BL)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


FAULTS: list[tuple[Alter, str]] = [
    (lambda b, _: replace(b, before_BL=torch.zeros_like(b.before_BL)), "before_BL at"),
    (lambda b, _: replace(b, target_BL=-b.target_BL), "target_BL"),
    (lambda b, _: replace(b, perturbed_BL=torch.zeros_like(b.perturbed_BL)), "perturbed_BL"),
    (lambda b, _: replace(b, token_BL=b.token_BL.roll(1, dims=1)), "token_BL"),
    (lambda b, a: replace(b, before_BL=torch.where(b.scored_BL, a, b.before_BL)), "the model's input holds them"),
]


@pytest.mark.parametrize(("alter", "words"), FAULTS)
def test_a_mishap_inside_the_step_is_found(alter: Alter, words: str):
    result = found(subject(training_step=step_with(alter)), NAME)
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert words in result.message


def test_a_step_that_keeps_its_first_batch_is_found():
    kept: list[ModelBatch] = []

    def stale(batch: ModelBatch, _: Tensor) -> ModelBatch:
        if not kept:
            rows = torch.arange(len(batch)).roll(1)
            kept.append(replace(batch, before_BL=batch.before_BL[rows]))
        return kept[0]

    assert found(subject(training_step=step_with(stale)), NAME).outcome == "fail"


def test_healthy_steps_pass():
    assert found(subject(training_step=step_with(lambda b, _: b)), NAME).outcome == "pass"
    half = step_with(lambda b, _: replace(b, before_BL=b.before_BL.bfloat16().float()))
    assert found(subject(training_step=half), NAME).outcome == "pass"


def test_noise_on_the_input_is_left_open():
    generator = torch.Generator().manual_seed(0)

    def noisy(batch: ModelBatch, _: Tensor) -> ModelBatch:
        noise_BL = torch.randn(batch.before_BL.shape, generator=generator)
        return replace(batch, before_BL=batch.before_BL + noise_BL)

    assert found(subject(training_step=step_with(noisy)), NAME).outcome == "inconclusive"


def test_parts_of_a_batch_and_other_calls_are_not_judged():
    def in_parts(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        rows = [np.array([row]) for row in range(len(pairs))]
        return sum(step_with(lambda b, _: b)(model, optimizer, pairs.rows(row)) for row in rows) / len(rows)

    assert found(subject(training_step=in_parts), NAME).outcome == "not_applicable"
    assert found(subject(training_step=lambda model, optimizer, pairs: 0.0), NAME).outcome == "not_applicable"
    assert found(subject(), NAME).outcome == "not_applicable"


@pytest.mark.parametrize(("sign", "outcome"), [(1, "pass"), (-1, "fail")])
def test_a_plain_module_is_watched_by_its_four_tensors(sign: int, outcome: str):
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        optimizer.zero_grad()
        perturbed_BG = torch.as_tensor(np.array(pairs.perturbed_BG))
        after_BG = torch.as_tensor(np.array(pairs.after_BG))
        answer_BG = model(
            torch.as_tensor(np.array(pairs.before_BG)), sign * torch.where(perturbed_BG, after_BG, 0.0),
            measured_BG=torch.as_tensor(np.array(pairs.measured_BG)), perturbed_BG=perturbed_BG,
        )  # fmt: skip
        loss = masked_loss(answer_BG, after_BG, torch.as_tensor(np.array(pairs.scored_BG)))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    assert found(subject(made(lambda: Mlp(8)), training_step=step), NAME).outcome == outcome
