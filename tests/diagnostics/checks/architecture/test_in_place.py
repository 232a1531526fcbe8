"""Layers that work in place: harmless where nothing else reads their numbers, and found where something does."""

import pytest
from torch import Tensor, nn

from tests.diagnostics.checks.subjects import Mlp, failures, found, made, subject

NAME = "architecture.in_place"


class Residual(nn.Module):
    """A block whose own input is added back; the first layer or the second is a ReLU."""

    def __init__(self, *, relu_first: bool, inplace: bool) -> None:
        super().__init__()
        relu, linear = nn.ReLU(inplace=inplace), nn.Linear(32, 32)
        self.block = nn.Sequential(*((relu, linear) if relu_first else (linear, relu)))

    def forward(self, value: Tensor) -> Tensor:
        value = value * 1.0
        return self.block(value) + value


@pytest.mark.parametrize(
    ("relu_first", "inplace", "outcome"),
    [(True, True, "fail"), (False, True, "pass"), (True, False, "not_applicable"), (False, False, "not_applicable")],
)
def test_an_overwritten_residual_is_found(relu_first: bool, inplace: bool, outcome: str):
    asked = subject(made(lambda: Mlp(8, extra=Residual(relu_first=relu_first, inplace=inplace))))
    assert found(asked, NAME).outcome == outcome
    if outcome == "pass":
        assert failures(asked, "architecture") == []
