"""How a process ends: by a signal within seconds, whatever it is doing; by a bug with a code that is no answer."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnostics.cli.signals import BUG, GRACE_S

BEGINS = "import sys, time\nfrom diagnostics.cli.signals import as_process\n"
WAITS = """
def work():
    print("begun", flush=True)
    time.sleep(60)
"""
SWALLOWS = """
def work():
    said = "begun"
    while True:
        try:
            print(said, flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            said = "a result"
"""


def started(work: str, repo: Path) -> "subprocess.Popen[str]":
    """A process that does it; as a shell's foreground, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{BEGINS}{work}\nas_process(work, farewell='all is kept')"],
        cwd=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("work", "printed"), [(WAITS, ""), (SWALLOWS, "a result\n")])
def test_a_signal_ends_it_though_what_it_raises_is_swallowed(
    number: signal.Signals, code: int, work: str, printed: str, repo: Path
):
    process = started(work, repo)
    process.send_signal(number)
    begin_s = time.monotonic()
    assert process.communicate(timeout=30) == (printed, "\nall is kept\n")
    assert process.returncode == code
    assert time.monotonic() - begin_s < 3


def test_the_second_signal_ends_it_at_once(repo: Path):
    process = started(SWALLOWS, repo)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    begin_s = time.monotonic()
    assert process.communicate(timeout=30) == ("a result\n", "\nall is kept\n")
    assert process.returncode == 130
    assert time.monotonic() - begin_s < GRACE_S - 0.5


def test_what_was_started_to_ignore_ctrl_c_ignores_it(repo: Path):
    script = "signal.signal(signal.SIGINT, signal.SIG_IGN)\ndef work():\n    signal.raise_signal(signal.SIGINT)\n"
    script = f"import signal\n{BEGINS}{script}    time.sleep(0.1)\n    return 1\nas_process(work, farewell='')"
    done = subprocess.run([sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("does", "code", "shown"),
    [("return 0", 0, ""), ("return 1", 1, ""), ("sys.exit(2)", 2, ""), ("raise TypeError('a bug')", BUG, "a bug")],
)
def test_the_exit_code_is_that_of_the_work_and_no_answer_where_it_failed(does: str, code: int, shown: str, repo: Path):
    script = f"{BEGINS}\ndef work():\n    print('a result')\n    {does}\nas_process(work, farewell='')"
    done = subprocess.run([sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "a result\n")
    assert shown in done.stderr
    assert bool(done.stderr) == bool(shown)
