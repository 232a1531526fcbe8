"""The one exception for bad input, the one warning, and the hint that names the nearest valid choice."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import final


class InputError(ValueError):
    """What the caller gave cannot be used; the message says what, where and what to do.

    Commands print it as one line and exit with code 2; anything else that is raised is a bug.
    """


@final
class InputWarning(UserWarning):
    """What was found is used otherwise than it lay there; the message says what, where and what follows.

    Commands print it as one line.
    """


def nearest(name: str, choices: Iterable[str], *, n: int = 3) -> str:
    """Say which of ``choices`` look most like ``name``, as the end of an error message.

    Parameters
    ----------
    name : str
        What was asked for.
    choices : iterable of str
        What there is.
    n : int
        The most names to show.

    Returns
    -------
    str
        ``"nearest: a, b"``, or ``"known: ..."`` with the first few where nothing is alike.
    """
    known = list(choices)
    lower = {choice.lower(): choice for choice in known}
    close = [lower[match] for match in get_close_matches(name.lower(), lower, n=n, cutoff=0.5)]
    if close:
        return f"nearest: {', '.join(close)}"
    shown = ", ".join(known[: 2 * n]) + (", ..." if len(known) > 2 * n else "")
    return f"known: {shown}" if known else "there are none"
