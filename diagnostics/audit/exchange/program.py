"""A program that predicts, as it is named on a command line, and one run of it."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from gpcp.core.errors import InputError

N_SHOWN = 12
"""Last lines of what a program wrote to stderr that an error shows."""

_GRACE_S = 5.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program that predicts a screen.

    Parameters
    ----------
    name : str
        What its predictions are called in the results.
    argv : tuple of str
        Its words; the folder of the exchange is added as the last one.
    time_limit : float, optional
        Seconds; no limit by default.

    Raises
    ------
    InputError
        There is no name or no word, or the limit is not above 0.
    """

    name: str
    argv: tuple[str, ...]
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.argv:
            raise InputError("a program needs a name and a command")
        if self.time_limit is not None and not self.time_limit > 0:
            raise InputError(f"the time limit of {self.name!r} is {self.time_limit:g} s: give more than 0")

    @property
    def folder_name(self) -> str:
        """Its name as a folder's."""
        return re.sub(r"[^\w.-]+", "_", self.name)


def named_program(text: str, *, time_limit: float | None = None) -> Program:
    """``NAME=COMMAND`` as a program, such as ``mine=python my_program.py``.

    Raises
    ------
    InputError
        It has no name or no command, quotes are left open, or there is no such program.
    """
    name, sign, command = text.partition("=")
    if not sign or not name.strip() or not command.strip():
        raise InputError(f"--program: {text!r} is not NAME=COMMAND")
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--program: {command!r} cannot be split into words: {error}") from error
    if shutil.which(argv[0]) is None:
        raise InputError(f"--program: {name.strip()!r}: there is no program {argv[0]!r} that can be run")
    return Program(name=name.strip(), argv=tuple(argv), time_limit=time_limit)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A run that ended well.

    Parameters
    ----------
    cpu_s, wall_s : float
        Seconds, its own processes' alone.
    """

    cpu_s: float
    wall_s: float


def run_in(program: Program, folder: Path) -> Ran:
    """Run a program on a folder; what it writes to stdout and stderr lies there too.

    Raises
    ------
    InputError
        It cannot be started, exits with another code than 0, or takes longer than its limit; the message has the end
        of its stderr. Interrupted or too slow, it is ended with all that it started.
    """
    argv = [*program.argv, str(folder.resolve())]
    before, start = os.times(), time.monotonic()
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        except OSError as error:
            raise InputError(f"program {program.name!r} cannot be started: {error}") from error
        try:
            code = process.wait(program.time_limit)
        except subprocess.TimeoutExpired:
            end_group(process)
            raise InputError(
                f"program {program.name!r} was ended after {program.time_limit:g} s, its time limit; "
                f"{_end_of(folder / 'stderr.txt')}"
            ) from None
        except BaseException:
            end_group(process)
            raise
    if code != 0:
        raise InputError(
            f"program {program.name!r} ended with exit code {code} ({_shown(argv)}); {_end_of(folder / 'stderr.txt')}"
        )
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Ran(cpu_s=cpu_s, wall_s=time.monotonic() - start)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started: politely, and then not."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(_GRACE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _shown(argv: Sequence[str]) -> str:
    return shlex.join(argv)


def _end_of(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    if not lines:
        return "it wrote nothing to stderr"
    return "\n".join(["the end of its stderr:", *(f"  {line}" for line in lines[-N_SHOWN:])])
