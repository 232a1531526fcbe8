"""``--model file.py:factory`` may give a whole training of one's own, with its loader."""

from pathlib import Path

import pytest

from diagnostics.__main__ import main

TRAINING = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x, p):
        return x + self.layer(torch.cat((x, p), dim=1))


def training():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=generator)
    p = torch.eye(3)[torch.randint(3, (64,), generator=generator)]
    model = Model()
    parts = {"before": 0, "perturbation": 1, "after": 2}
    return {"model": model, "pairs": [(x, p, x - p)] * 2, "fields": parts, "loss": nn.functional.mse_loss}


def misspelt():
    return training() | {"optimiser": None}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own_training.py"
    path.write_text(TRAINING, encoding="utf-8")
    return path


def test_a_factory_of_a_whole_training(file: Path, capsys: pytest.CaptureFixture[str]):
    only = ["--only", "architecture.gradients", "loss.finite", "--ignore", "GP201=I know"]
    assert main(["diagnose", "--model", f"{file}:training", *only]) == 0
    shown = capsys.readouterr().out
    assert "all 2 parameters that are used get a gradient" in shown
    assert f"{file}:training" in shown


def test_misuse_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["diagnose", "--model", f"{file}:misspelt"]) == 2
    assert "no part 'optimiser' of a training; nearest: optimizer" in capsys.readouterr().err
    assert main(["diagnose", "--model", f"{file}:training", "--source", "synthetic:chain/3"]) == 2
    assert "gives pairs of its own: leave --source out" in capsys.readouterr().err
