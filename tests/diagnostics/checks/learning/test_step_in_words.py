"""What a step that does not teach does otherwise: pairs left out, a penalty, a sign, a stop, vanishing layers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import existing
from diagnostics.checks.learning.step_in_words import slow_parts, step_in_words
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.subjects import Mlp, made, pairs_of, subject

Lower = Callable[[Callable[[PairBatch], Tensor], nn.Module, PairBatch], Tensor]


def plain(loss: Callable[[PairBatch], Tensor], model: nn.Module, pairs: PairBatch) -> Tensor:
    return loss(pairs)


def half(loss: Callable[[PairBatch], Tensor], model: nn.Module, pairs: PairBatch) -> Tensor:
    return loss(pairs.rows(slice(0, len(pairs) // 2)))


def penalised(loss: Callable[[PairBatch], Tensor], model: nn.Module, pairs: PairBatch) -> Tensor:
    return loss(pairs) + 100 * sum(one.square().sum() for one in model.parameters())


def turned(loss: Callable[[PairBatch], Tensor], model: nn.Module, pairs: PairBatch) -> Tensor:
    return -loss(pairs)


def probe_of(lower: Lower, *, n_steps: int | None = None) -> Probe:
    model = made(lambda: Mlp(8))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    judged = subject(model, pairs=pairs_of(n_pairs=200), make_optimizer=existing(optimizer))
    done = [0]

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: Any) -> float:
        done[0] += 1
        optimizer.zero_grad()
        loss = lower(lambda some: judged.composed_loss(model, some), model, pairs)
        loss.backward()
        if n_steps is None or done[0] <= n_steps:
            optimizer.step()
        return float(loss.detach())

    return Probe(subject(model, pairs=judged.pairs, make_optimizer=existing(optimizer), training_step=step))


@pytest.mark.parametrize(
    ("lower", "words"),
    [
        (half, "pairs of a batch change nothing"),
        (penalised, "of its gradient is of a term that no target enters"),
        (turned, "look at its sign"),
    ],
)
def test_what_stands_out_is_said(lower: Lower, words: str):
    assert words in step_in_words(probe_of(lower))


def test_a_plain_step_needs_no_words():
    assert step_in_words(probe_of(plain)) == ""


def test_a_training_that_stops_is_said_to():
    assert "after 20 steps no further step moves the weights" in step_in_words(probe_of(plain, n_steps=20))


@pytest.mark.parametrize(("act", "vanish"), [(nn.Sigmoid, True), (nn.ReLU, False)])
def test_layers_whose_gradients_vanish_are_named(act: type[nn.Module], vanish: bool):
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = [part for _ in range(9) for part in (nn.Linear(16, 16), act())]
            self.first, self.last = nn.Linear(24, 16), nn.Linear(16, 8)
            self.net = nn.Sequential(*layers)

        def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
            del measured_BG
            value_BF = torch.cat([before_BG, target_BG, perturbed_BG.to(before_BG)], dim=1)
            return self.last(self.net(self.first(value_BF)))

    words = slow_parts(Probe(subject(made(Deep), pairs=pairs_of(n_pairs=200))))
    assert ("first.weight" in words) == vanish
