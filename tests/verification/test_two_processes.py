"""Two processes under torchrun see different batches, end with the same weights, and do not wait for ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path, repo: Path) -> None:
    script = repo / "tests" / "verification" / "two_ranks.py"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repo)}
    done = subprocess.run(
        [*launch, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert len(first["losses"]) == len(second["losses"]) == 10
    assert set(first["losses"]).isdisjoint(second["losses"])
    assert first["weights"] == second["weights"]
    assert (tmp_path / "checkpoint.pt").exists()
