"""The fixture in a test run of its own, as somebody's suite would use it."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.source_tree import REPO

PLUGIN = "diagnostics.inputs.frameworks.pytest_plugin"

TESTS = """
import pytest
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, healthy):
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.healthy = healthy

    def forward(self, x, p):
        change = self.layer(torch.cat((x, p), dim=1))
        return x + change if self.healthy else x + change.detach()


@pytest.mark.parametrize("healthy", [True, False])
def test_my_model(assert_healthy, healthy):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=generator)
    p = torch.eye(3)[torch.randint(3, (64,), generator=generator)]
    loader = [(x, p, x - p)] * 2
    fields = {"before": 0, "perturbation": 1, "after": 2}
    assert_healthy(Model(healthy), loader, fields=fields, only=["architecture.gradients"])
"""


@pytest.mark.slow
def test_a_healthy_model_passes_and_another_fails_with_its_diagnosis(tmp_path: Path):
    (tmp_path / "test_mine.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", PLUGIN, str(tmp_path)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert "test_my_model[True] PASSED" in done.stdout
    assert "test_my_model[False] FAILED" in done.stdout
    assert "architecture.gradients" in done.stdout
    assert "-> " in done.stdout


def test_the_fixture_fails_with_the_diagnosis_and_gives_the_report_where_there_is_none(
    pytestconfig: pytest.Config, request: pytest.FixtureRequest
):
    if not pytestconfig.pluginmanager.has_plugin(PLUGIN) and not pytestconfig.pluginmanager.has_plugin("gpcp"):
        pytest.skip("the library is not installed")
    healthy: Callable[..., Any] = request.getfixturevalue("assert_healthy")
    rng = np.random.default_rng(0)
    before = rng.normal(size=(64, 3)).astype(np.float32)
    perturbed = np.eye(3, dtype=np.float32)[rng.integers(3, size=64)]
    asked = {"fields": {"before": 0, "perturbation": 1, "after": 2}, "only": ["data.change"]}
    assert healthy(None, [(before, perturbed, before - 1)] * 2, **asked).diagnosis is None
    with pytest.raises(pytest.fail.Exception, match=r"(?s)GP116 data\.change: .+\n-> "):
        healthy(None, [(before, perturbed, before)] * 2, **asked)


def test_pytest_finds_it_where_the_library_is_installed():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"gpcp": PLUGIN}
