"""A screen whose values are larger than the memory that it is given: pairs are read from the file, not all at once."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import h5py  # pyright: ignore[reportMissingTypeStubs]  # it has none
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

pytestmark = pytest.mark.slow

N_BLOCKS, N_CELLS, N_GENES = 45, 2_000, 1_000
MOST_BYTES = 256 * 2**20

_IN_A_PROCESS = r"""
import re, sys
from itertools import islice
from pathlib import Path
from gpcp.screens.h5ad_screen import H5adScreen

def pairs(path):
    split = H5adScreen(path, in_memory=False).split(by="perturbation", seed=0)
    for _ in islice(split.training.pairs(batch_size=128, seed=0), 5):
        pass
    for _ in islice(split.held_out.pairs(batch_size=128, seed=0), 5):
        pass
    # Not ru_maxrss, which begins at that of the process that started this one.
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])

print(-pairs(sys.argv[1]) + pairs(sys.argv[2]))
"""


def large_file(path: Path, n_blocks: int) -> None:
    """The same cells over and over, so that little memory makes much of a file: half of all values are stored."""
    rng = np.random.default_rng(0)
    block: Any = sp.random(N_CELLS, N_GENES, density=0.5, format="csr", rng=rng)
    block.data = rng.integers(1, 9, len(block.data)).astype(np.float32)
    n = N_CELLS * n_blocks
    labels = np.array(["non-targeting", *(f"G{i}" for i in range(19))])
    obs = pd.DataFrame(
        {"target": pd.Categorical(labels[np.arange(n) % 20]), "batch": pd.Categorical(np.arange(n) // 20 % 2 + 1)},
        index=[f"c{i}" for i in range(n)],
    )
    obs["batch"] = obs["batch"].astype(str)
    var = pd.DataFrame(index=[f"G{i}" for i in range(N_GENES)])
    none: Any = sp.csr_matrix(np.zeros((1, N_GENES), dtype=np.float32))
    ad.AnnData(none[np.zeros(n, dtype=np.int64)], obs=obs, var=var).write_h5ad(path)
    hdf5: Any = h5py
    with hdf5.File(path, "a") as file:
        stored = file["X"]
        for name, part in (("data", block.data), ("indices", block.indices)):
            del stored[name]
            whole = stored.create_dataset(name, shape=(len(part) * n_blocks,), dtype=part.dtype)
            for start in range(0, len(whole), len(part)):
                whole[start : start + len(part)] = part
        del stored["indptr"]
        steps = np.tile(np.diff(block.indptr), n_blocks)
        stored["indptr"] = np.concatenate([[0], np.cumsum(steps, dtype=np.int64)])


def test_pairs_of_a_file_larger_than_the_memory_it_is_given(tmp_path: Path) -> None:
    """The growth of the peak over that of a small screen, whose imports and blocks are the same, stays below the bound.

    Kept in memory the values alone would take more than the bound, as they do in the file.
    """
    small, large = tmp_path / "small.h5ad", tmp_path / "large.h5ad"
    large_file(small, 1)
    large_file(large, N_BLOCKS)
    assert large.stat().st_size > MOST_BYTES
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS, str(small), str(large)], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < MOST_BYTES
