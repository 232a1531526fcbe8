"""One command line for all verbs: how a verb is made, and how what it is asked becomes an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from gpcp.core.errors import InputError

BAD_USE = 2
"""Exit code of a command that was asked for what cannot be done."""

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
    except CycloptsError as error:
        print(f"{name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_USE
    except InputError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return BAD_USE
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; {interrupted}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        if _somebody_reads():
            raise
        return READER_LEFT


def _somebody_reads() -> bool:
    """Whether stdout still goes somewhere; where it does not, what is still to be printed goes nowhere quietly."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
