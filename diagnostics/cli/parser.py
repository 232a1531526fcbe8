"""What every command shares: errors of one line that name the nearest option, exit codes, and numbers within bounds."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn, final

from gpcp.core.errors import InputError, nearest

BAD_USE = 2
"""Exit code of a command that was asked for what cannot be done."""

INTERRUPTED = 130
"""Exit code of a command that was interrupted, as shells give it."""


@final
class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are an :class:`gpcp.core.errors.InputError`, like every other error of bad input.

    Parameters
    ----------
    prog, description, epilog : str
        As argparse's; line breaks stay.
    """

    def __init__(self, *, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            usage="%(prog)s [options]",
            description=description,
            epilog=epilog,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=100),
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what a command prints; an unknown option names the nearest."""
        _, found, unknown = message.partition("unrecognized arguments: ")
        if found:
            option = unknown.split()[0].partition("=")[0]
            known = [name for name in self._option_string_actions if name.startswith("--")]
            message = f"unknown option {option}; {nearest(option, known)}"
        raise InputError(message)


def exit_code_of(name: str, run: Callable[[], int], *, interrupted: str) -> int:
    """Run a command's work, and print what ends it early in one line.

    Parameters
    ----------
    name : str
        What messages begin with.
    run : callable
        Gives the exit code.
    interrupted : str
        What Ctrl-C has left behind, or where to go on.

    Returns
    -------
    int
        That of ``run``, :data:`BAD_USE` or :data:`INTERRUPTED`.
    """
    try:
        return run()
    except InputError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return BAD_USE
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; {interrupted}", file=sys.stderr)
        return INTERRUPTED


def _number(kind: str, least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) < 2**63):
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind}")
        return int(text)

    return parse


positive = _number("a whole number from 1 up", 1)
whole = _number("a whole number from 0 up", 0)


def number_range(text: str) -> tuple[int, int]:
    """Two whole numbers from 1 up, written ``N-M``, or one for both, written ``N``."""
    low, dash, high = text.partition("-")
    least = positive(low)
    most = positive(high) if dash else least
    if most < least:
        raise argparse.ArgumentTypeError(f"{text!r} runs backwards: write the smaller number first")
    return least, most


def share(text: str) -> float:
    """A number within 0 .. 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: a number from 0 to 1")
    return number
