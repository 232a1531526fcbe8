"""The optimiser of a step: with its history, without one by design, in inner loops, and made anew at every call."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from diagnostics.checks.engine.subject import existing
from tests.diagnostics.checks.subjects import Mlp, found, made, pairs_of, subject

NAME = "optimiser.made_anew"

Take = Callable[[nn.Module, torch.optim.Optimizer, Any], None]


def kept(model: nn.Module, optimizer: torch.optim.Optimizer, lower: Callable[[Any], None]) -> None:
    lower(optimizer)


def new_adam(model: nn.Module, optimizer: torch.optim.Optimizer, lower: Callable[[Any], None]) -> None:
    lower(torch.optim.Adam(model.parameters(), lr=1e-3))


def cleared(model: nn.Module, optimizer: torch.optim.Optimizer, lower: Callable[[Any], None]) -> None:
    optimizer.state.clear()
    lower(optimizer)


def new_sgd(model: nn.Module, optimizer: torch.optim.Optimizer, lower: Callable[[Any], None]) -> None:
    lower(torch.optim.SGD(model.parameters(), lr=1e-3))


def inner_loop(model: nn.Module, optimizer: torch.optim.Optimizer, lower: Callable[[Any], None]) -> None:
    inner = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        lower(inner)


@pytest.mark.parametrize(
    ("take", "outcome"),
    [(kept, "pass"), (new_sgd, "pass"), (inner_loop, "pass"), (new_adam, "fail"), (cleared, "fail")],
)
def test_an_optimiser_without_its_history_is_found_where_it_has_one(take: Any, outcome: str):
    model = made(lambda: Mlp(8))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    parts = {"pairs": pairs_of(n_pairs=200), "make_optimizer": existing(optimizer)}
    judged = subject(model, **parts)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: Any) -> float:
        losses: list[float] = []

        def lower(used: torch.optim.Optimizer) -> None:
            used.zero_grad()
            loss = judged.composed_loss(model, pairs)
            loss.backward()
            used.step()
            losses.append(float(loss.detach()))

        take(model, optimizer, lower)
        return losses[-1]

    result = found(
        subject(model, pairs=pairs_of(n_pairs=200), make_optimizer=existing(optimizer), training_step=step), NAME
    )
    assert (result.outcome, result.cause) == (outcome, "bug" if outcome == "fail" else None)
