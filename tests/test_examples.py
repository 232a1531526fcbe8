"""What the documentation shows works: every example and every Python and bash block of the README runs.

Examples and Python blocks run as they are, in a process of their own, warnings as errors. Of the README's bash
blocks every line runs, with three stated exceptions: what makes the virtual environment is left out (this one
is used), the test command is only read (it is what runs this test), and trainings are cut short (``SHORT``).
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source_tree import REPO

pytestmark = pytest.mark.slow

README = (REPO / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((REPO / "examples").glob("*.py"))
BLOCKS = [(kind, text) for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
COMMANDS = [
    line
    for kind, text in BLOCKS
    if kind == "bash"
    for line in text.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]

SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e . && "
MAIN_COMMAND = f"{SET_UP}.venv/bin/python -m diagnostics.recover_graph"
TEST_COMMAND = "bash .ci/test"

SHORT = {
    "python -m diagnostics.recover_graph": "--steps 30 --seeds 1 --workers 1 --quiet --out short",
    "gpcp benchmark": "--repeats 1",
    "gpcp sweep": "--trials 3 --seeds 1 --epochs 1 --epoch-pairs 512 --held-out 200 --no-range-test --quiet",
    "gpcp train": "--steps 10 --held-out 200 --quiet",
    "torchrun": "--steps 10 --held-out 200 --quiet",
}
"""What makes a command end soon; after 30 steps a model has learnt little, so its exit code may be 1, for fail."""

NO_WARNING = {"PYTHONWARNINGS": "error"}

OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
"""A proxy that nobody runs: what an example would fetch from elsewhere is not there, on any machine."""


def run(command: list[str], folder: Path, **added: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder of its own, with this interpreter first on the path."""
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"} | added
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def short(line: str) -> str:
    """A line of the README as this test runs it."""
    line = line.removeprefix(SET_UP).replace(".venv/bin/python", "python").strip()
    if "recover_graph" in line and "--world" not in line and "--cells" not in line:
        line += " --world scale_free/6"
    return next((f"{line} {added}" for start, added in SHORT.items() if line.startswith(start)), line)


def beside_the_data(folder: Path, text: str) -> Path:
    """A folder from which ``../shared/data`` is where the text expects it, or a skip where there is no such data."""
    inside = folder / "here"
    inside.mkdir()
    if "../shared" in text:
        shared = REPO.parent / "shared"
        if not (shared / "data").is_dir():
            pytest.skip(f"no real data: {shared / 'data'} does not exist")
        (folder / "shared").symlink_to(shared)
    return inside


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path, tmp_path: Path):
    folder = beside_the_data(tmp_path, example.read_text(encoding="utf-8"))
    done = run([sys.executable, str(example)], folder, **NO_WARNING, **OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "an example shows something"
    assert done.stderr == ""


@pytest.mark.parametrize("block", PYTHON, ids=lambda text: text.splitlines()[0])
def test_a_python_block_of_the_readme_runs(block: str, tmp_path: Path):
    done = run([sys.executable, "-c", block], beside_the_data(tmp_path, block), **NO_WARNING)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("line", [line for line in COMMANDS if line != TEST_COMMAND], ids=short)
def test_a_command_of_the_readme_runs(line: str, tmp_path: Path):
    command = short(line)
    done = run(["bash", "-euo", "pipefail", "-c", command], beside_the_data(tmp_path, line))
    allowed = (0, 1) if command.startswith(tuple(SHORT)) else (0,)
    assert done.returncode in allowed, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.strip(), "a command says something"


def test_the_test_command_is_a_script_that_bash_can_read():
    done = run(["bash", "-n", ".ci/test"], REPO)
    assert done.returncode == 0, done.stderr
    assert TEST_COMMAND in (REPO / ".ci/run").read_text(encoding="utf-8")


def test_the_readme_promises_two_commands():
    assert COMMANDS.count(MAIN_COMMAND) == 1
    assert COMMANDS.count(TEST_COMMAND) == 1
    assert PYTHON
    assert shutil.which("bash")
