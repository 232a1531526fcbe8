"""Ctrl-C at any moment: within three seconds, with exit code 130, one line, and no traceback."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.verification.faults.tiny_commands import lasting, started

pytestmark = pytest.mark.slow

BOUND_S = 3.0
VERBS = list(lasting(Path()))
WITH_WORKERS = ("recover-graph", "sweep", "selftest")


@pytest.mark.parametrize(
    ("verb", "after_s"),
    [
        *((verb, 1.0) for verb in VERBS),
        *((verb, 5.0) for verb in VERBS),
        *((verb, 15.0) for verb in ("recover-graph", "sweep", "benchmark input")),
    ],
)
def test_ctrl_c(verb: str, after_s: float, tmp_path: Path):
    process = started(lasting(tmp_path / "out")[verb])
    time.sleep(after_s)
    assert process.poll() is None, "it has to last longer"
    begin_s = time.monotonic()
    # As a terminal does it: to the command and to all its workers.
    os.killpg(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert time.monotonic() - begin_s < BOUND_S
    assert process.returncode == 130, shown
    assert "Traceback" not in shown, shown
    assert sum("interrupted" in line for line in shown.splitlines()) == 1, shown
    assert "interrupted" in shown.splitlines()[-1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("verb", WITH_WORKERS)
def test_sigterm_and_no_worker_outlives_it(verb: str, tmp_path: Path):
    process = started(lasting(tmp_path / "out")[verb])
    time.sleep(5)
    begin_s = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    _, shown = process.communicate(timeout=60)
    assert time.monotonic() - begin_s < BOUND_S
    assert process.returncode == 143, shown
    assert "Traceback" not in shown, shown
    while alive := living(process.pid):
        assert time.monotonic() - begin_s < BOUND_S, alive
        time.sleep(0.05)


def living(group: int) -> list[str]:
    """The processes of a group that have not ended, as the kernel describes them."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, its_group = rest.split()[:3]
        if int(its_group) == group and state not in "ZX":
            found.append(f"{name}) {state}")
    return found
