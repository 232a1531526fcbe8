"""Entries of batches of every kind: what is put in is read again, and the batch itself stays as it was."""

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.inputs.loaders.batch_fields import BatchFields, put, read, steps_of
from gpcp.core.errors import InputError

Named = namedtuple("Named", ["x", "y", "z"])


@dataclass(frozen=True)
class Frozen:
    x: int
    y: int
    z: int


KINDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "tuple": ((1, 2, 3), (0, 1, 2)),
    "list": ([1, 2, 3], (0, 1, 2)),
    "dict": ({"x": 1, "y": 2, "z": 3}, ("x", "y", "z")),
    "named tuple": (Named(1, 2, 3), ("x", "y", "z")),
    "frozen dataclass": (Frozen(1, 2, 3), ("x", "y", "z")),
    "object": (SimpleNamespace(x=1, y=2, z=3), ("x", "y", "z")),
    "nested": ({"cell": [1, 2], "pert": {"gene": 3}}, (("cell", 0), ("cell", 1), ("pert", "gene"))),
}


@given(kind=st.sampled_from(sorted(KINDS)), which=st.integers(0, 2), value=st.integers(10, 20))
def test_what_is_put_in_is_read_and_nothing_else_changes(kind: str, which: int, value: int):
    batch, entries = KINDS[kind]
    made = put(batch, {entries[which]: value})
    assert type(made) is type(batch)
    assert [read(made, entry) for entry in entries] == [value if i == which else i + 1 for i in range(3)]
    assert [read(batch, entry) for entry in entries] == [1, 2, 3]


def test_an_entry_that_is_not_there_names_those_that_are():
    with pytest.raises(InputError, match=r"no entry 'expr'.*entries 'x', 'y'"):
        read({"x": 1, "y": 2}, "expr")
    with pytest.raises(InputError, match="no entry 3: it is a tuple with the positions 0, 1"):
        read((1, 2), 3)
    assert steps_of(np.zeros(3)) == ()


def test_fields_say_what_is_wrong_with_them():
    assert BatchFields.of({"before": 0, "after": 1, "mask": 2}).measured == 2
    with pytest.raises(InputError, match=r"no field 'befor'.*nearest: before"):
        BatchFields.of({"befor": 0, "after": 1})
    with pytest.raises(InputError, match="say which entry of a batch is 'after'"):
        BatchFields.of({"before": 0})
    with pytest.raises(InputError, match="'before' and 'after' name the same entry 1"):
        BatchFields.of({"before": 1, "after": 1})
