"""Arguments within bounds, and what is said of others."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cli.parser import Parser, number_range, positive, share, whole
from gpcp.core.errors import InputError


def parser() -> Parser:
    made = Parser(prog="python -m some.command", description="One line.\nAnother.", epilog="examples:\n  one")
    made.add_argument("--tissue")
    made.add_argument("--n", type=positive)
    return made


@pytest.mark.parametrize(
    ("given_arguments", "message"),
    [
        (["--tisue", "x"], "unknown option --tisue; nearest: --tissue"),
        (["--tisue=x"], "unknown option --tisue; nearest: --tissue"),
        (["--tissu"], "unknown option --tissu; nearest: --tissue"),
        (["--n", "0"], "argument --n: '0' is not a whole number from 1 up"),
        (["--n"], "argument --n: expected one argument"),
    ],
)
def test_bad_use_is_one_line(given_arguments: list[str], message: str):
    with pytest.raises(InputError) as error:
        parser().parse_args(given_arguments)
    assert str(error.value) == message


def test_line_breaks_of_the_help_stay():
    shown = parser().format_help()
    assert "One line.\nAnother." in shown
    assert "examples:\n  one" in shown
    assert shown.startswith("usage: python -m some.command [options]")


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers(number: int):
    assert whole(str(number)) == number
    if number:
        assert positive(str(number)) == number


@pytest.mark.parametrize("text", ["-1", "1.0", "", " 1", "1_000", "٣", "9" * 20])
def test_what_is_no_whole_number(text: str):
    for kind in (whole, positive):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number"):
            kind(text)


@given(st.floats(0, 1))
def test_shares(number: float):
    assert share(repr(number)) == number


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "half", ""])
def test_what_is_no_share(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a share"):
        share(text)


@given(least=st.integers(1, 10**6), more=st.integers(0, 10**6))
def test_ranges(least: int, more: int):
    assert number_range(f"{least}-{least + more}") == (least, least + more)
    assert number_range(str(least)) == (least, least)


@pytest.mark.parametrize("text", ["", "-", "0", "3-", "-3", "5-3", "1-2-3", "x"])
def test_what_is_no_range(text: str):
    with pytest.raises(argparse.ArgumentTypeError):
        number_range(text)
