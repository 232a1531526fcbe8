"""A disk that takes no more: what was found is printed, then one line and exit code 2; nothing half written is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.__main__ import main
from tests.full_disk import files_of_at_most
from tests.source_tree import REPO
from tests.verification.faults.tiny_commands import tiny

pytestmark = pytest.mark.slow

VERBS = list(tiny(Path()))
FOUND_FIRST = ("diagnose", "throughput", "audit", "select-genes", "benchmark simulators")
"""Verbs that write nothing before they know the answer."""


def complaint(code: int, shown: str, verb: str) -> str:
    """The one line that says what is wrong, behind the lines of progress."""
    assert code == 2, shown
    assert "Traceback" not in shown, shown
    assert sum("error" in line for line in shown.splitlines()) == 1, shown
    last = shown.splitlines()[-1]
    assert last.startswith(f"gpcp {verb.split()[0]}: error: "), last
    return last


@pytest.mark.parametrize("most", [300, 20_000], ids=["full", "filling up"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_costs_no_verdict_and_the_same_command_goes_on(
    verb: str, most: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    arguments = tiny(out)[verb]
    with files_of_at_most(most):
        code = main(arguments)
    captured = capsys.readouterr()
    if most == 300 or code == 2:
        assert "File too large" in complaint(code, captured.err, verb)
    if verb in FOUND_FIRST:
        assert len(captured.out.splitlines()) > 3, "what was found is printed"
    assert [path for path in out.rglob(".*") if path.is_file()] == [], "no part of a file and no lock is left"
    assert main(arguments) in (0, 1)
    if verb != "benchmark input":
        assert [*out.glob("*.json")]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if not verb.startswith("benchmark")])
@pytest.mark.parametrize("place", ["/dev/null/out", "/proc/out", "/" + "x" * 300], ids=["file", "refused", "long"])
def test_a_place_that_nothing_can_be_written_to(verb: str, place: str, capsys: pytest.CaptureFixture[str]):
    code = main(tiny(Path(place))[verb])
    shown = capsys.readouterr().err
    assert place.split("/")[1] in complaint(code, shown, verb)


def test_a_full_disk_behind_standard_output():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "diagnostics", "diagnose", "--explain", "GP203"]
        done = subprocess.run(command, cwd=REPO, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "No space left" in complaint(done.returncode, done.stderr, "diagnose")
