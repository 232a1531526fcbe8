"""The public bugs are distinct and filled in; where a case claims that its bug hurts, it does."""

import math
import re
from collections import Counter

import pytest

from tests.outside.bugs import TWINS as FIRST_TWINS
from tests.outside.case import BUGS as FIRST
from tests.outside.case import UNSEEN_BUGS, Case, held_out_error, some, train
from tests.outside.judge import cases_of
from tests.outside.unseen_bugs.twins import TWINS as UNSEEN_TWINS

cases_of("unseen_bugs")

BUGS, TWINS = [*FIRST, *UNSEEN_BUGS], {**FIRST_TWINS, **UNSEEN_TWINS}

CAUSES = {"data", "optimiser", "architecture", "bug"}

WORSE_THAN_TWIN = 1.05
"""Times the twin's held-out error, from which on a bug hurts."""

OF_THE_MEAN = 0.01
"""Of the mean's held-out error, by which a bug that hurts is worse than its twin at least: below, both have learnt."""


def claims_to_hurt(case: Case) -> bool:
    return not case.hurts.startswith("no")


def test_there_are_sixty_of_them_in_either_set():
    assert min(len(FIRST), len(UNSEEN_BUGS)) >= 60
    assert {case.name for case in BUGS} == set(TWINS)


@pytest.mark.parametrize("field", ["name", "source", "bug", "line"])
def test_each_is_of_its_own(field: str):
    times = Counter(getattr(case, field) for case in BUGS)
    assert [value for value, n in times.items() if n > 1 or not value] == []


def test_each_source_is_an_address():
    address = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+")
    assert [case.source for case in BUGS if not address.fullmatch(case.source)] == []


def test_each_cause_is_one_of_four():
    assert [case.cause for case in BUGS if not case.cause or not set(case.cause.split("/")) <= CAUSES] == []


def test_each_harm_is_measured():
    measured = re.compile(r"(no: )?(held-out error .* against .* of the mended twin|raises .*|NaN.*)")
    assert [(case.name, case.hurts) for case in BUGS if not measured.match(case.hurts)] == []


def hurts(error: float, of_twin: float, of_mean: float) -> bool:
    """Whether an error is so much worse; one that is not a number is."""
    return not math.isfinite(error) or (error > WORSE_THAN_TWIN * of_twin and error - of_twin > OF_THE_MEAN * of_mean)


@pytest.mark.parametrize(
    ("error", "expected"), [(0.1, False), (0.104, False), (0.11, True), (math.nan, True), (math.inf, True)]
)
def test_a_harm_is_five_percent_of_the_twin_and_one_of_the_mean(error: float, expected: bool):
    assert hurts(error, 0.1, 0.7) is expected


@pytest.mark.slow
@pytest.mark.parametrize("case", some(BUGS, 15), ids=lambda case: case.name)
def test_a_bug_hurts_as_is_claimed(case: Case):
    mended = TWINS[case.name]()
    train(mended)
    of_twin, of_mean = held_out_error(mended)
    assert of_twin < of_mean
    parts = case.make()
    train(parts)
    error, _ = held_out_error(parts)
    assert hurts(error, of_twin, of_mean) is claims_to_hurt(case)
