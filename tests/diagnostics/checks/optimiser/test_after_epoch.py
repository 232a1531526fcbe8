"""What runs after an epoch: it may average, clip or evaluate, and must not undo what was learnt; all is put back."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.check_result import CheckResult
from gpcp.model.torch_seed import torch_seed

N_GENES = 6


@dataclass
class Training:
    """A loop of one's own with a moving average, which is updated where ``averaged``."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    shadow: dict[str, Tensor]
    averaged: bool = True

    def step(self, batch: dict[str, Tensor]) -> float:
        self.optimizer.zero_grad()
        loss = (self.predict(batch) - batch["after"]).square().mean()
        loss.backward()
        self.optimizer.step()
        for name, value in self.model.state_dict().items() if self.averaged else ():
            self.shadow[name].lerp_(value, 0.001)
        return loss.item()

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        return self.model(torch.cat([batch["before"], batch["perturbation"]], dim=1))

    def swap(self) -> None:
        self.model.load_state_dict(self.shadow)

    def reset(self) -> None:
        for module in self.model.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()

    def forget(self) -> None:
        self.optimizer.state.clear()

    def clip(self) -> None:
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.clamp_(-0.1, 0.1)

    def unfreeze(self) -> None:
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)

    def nothing(self) -> None:
        pass


def training(*, averaged: bool = True) -> Training:
    with torch_seed(0):
        model = nn.Sequential(nn.Linear(2 * N_GENES, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, N_GENES))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return Training(model, optimizer, copy.deepcopy(model.state_dict()), averaged)


def batches() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(320, N_GENES, generator=generator)
    perturbed = torch.eye(N_GENES)[torch.arange(320) % N_GENES]
    whole = {"before": before, "perturbation": perturbed, "after": before.flip(1) + perturbed}
    return [{name: value[start : start + 40] for name, value in whole.items()} for start in range(0, 320, 40)]


def found(own: Training, on_epoch: Callable[[], Any] | None, code: str) -> CheckResult:
    report = diagnose(
        own.model,
        batches(),
        predict=own.predict,
        optimizer=own.optimizer,
        training_step=own.step,
        on_epoch=on_epoch,
        only=[code],
    )
    return report.results[0]


@pytest.mark.parametrize("name", ["nothing", "swap", "clip", "forget"])
def test_what_depends_on_the_epoch_is_healthy(name: str):
    own = training()
    assert found(own, getattr(own, name), "GP412").outcome == "pass"


def test_lost_history_is_a_note():
    own = training()
    assert "history is lost" in found(own, own.forget, "GP412").message


def test_weights_drawn_anew_are_named():
    own = training()
    result = found(own, own.reset, "GP412")
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert "4 of 4 trained parameters start anew" in result.message
    assert "0.bias" in result.message


def test_an_average_that_is_never_updated_is_named():
    own = training(averaged=False)
    result = found(own, own.swap, "GP412")
    assert result.outcome == "fail"
    assert "values that they began with" in result.message


@pytest.mark.parametrize("back", [False, True])
def test_evaluation_mode_left_behind_is_named(back: bool):
    own = training()

    def validate() -> None:
        own.model.eval()
        own.model.train(back)

    own.model.train()
    assert found(own, validate, "GP413").outcome == ("pass" if back else "fail")


def test_without_it_nothing_is_judged():
    assert found(training(), None, "GP412").outcome == "not_applicable"


@pytest.mark.parametrize("name", ["swap", "reset", "forget", "unfreeze"])
def test_everything_is_put_back(name: str):
    own = training()
    own.step(batches()[0])
    weights, state, shadow = (copy.deepcopy(one) for one in (own.model.state_dict(), own.optimizer.state, own.shadow))
    found(own, getattr(own, name), "GP412")
    assert all(torch.equal(value, weights[key]) for key, value in own.model.state_dict().items())  # pyright: ignore
    assert all(torch.equal(value, shadow[key]) for key, value in own.shadow.items())  # pyright: ignore
    assert len(own.optimizer.state) == len(state)
    assert all(one.requires_grad for one in own.model.parameters())


@pytest.mark.parametrize(("gamma", "outcome"), [(0.0, "fail"), (0.8, "pass")])
def test_a_schedule_of_epochs_is_played(gamma: float, outcome: str):
    own = training()
    schedule = lr_scheduler.StepLR(own.optimizer, step_size=1, gamma=gamma)
    result = found(own, schedule.step, "GP407")
    assert result.outcome == outcome
    assert "epoch" in result.message
    assert schedule.last_epoch == 0
    assert own.optimizer.param_groups[0]["lr"] == 1e-2


def test_a_rate_set_by_hand_after_each_epoch_is_played():
    own = training()

    def lower() -> None:
        own.optimizer.param_groups[0]["lr"] *= 1e-3

    assert found(own, lower, "GP407").outcome == "fail"
    assert own.optimizer.param_groups[0]["lr"] == 1e-2
