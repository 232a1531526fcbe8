"""What a source's cells come from, as data: the same text for the same cells in every process."""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import scipy.sparse as sp

from gpcp.core.cells import CellSource
from gpcp.sources.sparse import IndexedCells

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""What objects without a text of their own print: another one in every process."""

_LONGEST = 1000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where cells come from.

    Parameters
    ----------
    provenance : str
        What they are, query and normalisation.
    place : str
        Of the file that they were read from; empty where there is none, or it is not read as a whole.
    state : str
        What changes whenever the contents of a store do that is not read again to be compared; else empty.
    """

    provenance: str
    place: str = ""
    state: str = ""

    @classmethod
    def of(cls, cells: CellSource, provenance: str | None = None) -> "Origin":
        """That of a source: its ``provenance`` if none is given, its ``place`` and its ``state`` where it has them."""
        place, state = (str(getattr(cells, name, "")) for name in ("place", "state"))
        place = str(Path(place).absolute()) if place else ""
        return cls(provenance=provenance_of(cells) if provenance is None else provenance, place=place, state=state)


def provenance_of(cells: CellSource) -> str:
    """What a source says of itself: its ``provenance``, else what it is made of, how it prints, or its kind.

    A dataclass is what its fields hold, by their digest; one that gives any of its rows at once is known by its kind,
    since its cells can be compared. A long text is cut and ends in its digest, so that two that differ still differ.
    """
    kind = type(cells)
    text = getattr(cells, "provenance", None)
    if not isinstance(text, str):
        text = f"{kind.__module__}.{kind.__qualname__}"
        if is_dataclass(cells):
            text += "" if isinstance(cells, IndexedCells) else f" ({digest_of(cells)})"
        elif kind.__repr__ is not object.__repr__:
            text = _ADDRESS.sub("", repr(cells))
    if len(text) <= _LONGEST:
        return text
    digest = blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{text[: _LONGEST // 2]}... ({len(text)} characters, {digest})"


def digest_of(value: object) -> str:
    """A digest of data: dataclasses by their fields, arrays by their values, functions by their names.

    Two values of the same data have the same digest, in any process; what data cannot distinguish, such as two
    functions of one name, has the same digest, too.
    """
    summed = blake2b(digest_size=8)
    _add(value, summed.update, set())
    return summed.hexdigest()


def _add(value: object, put: Callable[[bytes], None], within: set[int]) -> None:
    """Pass on the bytes of a value; what holds itself is passed on once."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        put(f"{type(value).__name__} {value!r};".encode())
        return
    if id(value) in within:
        return
    within = within | {id(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        array: Any = np.asarray(cast("Any", value))
        put(f"array {array.dtype.str} {array.shape};".encode())
        put(repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).tobytes())
        return
    put(f"{type(value).__module__}.{type(value).__qualname__} {{".encode())
    for part in _parts(value):
        _add(part, put, within)
    put(b"}")


def _parts(value: object) -> Sequence[object]:
    """What a value is made of."""
    if is_dataclass(value) and not isinstance(value, type):
        return [part for one in fields(value) if one.init for part in (one.name, getattr(value, one.name))]
    if sp.issparse(value):
        matrix: Any = value
        rows = matrix.tocsr()
        return [rows.shape, rows.indptr, rows.indices, rows.data]
    if isinstance(value, Mapping):
        known = cast("Mapping[object, object]", value)
        return [part for name in sorted(known, key=str) for part in (name, known[name])]
    if isinstance(value, (list, tuple)):
        return list(cast("Sequence[object]", value))
    if isinstance(value, AbstractSet):
        return sorted(digest_of(one) for one in cast("AbstractSet[object]", value))
    if isinstance(value, np.random.Generator):
        return [value.bit_generator.state]
    name = getattr(value, "__qualname__", None)
    if name is not None:
        return [getattr(value, "__module__", None), name]
    held = getattr(value, "__dict__", None)
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    if held or slots:
        return [dict(held or {}), [getattr(value, name, None) for name in slots]]
    return [_ADDRESS.sub("", repr(value))]
