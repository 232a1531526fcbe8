"""Large worlds and long streams in processes of their own, whose peak memory the operating system knows."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LARGE = """
import resource, sys
from simulators.sources import SimulatedCells
from simulators.worlds import world

made = world(sys.argv[1])
n_cells = sum(len(batch) for batch in SimulatedCells(scm=made.scm, n_cells=300).cells(batch_size=64, seed=0))
print(made.graph.n_genes, n_cells, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.parametrize("name", ["scale_free/20000", "erdos_renyi/20000", "modular/20000/hill"])
def test_twenty_thousand_genes_take_a_fraction_of_an_array_of_all_pairs(name: str):
    done = subprocess.run([sys.executable, "-c", LARGE, name], capture_output=True, text=True, check=True)
    n_genes, n_cells, peak = map(int, done.stdout.split())
    assert (n_genes, n_cells) == (20_000, 300)
    assert peak < 0.75 * 2**30  # an array of all pairs, in float64, has 3.2e9 bytes
