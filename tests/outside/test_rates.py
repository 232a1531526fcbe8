"""Rates of checks on outsiders' trainings are counts of what the verdicts were."""

import json

from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.cascade import all_checks
from diagnostics.checks.explained import MEASURED, explained
from tests.outside.rates import rates

OUTCOMES = st.dictionaries(
    st.sampled_from(["GP101", "GP203"]), st.sampled_from(["pass", "fail", "inconclusive", "not_applicable"])
)


@given(outcomes=st.lists(OUTCOMES, max_size=8))
def test_a_healthy_recipe_counts_where_it_was_asked(outcomes: list[dict[str, str]]):
    found = rates([{"outcomes": one} for one in outcomes], [])
    assert found["n_healthy"] == len(outcomes)
    for code, counts in found["checks"].items():
        of_code = [one.get(code) for one in outcomes]
        assert counts["failed"] == of_code.count("fail")
        assert counts["asked"] == sum(one in ("pass", "fail", "inconclusive") for one in of_code) > 0


def test_a_first_diagnosis_is_right_where_its_cause_is_one_of_the_cases():
    lines = [
        {"diagnosis": "GP203 loss.unscored", "found": "bug", "cause": "bug/architecture"},
        {"diagnosis": "GP203 loss.unscored", "found": "bug", "cause": "data"},
        {"diagnosis": None, "found": None, "cause": "data"},
        {"crash": "ValueError: x", "cause": "bug"},
    ]
    found = rates([], lines)
    assert (found["n_hurt"], found["checks"]["GP203"]) == (4, {"asked": 0, "failed": 0, "first": 2, "right": 1})


def test_every_check_with_a_rate_shows_it():
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))["checks"]
    assert set(measured) <= {check.code for check in all_checks()}
    assert len(measured) > 50
    for code, counts in measured.items():
        assert counts["failed"] <= counts["asked"]
        assert counts["right"] <= counts["first"]
        assert "*Measured*" in explained(code)
