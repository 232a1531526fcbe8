"""What stands after the last layer: nothing, the cell before, or a dropout and a norm that harm the predictions."""

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from tests.diagnostics.checks.subjects import found, made, subject

N_GENES = 8


class Ends(nn.Module):
    """Two layers and what follows them."""

    def __init__(self, last: nn.Module, *, residual: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3 * N_GENES, 16), nn.Dropout(0.1), nn.ReLU(), nn.Linear(16, N_GENES), last)
        self.residual = residual

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        del measured_BG
        out_BG = self.net(torch.cat([before_BG, target_BG, perturbed_BG.to(before_BG)], dim=1))
        return before_BG + out_BG if self.residual else out_BG


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        (nn.Identity(), "pass"),
        (nn.Dropout(0.0), "pass"),
        (nn.BatchNorm1d(N_GENES), "pass"),
        (nn.Dropout(0.3), "fail"),
        (nn.BatchNorm1d(N_GENES, affine=False), "fail"),
    ],
)
@pytest.mark.parametrize("residual", [False, True])
def test_a_dropout_or_a_norm_after_the_last_layer_is_found(last: nn.Module, outcome: str, residual: bool):
    asked = subject(made(lambda: Ends(last, residual=residual)), intent=Intent(masked=False))
    assert found(asked, "architecture.last_layer").outcome == outcome
