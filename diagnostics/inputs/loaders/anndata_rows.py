"""Batches that are AnnData objects: rows of several of them as one, and one with other values at some positions."""

import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast


def is_anndata(batch: object) -> bool:
    """Whether a batch is an AnnData object; the library is imported by whoever made it."""
    return any(kind.__name__ == "AnnData" and kind.__module__.startswith("anndata") for kind in type(batch).__mro__)


def rows_of(batches: Sequence[Any], rows: Sequence[int]) -> Any:
    """One row of each, in memory, under names of their own."""
    concat = cast("Any", import_module("anndata")).concat

    positions: dict[int, list[int]] = {}
    for position, one in enumerate(batches):
        positions.setdefault(id(one), []).append(position)
    with warnings.catch_warnings():
        # The same cell may come more than once.
        warnings.filterwarnings("ignore", message="Observation names are not unique")
        parts = [batches[some[0]][[rows[position] for position in some]].copy() for some in positions.values()]
        made = parts[0] if len(parts) == 1 else concat(parts, merge="same", uns_merge="same")
        made.obs_names = [str(position) for some in positions.values() for position in some]
    return made[[str(position) for position in range(len(rows))]].copy()


def with_value(batch: Any, path: Sequence[Any], value: object) -> Any:
    """A copy with another value at ``("X",)``, ``("layers", name)``, ``("obs", name)`` or ``("obsm", name)``."""
    made = batch.copy()
    if len(path) == 1:
        setattr(made, str(path[0]), value)
    else:
        getattr(made, str(path[0]))[path[1]] = value
    return made
