"""Large worlds and long streams in processes of their own, whose peak memory the operating system knows."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"),
]

PEAK = """
from pathlib import Path

def peak():
    # Not ru_maxrss, which a process inherits from the one that started it.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
"""

LARGE = f"""{PEAK}
import sys
from simulators.sources import SimulatedCells
from simulators.worlds import world

made = world(sys.argv[1])
n_cells = sum(len(batch) for batch in SimulatedCells(scm=made.scm, n_cells=300).cells(batch_size=64, seed=0))
print(made.graph.n_genes, n_cells, peak())
"""


@pytest.mark.parametrize("name", ["scale_free/20000", "erdos_renyi/20000", "modular/20000/hill"])
def test_twenty_thousand_genes_take_a_fraction_of_an_array_of_all_pairs(name: str):
    done = subprocess.run([sys.executable, "-c", LARGE, name], capture_output=True, text=True, check=True)
    n_genes, n_cells, peak = map(int, done.stdout.split())
    assert (n_genes, n_cells) == (20_000, 300)
    assert peak < 0.75 * 2**30  # an array of all pairs, in float64, has 3.2e9 bytes


STREAM = f"""{PEAK}
import sys
from gpcp.sources.cache.build import build_cache
from simulators.sources import SimulatedCells
from simulators.worlds import world

build_cache(SimulatedCells(scm=world("scale_free/500").scm, n_cells=int(sys.argv[1])), sys.argv[2]).close()
print(peak())
"""


def test_the_memory_of_a_stream_to_a_cache_does_not_grow_with_the_cells(tmp_path: Path):
    peak = {
        n_cells: int(
            subprocess.run(
                [sys.executable, "-c", STREAM, str(n_cells), str(tmp_path / str(n_cells))],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for n_cells in (120_000, 360_000)
    }
    # 240,000 cells more are 480 MB of values; runs of one size differ by some 40 MB.
    assert peak[360_000] - peak[120_000] < 96e6
