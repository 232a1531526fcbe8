"""Whole runs as they are written: healthy ones, and such as undo over time what each step does."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from diagnostics.checks.engine.subject import Subject, existing
from tests.diagnostics.checks.subjects import Mlp, failures, found, made, pairs_of, subject

NAME = "learning.own_run"

AfterEpoch = Callable[[nn.Module, torch.optim.Optimizer], Callable[[], object] | None]


def nothing(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    return None


def slowly_lower(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    return StepLR(optimizer, step_size=3, gamma=0.5).step


def rate_of_0(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    def after() -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.0

    return after


def put_back(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    first = {name: value.clone() for name, value in model.state_dict().items()}
    return lambda: model.load_state_dict(first)


def asked(after: AfterEpoch, *, rate: float = 3e-3, n_epochs: int | None = 20) -> Subject:
    model = made(lambda: Mlp(8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    return subject(
        model, pairs=pairs_of(n_pairs=1000), make_optimizer=existing(optimizer), on_epoch=after(model, optimizer),
        n_epochs=n_epochs,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("after", [nothing, slowly_lower])
def test_a_whole_run_that_learns_passes(after: AfterEpoch):
    assert found(asked(after), NAME).outcome == "pass"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "rate", "restored"),
    [
        (rate_of_0, 1e-3, "without what runs after"),
        (put_back, 3e-3, "without what runs after"),
        (nothing, 1e-6, "rate"),
    ],
)
def test_what_keeps_a_run_from_learning_is_found_and_named(after: AfterEpoch, rate: float, restored: str):
    result = found(asked(after, rate=rate), NAME)
    assert (result.outcome, result.cause) == ("fail", "optimiser")
    assert restored in result.message
    assert ("on_epoch" if after is not nothing else "rate") in result.next_step
    assert NAME in failures(asked(after, rate=rate), "learning")


def test_without_its_length_nothing_is_played():
    assert found(asked(nothing, n_epochs=None), NAME).outcome == "not_applicable"
