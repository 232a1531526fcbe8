"""Every value that is reported becomes JSON's types, and comes back equal where JSON has a word for it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gpcp.core.files import to_json
from gpcp.core.intervals import Interval

TEXTS = st.text('a"\\é\n\x00', max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
    max_leaves=9,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A value of fields."""

    name: str
    inner: Any


def expected(value: Any) -> Any:
    """The same by hand, for Python's own types."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, tuple)):
        return [expected(one) for one in value]
    return {name: expected(one) for name, one in value.items()} if isinstance(value, dict) else value


@given(value=values)
def test_what_is_json_already_stays_and_the_rest_is_null(value: Any):
    found = to_json(value)
    assert found == expected(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert to_json(found) == found


@given(inner=values)
def test_a_dataclass_is_an_object_of_its_fields(inner: Any):
    assert to_json(Held(name="a", inner=[Held(name="b", inner=inner)])) == {
        "name": "a",
        "inner": [{"name": "b", "inner": expected(inner)}],
    }


@given(array=arrays.arrays(np.float32, arrays.array_shapes(max_dims=2, max_side=3)))
def test_an_array_is_a_list_of_its_numbers(array: np.ndarray):
    assert to_json(array) == expected(array.tolist())
    assert to_json({"first": array.flat[0]}) == {"first": expected(float(array.flat[0]))}


def test_numpys_scalars_paths_and_intervals():
    value = {
        1: np.int64(3),
        "yes": np.bool_(True),
        "none": np.float64("nan"),
        "path": Path("a") / "b",
        "interval": Interval(value=1.0, low=0.5, high=math.inf, n=2),
    }
    assert to_json(value) == {
        "1": 3,
        "yes": True,
        "none": None,
        "path": "a/b",
        "interval": {"value": 1.0, "low": 0.5, "high": None, "n": 2},
    }
