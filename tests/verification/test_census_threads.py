"""Reading the Census leaves torch the threads that it had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.census.embedded import embedded_census
from tests.source_tree import REPO

READ = """
import sys
import torch
from gpcp.sources.census.cells import CensusCells
torch.set_num_threads(1)
for _ in CensusCells(uri=sys.argv[1]).cells(batch_size=10, seed=0):
    assert torch.get_num_threads() == 1
import numba
print(torch.get_num_threads(), numba.get_num_threads())
"""


@pytest.mark.slow
def test_the_first_parallel_loop_of_numba_does_not_change_torchs_threads(tmp_path: Path):
    embedded_census(tmp_path / "store", name="chain/3", n_cells=60, n_genes=6)
    # In a process of its own, since numba sets the number once, and with more threads than torch has.
    environment = os.environ | {"NUMBA_NUM_THREADS": "2", "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", READ, str(tmp_path / "store")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "2"], done.stderr
