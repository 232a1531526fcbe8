"""One command line for all verbs: how a verb is made, and how what it is asked becomes an exit code."""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from diagnostics.cli.signals import was_asked_to_end
from gpcp.core.errors import InputError, InputWarning

BAD_USE = 2
"""Exit code of a command that was asked for what cannot be done, or whose results could not be written."""

INTERRUPTED = 130
"""Exit code of a command that was interrupted, as shells give it."""

READER_LEFT = 141
"""Exit code of a command whose output nobody reads any more, such as that of ``| head``, as shells give it."""


def verb(name: str, *, about: str, notes: str) -> App:
    """A verb without its function: ``@app.default`` adds it.

    Parameters
    ----------
    name : str
        As it is typed.
    about : str
        What ``--help`` says before the options.
    notes : str
        What it says behind them: examples and exit codes; line breaks stay.
    """
    return App(
        name=name,
        help_format="plaintext",
        help_prologue=about,
        help_epilogue=notes,
        version_flags=(),
        # Of an option that is given twice the last counts, as in most commands: a person edits the end of a line.
        default_parameter=Parameter(allow_repeating=True),
    )


def in_one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning as commands print it, for :func:`warnings.formatwarning`; others than ours keep their place."""
    if issubclass(category, InputWarning):
        return f"gpcp: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def run(app: App, arguments: Sequence[str], *, interrupted: str) -> int:
    """Read the arguments, run the verb that they name, and print what ends it early in one line.

    Parameters
    ----------
    app : App
    arguments : sequence of str
        The verb first.
    interrupted : str
        What Ctrl-C leaves behind, or where to go on.

    Returns
    -------
    int
        That of the verb, :data:`BAD_USE`, :data:`INTERRUPTED` or :data:`READER_LEFT`.
    """
    name = " ".join(["gpcp", *[one for one in arguments[:1] if not one.startswith("-")]])
    try:
        function, bound, unparsed = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
        # What was typed goes to the verb beside its request: results say by which command they were made.
        typed: dict[str, Any] = {"command_line": ("gpcp", *arguments)} if "command_line" in unparsed else {}
        code = int(function(*bound.args, **bound.kwargs, **typed) or 0)
        # Here rather than when the interpreter ends, where nobody could catch what it raises.
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if _somebody_reads():
            raise
        return READER_LEFT
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) or was_asked_to_end():
            _complain(f"\n{name}: interrupted; {interrupted}")
            return INTERRUPTED
        if not (isinstance(error, (CycloptsError, OSError, InputError)) or _is_of_the_disk(error)):
            raise
        _complain(f"{name}: error: {_in_a_line(error)}")
        return BAD_USE


def _is_of_the_disk(error: Exception) -> bool:
    """Whether a library that has errors of its own says that a disk takes no more."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
    return any(os.strerror(number) in str(error) for number in numbers)


def _in_a_line(error: Exception) -> str:
    """The error in words; of one of the system, such as a full disk, the file and the reason."""
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    # What a user's own code raised is shown with its lines, as the one who caught it wrote them.
    return str(error) if isinstance(error, InputError) else " ".join(str(error).split())


def _complain(text: str) -> None:
    """Print to stderr, if anything can be printed there."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _somebody_reads() -> bool:
    """Whether stdout still goes somewhere; where it does not, what is still to be printed goes nowhere quietly."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
