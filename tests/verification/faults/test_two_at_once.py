"""Two commands on one folder of results: the second is refused with one line, and a holder that died holds nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from diagnostics.__main__ import main
from diagnostics.runs.lock import alone
from tests.verification.faults.tiny_commands import lasting, started, tiny

pytestmark = pytest.mark.slow

WITH_FOLDER = [verb for verb, arguments in tiny(Path("out")).items() if arguments[-2:] == ["--out", "out"]]


@pytest.mark.parametrize("verb", [*WITH_FOLDER, "benchmark input"])
def test_a_folder_that_is_in_use_is_refused(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    with alone(out / ".gpcp.lock", what="this test's folder"):
        assert main(tiny(out)[verb]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 or verb == "benchmark input", shown
    assert f"{out} is in use by process {os.getpid()} on " in shown
    assert not out.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_holder_is_named_and_its_end_frees_the_folder(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    first = started(lasting(out)["selftest"])
    until_s = time.monotonic() + 60
    while not (out / ".gpcp.holder").exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    assert main(tiny(out)["selftest"]) == 2
    assert f"is in use by process {first.pid} on " in capsys.readouterr().err
    os.killpg(first.pid, number)
    first.communicate(timeout=30)
    assert main(tiny(out)["selftest"]) in (0, 1)
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
