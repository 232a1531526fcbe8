"""STATE and GEARS as programs, where environment variables name interpreters that have them.

``GPCP_STATE_PYTHON`` and ``GPCP_GEARS_PYTHON``: of environments with ``gpcp[state]`` and ``gpcp[gears]``.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from diagnostics.audit.evaluation.data import split_of
from diagnostics.audit.evaluation.shape import shape_of
from diagnostics.audit.exchange.answer import answered
from diagnostics.audit.exchange.program import Program
from gpcp.core.errors import InputError
from tests.diagnostics.audit.evaluation.screens import small_screen

pytestmark = pytest.mark.slow

OPTIONS = {"state": ("--steps", "600"), "gears": ("--epochs", "3", "--width", "32")}


def program_of(name: str) -> Program:
    python = os.environ.get(f"GPCP_{name.upper()}_PYTHON")
    if not python:
        pytest.skip(f"GPCP_{name.upper()}_PYTHON names no interpreter")
    return Program(name=name, argv=(python, "-m", f"diagnostics.audit.exchange.programs.{name}", *OPTIONS[name]))


@pytest.mark.parametrize("name", OPTIONS)
def test_it_learns_from_training_cells_and_answers_combinations(name: str, tmp_path: Path):
    program = program_of(name)
    screen = small_screen(n_targets=8, n_combinations=8, least_descendants=2)
    pairs = [label for label in screen.labels if "+" in label]
    split = split_of(screen, share=0.5, seed=0, named=pairs[:3])
    found = answered(program, screen, split, folder=tmp_path, seed=0)
    assert shape_of(screen, split, found.groups).collapse > 0.1


@pytest.mark.parametrize("name", OPTIONS)
def test_what_it_cannot_encode_is_refused(name: str, tmp_path: Path):
    program = program_of(name)
    screen = small_screen(n_targets=6)
    split = split_of(screen, share=0.5, seed=0)
    targets = {**screen.targets, split.test[0]: ("NOWHERE", "NOTHING", "NEVER")}
    with pytest.raises(InputError, match=r"(?s)exit code 2 .*(NOWHERE|has 3 targets, and GEARS takes)"):
        answered(program, replace(screen, targets=targets), split, folder=tmp_path, seed=0)
