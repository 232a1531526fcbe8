import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.random import stream

PURPOSES = st.lists(st.one_of(st.integers(0, 2**32 - 1), st.sampled_from(["cells", "told"])), max_size=4)


@given(st.integers(0, 2**63), PURPOSES, st.integers(0, 2**63), PURPOSES)
def test_seed_and_purpose_decide(seed: int, purpose: list[str | int], other_seed: int, other_purpose: list[str | int]):
    one, again = stream(seed, *purpose).bytes(16), stream(seed, *purpose).bytes(16)
    assert one == again
    if (seed, purpose) != (other_seed, other_purpose):
        assert stream(other_seed, *other_purpose).bytes(16) != one


def test_zeros_at_the_end_count():
    assert len({stream(5, *[0] * n).bytes(16) for n in range(5)}) == 5


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed is -1"):
        stream(-1, "cells")
