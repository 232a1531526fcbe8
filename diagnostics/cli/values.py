"""From the text of an option to its value: bounded numbers, ranges, seeds."""

from collections.abc import Sequence
from typing import Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from gpcp.core.errors import InputError

LARGEST = 2**63
"""Numbers are whole and below this one, so that any array can hold them."""

POSITIVE = Parameter(validator=Number(gte=1, lt=LARGEST), metavar="N")
WHOLE = Parameter(validator=Number(gte=0, lt=LARGEST), metavar="N")
SHARE = Parameter(validator=Number(gte=0, lte=1), metavar="SHARE")


def whole_number(text: str, *, least: int = 0) -> int:
    """A whole number from ``least`` up.

    Raises
    ------
    InputError
        It is no such number.
    """
    if not (text.isascii() and text.isdigit() and least <= int(text) < LARGEST):
        raise InputError(f"{text!r} is not a whole number from {least} up")
    return int(text)


def number_range(text: str, *, least: int = 1) -> tuple[int, int]:
    """Two whole numbers, written ``N-M``, or one for both, written ``N``.

    Raises
    ------
    InputError
        One is no whole number from ``least`` up, or they run backwards.
    """
    first, dash, last = text.partition("-")
    low = whole_number(first, least=least)
    high = whole_number(last, least=least) if dash else low
    if high < low:
        raise InputError(f"{text!r} runs backwards: write the smaller number first")
    return low, high


def seeds(texts: Sequence[str]) -> tuple[int, ...]:
    """Seeds: one number N for ``0 .. N-1``, a range ``A-B`` for those from A to B, several words for exactly these.

    Raises
    ------
    InputError
        A word is no whole number and no range, or there is no seed.
    """
    if len(texts) == 1 and "-" not in texts[0]:
        n = whole_number(texts[0])
        if n == 0:
            raise InputError("0 seeds are none: write 1 for seed 0 alone, or A-B for the seeds from A to B")
        return tuple(range(n))
    ranges = [number_range(text, least=0) for text in texts]
    return tuple(dict.fromkeys(seed for low, high in ranges for seed in range(low, high + 1)))


def as_range(_: object, tokens: Sequence[Token]) -> tuple[int, int]:
    """:func:`number_range` as Cyclopts calls it."""
    return number_range(tokens[0].value)


def as_seeds(_: object, tokens: Sequence[Token]) -> tuple[int, ...]:
    """:func:`seeds` as Cyclopts calls it."""
    return seeds([token.value for token in tokens])


RANGE = Parameter(converter=as_range, n_tokens=1, accepts_keys=False, metavar="N[-M]", negative=())
SEEDS = Parameter(converter=as_seeds, consume_multiple=True, metavar="A B C|N", negative=())
MANY = Parameter(consume_multiple=True, negative=())
FLAG = Parameter(negative=(), show_default=False)

KINDS: dict[str, tuple[Any, Parameter]] = {
    "text": (str, Parameter()),
    "positive": (int, POSITIVE),
    "whole": (int, WHOLE),
    "share": (float, SHARE),
}
"""Type and bounds by :attr:`gpcp.opening.cells.Option.kind`."""
