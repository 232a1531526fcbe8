"""Values of options: bounded numbers, ranges, seeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cli.values import number_range, seeds, whole_number
from gpcp.core.errors import InputError


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers(number: int):
    assert whole_number(str(number)) == number
    if number:
        assert whole_number(str(number), least=1) == number


@pytest.mark.parametrize("text", ["-1", "1.0", "", " 1", "1_000", "٣", "9" * 20])
def test_what_is_no_whole_number(text: str):
    for least in (0, 1):
        with pytest.raises(InputError, match=f"is not a whole number from {least} up"):
            whole_number(text, least=least)


@given(least=st.integers(1, 10**6), more=st.integers(0, 10**6))
def test_ranges(least: int, more: int):
    assert number_range(f"{least}-{least + more}") == (least, least + more)
    assert number_range(str(least)) == (least, least)


@pytest.mark.parametrize("text", ["", "-", "0", "3-", "-3", "5-3", "1-2-3", "x"])
def test_what_is_no_range(text: str):
    with pytest.raises(InputError):
        number_range(text)


@given(st.integers(1, 50), st.integers(0, 50))
def test_one_number_is_how_many_seeds_and_a_range_is_which(n: int, first: int):
    assert seeds([str(n)]) == tuple(range(n))
    assert seeds([f"{first}-{first + n - 1}"]) == tuple(range(first, first + n))


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=5))
def test_several_numbers_are_the_seeds_themselves(given_seeds: list[int]):
    assert seeds([str(seed) for seed in given_seeds]) == tuple(dict.fromkeys(given_seeds))


@pytest.mark.parametrize("texts", [["0"], ["-1"], ["3-1"], ["1", "x"], ["1.5"]])
def test_what_is_no_seed(texts: list[str]):
    with pytest.raises(InputError):
        seeds(texts)
