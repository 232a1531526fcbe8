"""``examples/05_real_census.py`` on a store of this disk: without a network its steps are run all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.census.embedded import TISSUES, embedded_census
from tests.source_tree import REPO

pytestmark = pytest.mark.slow

EXAMPLE = REPO / "examples" / "05_real_census.py"


def run(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_steps_of_a_first_slice_run_on_a_copy_too(tmp_path: Path):
    store = embedded_census(tmp_path / "store", n_cells=900).summary.path
    first = run(tmp_path, str(store), TISSUES[0])
    assert "cells, 64 genes" in first
    loss = {line.rsplit(maxsplit=1)[0]: float(line.rsplit(maxsplit=1)[1]) for line in first.splitlines()[-3:]}
    nothing, _, learnt = loss.values()
    # The world's graph is strong: 200 steps take the loss from about .45 to about .25.
    assert learnt < 0.9 * nothing
    # What was read is kept, and the same training follows from it.
    assert run(tmp_path, str(store), TISSUES[0]) == first


def test_a_tissue_that_does_not_exist_is_an_error(tmp_path: Path):
    store = embedded_census(tmp_path / "store", n_cells=60, n_genes=40).summary.path
    with pytest.raises(AssertionError, match="tissue_general 'tongue' is not in the Census; "):
        run(tmp_path, str(store), "tongue")
