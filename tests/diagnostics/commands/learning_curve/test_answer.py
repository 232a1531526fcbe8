"""The answer: which option is named, when several are, and when the seeds do not decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.commands.learning_curve.answer import WORTH, Answer, answer_of, fitting_of
from gpcp.core.errors import InputError

STANDS = st.lists(st.floats(0.1, 0.8), min_size=3, max_size=6)
JITTER = (0.0, 0.001, -0.001, 0.0005, -0.0005, 0.0002)
"""Differences between seeds that are small beside a gain of .05."""


def answer(stands: list[float], data: float, bigger: float, longer: float, noise: float = 1.0) -> Answer:
    options = {
        name: (name, [one + gain + noise * jitter for one, jitter in zip(stands, JITTER, strict=False)])
        for name, gain in (("more data", data), ("bigger model", bigger), ("longer training", longer))
    }
    return answer_of(stands, options)  # pyright: ignore[reportArgumentType]


@given(stands=STANDS, gain=st.floats(0.05, 0.15))
def test_the_only_option_that_wins_is_named_whatever_the_spread_between_seeds(stands: list[float], gain: float):
    assert answer(stands, gain, 0, 0).verdict == "more data"
    assert answer(stands, 0, gain, 0).verdict == "bigger model"
    assert answer(stands, 0, 0, gain).verdict == "longer training"
    assert answer(stands, gain, gain / 3, 0).verdict == "more data"


@given(stands=STANDS)
def test_options_that_win_alike_are_named_together(stands: list[float]):
    assert answer(stands, 0.1, 0.1, 0).verdict == "more data or bigger model"
    assert answer(stands, 0, 0, 0).verdict == "neither"


@given(stands=STANDS)
def test_where_seeds_disagree_nothing_is_named(stands: list[float]):
    # Jitters of .1 around a gain of .01 are noise.
    assert answer(stands, 0.01, 0.01, 0.01, noise=100).verdict == "open"


def test_what_is_neither_shown_to_win_nor_to_win_less_is_said():
    stands = [0.5, 0.5, 0.5]
    found = answer_of(
        stands, {"bigger model": ("", [0.55, 0.551, 0.549]), "more data": ("", [0.5, 0.55, 0.6]),
                 "longer training": ("", [0.5, 0.501, 0.499])}
    )  # fmt: skip
    assert found.verdict == "bigger model"
    assert found.undecided == ("more data",)
    assert answer(stands, 0.1, 0, 0).undecided == ()


def test_one_seed_decides_nothing_but_what_was_measured_is_there():
    found = answer_of([0.5], {"more data": ("500 -> 2,000 pairs", [0.9])})
    assert found.verdict == "open"
    assert found.gains[0].skill.value == pytest.approx(0.4)


def test_nothing_is_left_at_the_exact_answer():
    at = [0.999, 0.9985, 0.9992]
    assert answer_of(at, {"more data": ("", [0.9992, 0.9984, 0.9993])}).verdict == "nothing is left"


@given(stands=STANDS, gain=st.floats(-0.3, 0.3), noise=st.floats(0, 200))
def test_an_option_is_named_only_if_its_interval_lies_above_0(stands: list[float], gain: float, noise: float):
    found = answer(stands, gain, 0, 0, noise=noise)
    by_name = {one.option: one for one in found.gains}
    named = [name for name in by_name if name in found.verdict]
    assert all(by_name[name].skill.low > 0 and by_name[name].skill.value >= WORTH for name in named)
    assert (not named) == (not any(one.won for one in found.gains))
    assert found.left is not None
    assert found.left.value == pytest.approx(1 - np.mean(stands))


def test_an_option_that_wins_nothing_is_seldom_named():
    # Of 1,000 worlds without any gain the interval of one option lies above 0 in 2.5 %; 4 standard errors are .02.
    rng = np.random.default_rng(1)
    named = 0
    for _ in range(1000):
        stands = list(0.5 + 0.1 * rng.standard_normal(3))
        after = [one + 0.1 * noise for one, noise in zip(stands, rng.standard_normal(3), strict=True)]
        named += answer_of(stands, {"more data": ("", after)}).verdict == "more data"
    assert abs(named / 1000 - 0.025) < 0.02


def test_seeds_must_fit_together():
    with pytest.raises(InputError):
        answer_of([0.5, 0.6], {"more data": ("", [0.7])})


def test_the_training_loss_says_why():
    assert "memorises" in fitting_of(0.5, 0.7, 1.2, 0.7)
    assert "capacity or steps" in fitting_of(1.1, 0.7, 1.2, 0.7)
    assert "80%" in fitting_of(1.1, 0.7, 1.2, 0.7)
    assert "at the Bayes risk" in fitting_of(0.7, 0.7, 0.69, 0.7)
