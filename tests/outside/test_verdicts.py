"""The verdict on code that none of its builders wrote: silent on healthy recipes, and an alarm on bugs that hurt.

A sample of either: all of them, and the table of the README, by ``python -m tests.outside.judge healthy`` and ``bugs``.
"""

import pytest

from tests.outside.case import Case, some
from tests.outside.judge import cases_of, judged

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

HEALTHY = [*some(cases_of("healthy"), 37), *some(cases_of("unseen_healthy"), 27)]
BUGS = [
    *some([case for case in cases_of("bugs") if not case.hurts.startswith("no")], 32),
    *some(cases_of("unseen_bugs"), 20)[1:],
]


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_a_healthy_recipe_raises_no_alarm(case: Case):
    report = judged(case.make())
    assert report.diagnosis is None, report.diagnosis
    assert [one for one in report.results if one.outcome == "error"] == []
    assert sum(one.outcome == "pass" for one in report.results) > 30


@pytest.mark.parametrize("case", BUGS, ids=lambda case: case.name)
def test_a_bug_raises_an_alarm(case: Case):
    report = judged(case.make())
    assert report.diagnosis is not None
