"""Somebody's own code, called so that its errors are distinguished from this library's and shown with its line."""

import importlib
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

import gpcp
from gpcp.core.errors import InputError

_OWN = tuple(str(Path(gpcp.__file__).parents[1] / name) for name in ("gpcp", "simulators", "diagnostics"))


def users_own(failed: str, function: Callable[..., object], *arguments: object, mend: str = "") -> object:
    """Call what a user has written.

    Parameters
    ----------
    failed : str
        With which the message begins.
    function : callable
    *arguments
    mend : str
        How it may be mended, with which the message ends.

    Raises
    ------
    InputError
        It raised: the message shows the frames of the user's own code.
    """
    try:
        return function(*arguments)
    except InputError:
        # It says already what to do.
        raise
    except Exception as error:
        raise InputError("\n".join(filter(None, (failed, shortened(error), mend)))) from error


def shortened(error: BaseException) -> str:
    """A traceback without the frames of this library and of Python's import machinery."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_OWN, "<frozen "))
        and Path(importlib.__file__).parent.as_posix() not in frame.filename
    ]
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return "".join(lines).rstrip()


def place_of(error: BaseException, *, but: str | None = None) -> str:
    """File and line of somebody's own code that an error went through last; ``""`` where it went through none.

    Neither this library's files, nor installed packages, nor the file ``but`` are anybody's own.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        theirs = not frame.filename.startswith((*_OWN, "<", sysconfig.get_paths()["stdlib"]))
        if theirs and frame.filename != but and "site-packages" not in frame.filename:
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return ""
