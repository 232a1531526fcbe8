from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.random import generator

keys = st.lists(st.one_of(st.integers(-5, 2**70), st.text("a0 é\x00", max_size=3)), max_size=4).map(tuple)


@given(keys)
def test_a_key_gives_the_same_stream_again(key: tuple[int | str, ...]):
    assert generator(*key).bytes(64) == generator(*key).bytes(64)


@given(keys, keys)
def test_another_key_gives_another_stream(one: tuple[int | str, ...], other: tuple[int | str, ...]):
    same = generator(*one).bytes(64) == generator(*other).bytes(64)
    assert same == (one == other)


def test_trailing_zeros_and_word_boundaries_count():
    keys = [(1,), (1, 0), (1, 0, 0), (2**32,), (0, 1), ("1",), ("1", ""), ("",), ()]
    assert len({generator(*key).bytes(16) for key in keys}) == len(keys)
