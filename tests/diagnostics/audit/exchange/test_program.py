"""Programs by name, and runs that fail: each in one clear message, with the end of stderr, and nothing left running."""

import os
import sys
import time
from pathlib import Path

import pytest

from diagnostics.audit.exchange.program import Program, named_program, run_in
from gpcp.core.errors import InputError


def python(code: str, *, name: str = "mine", time_limit: float | None = None) -> Program:
    return Program(name=name, argv=(sys.executable, "-I", "-S", "-c", code), time_limit=time_limit)


def test_the_text_of_an_option():
    program = named_program(f"my model={sys.executable} 'a file.py' --steps 3", time_limit=2.0)
    assert program == Program(name="my model", argv=(sys.executable, "a file.py", "--steps", "3"), time_limit=2.0)
    assert program.folder_name == "my_model"
    for text, message in (
        ("mine", "is not NAME=COMMAND"),
        ("=python", "is not NAME=COMMAND"),
        ("mine=", "is not NAME=COMMAND"),
        ("mine=python 'a", "cannot be split into words"),
        ("mine=no-such-program-anywhere x", "no program 'no-such-program-anywhere'"),
    ):
        with pytest.raises(InputError, match=message):
            named_program(text)
    with pytest.raises(InputError, match="the time limit of 'a' is 0 s"):
        Program(name="a", argv=("true",), time_limit=0)
    with pytest.raises(InputError, match="needs a name and a command"):
        Program(name="a", argv=())


def test_the_folder_is_the_last_word_and_what_is_written_is_kept(tmp_path: Path):
    ran = run_in(
        python("import sys, pathlib; print(pathlib.Path(sys.argv[-1]).name); print('e', file=sys.stderr)"), tmp_path
    )
    assert (tmp_path / "stdout.txt").read_text() == f"{tmp_path.name}\n"
    assert (tmp_path / "stderr.txt").read_text() == "e\n"
    assert ran.cpu_s >= 0
    assert ran.wall_s > 0


def test_a_failure_shows_its_exit_code_and_the_end_of_stderr(tmp_path: Path):
    code = "import sys\nfor i in range(40): print('line', i, file=sys.stderr)\nsys.exit(7)"
    with pytest.raises(InputError, match="'mine' ended with exit code 7") as raised:
        run_in(python(code), tmp_path)
    shown = str(raised.value).splitlines()
    assert shown[-1] == "  line 39"
    assert "  line 27" not in shown
    with pytest.raises(InputError, match="it wrote nothing to stderr"):
        run_in(python("import os; os._exit(3)"), tmp_path)


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="'mine' cannot be started"):
        run_in(Program(name="mine", argv=(str(tmp_path / "none"),)), tmp_path)


def test_a_program_beyond_its_limit_is_ended_with_what_it_started(tmp_path: Path):
    code = (
        "import os, subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(sys.argv[-1], 'child').write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    with pytest.raises(InputError, match="was ended after 1 s, its time limit"):
        run_in(python(code, time_limit=1.0), tmp_path)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _runs(child):
            break
        time.sleep(0.05)
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.is_file() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
