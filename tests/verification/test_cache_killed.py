"""A cache whose building is killed at random moments, again and again, ends with the bytes of one built in peace."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gpcp.sources.cache.build import build_cache
from gpcp.sources.cache.cells import CachedCells
from tests.gpcp.sources.cache.cache_sources import bytes_of, killed_cells, names_in

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")]

MOST_KILLS = 8


def started(folder: Path, repo: Path) -> "subprocess.Popen[str]":
    """A process that is about to build the cache, or to go on with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gpcp.sources.cache.cache_sources", str(folder), "0.004"],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(repo)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    return process


def killed(process: "subprocess.Popen[str]") -> bool:
    """Kill it; False where it had finished."""
    process.send_signal(signal.SIGKILL)
    with process:
        return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(tmp_path: Path, repo: Path, seed: int) -> None:
    build_cache(killed_cells(), tmp_path / "whole")
    folder, work = tmp_path / "killed", tmp_path / "killed.partial"
    rng = np.random.default_rng(seed)
    n_parts = [0]
    for _ in range(MOST_KILLS):
        process = started(folder, repo)
        # Undisturbed it takes a third of a second or more.
        time.sleep(rng.uniform(0, 0.2))
        died = killed(process)
        if folder.exists():
            # Whole; a kill from here on meets the parts being cleared away.
            CachedCells(folder, verify=True).close()
            break
        if not died:
            break
        n_parts.append(sum(name.startswith("part-") for name in names_in(work)) or n_parts[-1])
    assert len(n_parts) > 1, "it was never killed"
    assert n_parts == sorted(n_parts), "a kill cost parts that were written before"
    if not folder.exists():
        build_cache(killed_cells(), folder)
    assert bytes_of(folder) == bytes_of(tmp_path / "whole")


def test_killed_while_the_parts_are_joined(tmp_path: Path, repo: Path) -> None:
    build_cache(killed_cells(), tmp_path / "whole")
    n_died = 0
    for attempt, name in enumerate(("cell_id", "data", "signature", "manifest.json")):
        folder = tmp_path / f"killed{attempt}"
        joined = folder.with_name(folder.name + ".partial") / "joined"
        process = started(folder, repo)
        while process.poll() is None and not any(one.startswith(name) for one in names_in(joined)):
            pass
        n_died += killed(process)
        if folder.exists():
            CachedCells(folder, verify=True).close()
        else:
            build_cache(killed_cells(), folder)
        assert bytes_of(folder) == bytes_of(tmp_path / "whole")
    assert n_died, "it was never killed"
