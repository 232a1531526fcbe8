"""What the documentation shows works: every example, and every Python and bash block of the README and the pages.

Examples run as they are, in a process of their own, warnings as errors. The blocks of a page run in their order in one
folder. Of bash blocks every line runs, with three stated exceptions: what makes the virtual environment is left out
(this one is used), the test command is only read (it is what runs this test), and trainings are cut short (``SHORT``).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shown import Block, blocks, pages
from tests.source_tree import REPO

pytestmark = pytest.mark.slow

EXAMPLES = sorted((REPO / "examples").glob("*.py"))
COMMANDS = [line for block in blocks(REPO / "README.md") if block.kind == "bash" for line in block.lines]

SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e . && "
MAIN_COMMAND = f"{SET_UP}.venv/bin/python -m diagnostics.recover_graph"
TEST_COMMAND = "bash .ci/test"

SHORT = {
    "python -m diagnostics.recover_graph": "--steps 30 --seeds 1 --workers 1 --quiet --out short",
    "gpcp recover-graph": "--steps 30 --workers 1 --quiet",
    "gpcp benchmark": "--repeats 1",
    "gpcp sweep": "--trials 3 --seeds 1 --epochs 1 --epoch-pairs 512 --held-out 200 --no-range-test --quiet",
    "gpcp train": "--steps 10 --held-out 200 --quiet",
    "torchrun": "--steps 10 --held-out 200 --quiet",
}
"""What makes a command end soon; after 30 steps a model has learnt little, so its exit code may be 1, for fail."""

JUDGES = ("gpcp diagnose", "gpcp check-screen")
"""Verbs whose exit code 1 is an answer."""

NO_WARNING = {"PYTHONWARNINGS": "error"}

OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
"""A proxy that nobody runs: what an example would fetch from elsewhere is not there, on any machine."""


def run(command: list[str], folder: Path, **added: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder of its own, with this interpreter first on the path."""
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"} | added
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def short(line: str) -> str:
    """A line as this test runs it."""
    line = line.removeprefix(SET_UP).replace(".venv/bin/python", "python").strip()
    if "recover_graph" in line and "--world" not in line and "--cells" not in line:
        line += " --world scale_free/6"
    return next((f"{line} {added}" for start, added in SHORT.items() if line.startswith(start)), line)


def runs(block: Block, folder: Path) -> None:
    """Run one block of a page."""
    if block.kind == "bash":
        for line in block.lines:
            if line != TEST_COMMAND:
                command_runs(short(line), folder)
    elif block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
    else:
        done = run([sys.executable, "-c", block.text], folder, **NO_WARNING)
        assert done.returncode == 0, f"{block.text}\n{done.stderr}"
        assert "Warning" not in done.stderr  # Lightning states there which devices it found


def command_runs(command: str, folder: Path) -> None:
    """Run one command of a page."""
    done = run(["bash", "-euo", "pipefail", "-c", command], folder)
    allowed = (0, 1) if command.startswith((*SHORT, *JUDGES)) else (0,)
    assert done.returncode in allowed, f"{command}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() or "--quiet" in command, "a command shows something"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_beside_nothing(example: Path, tmp_path: Path):
    done = run([sys.executable, str(example)], tmp_path, **NO_WARNING, **OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "an example shows something"
    assert done.stderr == ""


@pytest.mark.parametrize("page", pages().values(), ids=pages())
def test_what_a_page_shows_runs(page: Path, tmp_path: Path):
    for block in blocks(page):
        runs(block, tmp_path)


def test_the_test_command_is_a_script_that_bash_can_read():
    done = run(["bash", "-n", ".ci/test"], REPO)
    assert done.returncode == 0, done.stderr
    assert TEST_COMMAND in (REPO / ".ci/run").read_text(encoding="utf-8")


def test_the_readme_promises_two_commands():
    assert COMMANDS.count(MAIN_COMMAND) == 1
    assert COMMANDS.count(TEST_COMMAND) == 1
    assert shutil.which("bash")
