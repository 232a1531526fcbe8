"""Trainings that change over their epochs, or from step to step: no fault of the first step's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.inputs.diagnose import diagnose
from gpcp.model.torch_seed import torch_seed

N_GENES = 5

Batch = dict[str, Tensor]


class TwoPaths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.gene = nn.Linear(N_GENES, N_GENES), nn.Linear(N_GENES, N_GENES)

    def forward(self, batch: Batch) -> Tensor:
        return self.cell(batch["before"]) + self.gene(batch["perturbation"])


@dataclass
class Loop:
    """A training whose loss and whose trained parts depend on the epoch and the step."""

    loss: Callable[["Loop", Batch], Tensor]
    in_turn: bool = False
    epoch: int = 0
    n_steps: int = 0
    model: TwoPaths = field(init=False)

    def __post_init__(self) -> None:
        with torch_seed(0):
            self.model = TwoPaths()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-2)

    def step(self, batch: Batch) -> float:
        self.n_steps += 1
        if self.in_turn:
            self.model.cell.requires_grad_(self.n_steps % 2 == 0)
            self.model.gene.requires_grad_(self.n_steps % 2 == 1)
        self.optimizer.zero_grad()
        loss = self.loss(self, batch)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def on_epoch(self) -> None:
        self.epoch += 1

    def failed(self, **more: Any) -> list[str]:
        draw = torch.Generator().manual_seed(0)
        arrays = {name: torch.randn(128, N_GENES, generator=draw) for name in ("before", "after")}
        arrays["perturbation"] = functional.one_hot(torch.arange(128) % N_GENES, N_GENES).float()
        report = diagnose(
            self.model, arrays, predict=lambda batch: self.model(batch), loss=functional.mse_loss,
            optimizer=self.optimizer, training_step=self.step, given="identity",
            only=["GP208", "GP210", "GP211", "GP212", "GP404", "GP406"], **more,
        )  # fmt: skip
        assert [one for one in report.results if one.outcome == "error"] == []
        return [one.code for one in report.results if one.outcome == "fail"]


def whole(loop: Loop, batch: Batch) -> Tensor:
    return functional.mse_loss(loop.model(batch), batch["after"])


def first_half(loop: Loop, batch: Batch) -> Tensor:
    return functional.mse_loss(loop.model(batch)[::2], batch["after"][::2])


def copies(loop: Loop, batch: Batch) -> Tensor:
    return functional.mse_loss(loop.model.cell(batch["before"]), batch["before"])


def later(early: Callable[[Loop, Batch], Tensor]) -> Callable[[Loop, Batch], Tensor]:
    return lambda loop, batch: (whole if loop.epoch >= 3 else early)(loop, batch)


@pytest.mark.parametrize("early", [first_half, copies])
def test_what_a_step_lacks_in_the_first_epochs_alone_is_no_fault(early: Callable[[Loop, Batch], Tensor]):
    loop = Loop(later(early))
    assert loop.failed(on_epoch=loop.on_epoch, n_epochs=10) == []
    assert loop.epoch == 0


@pytest.mark.parametrize("always", [first_half, copies])
def test_what_it_lacks_in_all_epochs_is_one(always: Callable[[Loop, Batch], Tensor]):
    loop = Loop(always)
    assert loop.failed(on_epoch=loop.on_epoch, n_epochs=10) != []


def test_parts_that_are_trained_in_turn_are_no_fault():
    assert Loop(whole, in_turn=True).failed() == []
