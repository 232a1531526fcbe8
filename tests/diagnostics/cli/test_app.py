"""One command for all verbs: help, bad use in one line, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.__main__ import VERBS, main
from diagnostics.cli.app import BAD_USE, INTERRUPTED, READER_LEFT, run, verb
from gpcp.core.errors import InputError


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_help_lists_every_verb_with_a_line(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(f"{name} {line}"[:40] in shown for name, (_, line, _) in VERBS.items())


@pytest.mark.parametrize("name", list(VERBS))
def test_every_verb_has_help_with_exit_codes(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: gpcp {name}" in shown
    assert "exit code" in shown


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gpcp ")


@pytest.mark.parametrize("name", [name for name in VERBS if name != "benchmark"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quite"], "Did you mean --quiet?"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "x"], "--seed"),
        (["stray"], "stray"),
    ],
)
def test_bad_use_of_every_verb_is_one_line(
    name: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main([name, *arguments]) == BAD_USE
    line = one_line(capsys)
    assert line.startswith(f"gpcp {name}: error: ")
    assert message in line


def test_a_misspelt_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert main(["diagnos", "--model", "default"]) == BAD_USE
    assert "nearest: diagnose" in one_line(capsys)


def test_without_a_verb_it_is_diagnose(capsys: pytest.CaptureFixture[str]):
    assert main(["--quiet"]) == BAD_USE
    assert one_line(capsys).startswith("gpcp diagnose: error: there is nothing to diagnose")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("no such gene"), BAD_USE, "gpcp ask: error: no such gene"),
        (KeyboardInterrupt(), INTERRUPTED, "kept"),
    ],
)
def test_what_ends_a_verb_early(error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]):
    asking = verb("ask", about="", notes="")

    @asking.default
    def ask() -> int:
        raise error

    top = verb("gpcp", about="", notes="")
    top.command(asking)
    assert run(top, ["ask"], interrupted="all is kept") == code
    assert message in capsys.readouterr().err


SPEAKS = """
import sys
from diagnostics.cli.app import run, verb

speaking = verb("gpcp", about="", notes="")

@speaking.default
def speak() -> int:
    print("a line that nobody reads")
    return 0

sys.exit(run(speaking, [], interrupted=""))
"""


def test_output_that_nobody_reads_ends_the_command_quietly(repo: Path):
    with subprocess.Popen(
        [sys.executable, "-c", SPEAKS], cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == ""
    assert started.returncode == READER_LEFT


def test_a_pipe_of_the_verb_itself_that_breaks_is_no_reader_that_left(capsys: pytest.CaptureFixture[str]):
    asking = verb("gpcp", about="", notes="")

    @asking.default
    def ask() -> int:
        raise BrokenPipeError("to a worker")

    with pytest.raises(BrokenPipeError, match="to a worker"):
        run(asking, [], interrupted="")


def test_help_imports_nothing_heavy(repo: Path):
    script = (
        "import sys; from diagnostics.__main__ import main; main(['--help']);"
        "heavy = {'torch', 'numpy', 'scipy', 'pandas', 'anndata', 'matplotlib', 'optuna'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
