"""The fixture in a test run of its own, as somebody's suite would use it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.source_tree import REPO

PLUGIN = "diagnostics.inputs.frameworks.pytest_plugin"

TESTS = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x, p):
        change = self.layer(torch.cat((x, p), dim=1))
        return x + change if HEALTHY else x + change.detach()


def test_my_model(assert_healthy):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=generator)
    p = torch.eye(3)[torch.randint(3, (64,), generator=generator)]
    loader = [(x, p, x - p)] * 2
    fields = {"before": 0, "perturbation": 1, "after": 2}
    assert_healthy(Model(), loader, fields=fields, only=["architecture.gradients"])
"""


def run(folder: Path, healthy: bool) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(f"HEALTHY = {healthy}\n{TESTS}", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, str(folder)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_a_healthy_model_passes_and_another_fails_with_its_diagnosis(tmp_path: Path):
    assert run(tmp_path, healthy=True).returncode == 0
    failed = run(tmp_path, healthy=False)
    assert failed.returncode == 1
    assert "architecture.gradients" in failed.stdout
    assert "-> " in failed.stdout


def test_pytest_finds_it_where_the_library_is_installed():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"gpcp": PLUGIN}
