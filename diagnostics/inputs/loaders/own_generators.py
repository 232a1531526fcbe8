"""Generators of random numbers that somebody's loader holds: its own, its dataset's, its sampler's, its collation's.

A pass draws from them as it draws from the global ones. Most are seeded once and go on from pass to pass.
"""

from collections import deque
from functools import partial
from types import FunctionType, MethodType
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from diagnostics.checks.engine.copies import GENERATORS, Generator

_DEPTH, _MOST_ITEMS, _MOST_SEEN = 8, 1_000, 20_000
"""How far is looked; items of a container beyond which it is data; objects looked at."""


def own_generators(loader: object) -> list[Generator]:
    """All that can be reached from a loader, each once, in the order in which they are met."""
    todo: deque[tuple[object, int]] = deque([(loader, _DEPTH)])
    seen, found, kept = set[int](), list[Generator](), list[object]()
    while todo and len(seen) < _MOST_SEEN:
        value, depth = todo.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        # What is met is kept, so that no other object takes its number meanwhile.
        kept.append(value)
        if isinstance(value, GENERATORS):
            found.append(value)
        elif depth:
            todo += [(one, depth - 1) for one in _held(value)]
    return found


def _held(value: object) -> list[Any]:
    if isinstance(value, (type, str, bytes, Tensor, np.ndarray, nn.Module)):
        return []
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, FunctionType):
        return [*(value.__closure__ or ()), *(value.__defaults__ or ())]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, dict):
        held = cast("dict[object, object]", value)
        return list(held.values()) if len(held) <= _MOST_ITEMS else []
    if isinstance(value, (list, tuple, deque, set, frozenset)):
        items = cast("list[object]", value)
        return list(items) if len(items) <= _MOST_ITEMS else []
    if type(value).__name__ == "cell":
        try:
            return [cast("Any", value).cell_contents]
        except ValueError:
            # A name that is not bound yet.
            return []
    return list(cast("dict[str, object]", vars(value)).values()) if hasattr(value, "__dict__") else []
