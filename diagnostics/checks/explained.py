"""The section of the page of checks, ``checks.md``, that explains one of them."""

import inspect
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from diagnostics.checks.cascade import all_checks
from gpcp.core.errors import InputError, nearest

PAGE = Path(__file__).with_name("checks.md")
"""It lies beside the code, so that an installed package has it; ``docs/checks.md`` is a link to it."""


@cache
def sections() -> Mapping[str, str]:
    """The sections of the page by their headings, ``GP101 data.masks``."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: f"## {part.rstrip()}" for part in parts}


def explained(word: str) -> str:
    """What a check measures, its tolerance, an example of the bug and its fix, in Markdown.

    Parameters
    ----------
    word : str
        Its code, in large or small letters, or its name. Of a check from elsewhere the docstring is given.

    Raises
    ------
    InputError
        No check has this code or name; the message gives the nearest.
    """
    known = {name: check for check in all_checks() for name in (check.code, check.name)}
    found = known.get(word) or known.get(word.upper())
    if found is None:
        raise InputError(f"no check to explain is named {word!r}; {nearest(word, sorted(known))}")
    heading = f"{found.code} {found.name}"
    own = f"## {heading}\n\n{found.question}\n\n{inspect.getdoc(found.ask) or ''}".rstrip()
    return sections().get(heading, own)
