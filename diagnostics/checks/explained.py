"""The section of the page of checks, ``checks.md``, that explains one of them."""

import inspect
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from diagnostics.checks.cascade import all_checks
from gpcp.core.errors import InputError, nearest
from gpcp.core.intervals import binomial_interval

PAGE = Path(__file__).with_name("checks.md")
"""It lies beside the code, so that an installed package has it; ``docs/checks.md`` is a link to it."""

MEASURED = Path(__file__).with_name("measured.json")
"""How often each check was right and wrong on other people's code: written by ``python -m tests.outside.rates``."""


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
    return "\n\n".join(one for one in (sections().get(heading, own), measured(found.code)) if one)


@cache
def _measured() -> Mapping[str, Any]:
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def measured(code: str) -> str:
    """How often a check failed on healthy code, and was the first diagnosis of a bug, in Markdown; empty of others'."""
    counts = _measured()["checks"].get(code)
    if counts is None:
        return ""
    asked, failed, first, right = (counts[name] for name in ("asked", "failed", "first", "right"))
    healthy = "it was asked of none of the healthy ones"
    if asked:
        interval = binomial_interval(failed, asked)
        share = f"{failed / asked:.1%}, 95 % interval {interval.low:.1%} .. {interval.high:.1%}"
        healthy = f"it failed on {failed} of the {asked} healthy ones that it was asked of ({share})"
    of_bugs = f"{first} of the others, {right} of them with the right cause" if first else "none of the others"
    n_healthy, n_hurt = _measured()["n_healthy"], _measured()["n_hurt"]
    return (
        f"*Measured* on {n_healthy} healthy recipes and {n_hurt} bugs and faults of data by people who had not seen "
        f"the checks, after the kinds that were judged wrongly at first had been mended: {healthy}; it was the first "
        f"diagnosis of {of_bugs}."
    )
