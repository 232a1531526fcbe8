"""A Dask cluster of two worker processes on this machine, for tests; slow, at about 5 s to start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


# All runs are handed out at once, and a worker that dies takes those that it holds along at its first death.
_HARSH = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "inf", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}


@contextmanager
def local_cluster(folder: Path) -> Iterator[str]:
    """Address of a Dask cluster of two worker processes, which ends with the block."""
    (folder / "cluster.py").write_text(CLUSTER)
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", **_HARSH}
    command = [sys.executable, str(folder / "cluster.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
