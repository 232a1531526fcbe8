"""A file's contents with one field missing or odd, as another version or a careless hand would have written it."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from gpcp.core.errors import InputError

ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, float("nan"), "", "odd", [], ["odd"], [[]], {}, {"odd": 0})
"""What may stand in place of a value."""


def alterations(content: Any, *, most_rows: int = 2, depth: int = 9) -> Iterator[tuple[str, Any]]:
    """Every field deleted and replaced by each of :data:`ODD`, one at a time, with what was done in words.

    Parameters
    ----------
    content : mappings, lists and plain values within each other
    most_rows : int
        Entries of each list that are altered, from its beginning: others are alike.
    depth : int
        Levels that are altered.
    """
    for odd in ODD:
        yield f"all is {odd!r}", odd
    for path in _paths(content, most_rows, depth):
        where = ".".join(map(str, path))
        *above, name = path
        altered = copy.deepcopy(content)
        del _at(altered, above)[name]
        yield f"{where} deleted", altered
        for odd in ODD:
            altered = copy.deepcopy(content)
            _at(altered, above)[name] = copy.deepcopy(odd)
            yield f"{where} is {odd!r}", altered
    if isinstance(content, dict):
        yield "a field more", {**content, "odd": 0}


def refusal(load: Callable[[], Any]) -> str:
    """What a load is refused with, in one line; nothing where it is not."""
    try:
        load()
    except InputError as error:
        why = str(error)
    else:
        why = ""
    assert "\n" not in why
    return why


def _paths(content: Any, most_rows: int, depth: int) -> Iterator[list[Any]]:
    if not depth:
        return
    if isinstance(content, dict):
        names = list(content)
    elif isinstance(content, list):
        names = list(range(min(most_rows, len(content))))
    else:
        return
    for name in names:
        yield [name]
        yield from ([name, *path] for path in _paths(content[name], most_rows, depth - 1))


def _at(content: Any, path: list[Any]) -> Any:
    for name in path:
        content = content[name]
    return content
