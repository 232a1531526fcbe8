"""A result that cannot be judged does not exist; a report's exit code follows from its results."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.results.card import Card
from diagnostics.results.check_result import CAUSES, OUTCOMES, Cause, CheckResult, Outcome
from diagnostics.results.rendering import OUTCOME_TEXT, line, numbers, outcome_text
from diagnostics.results.report import Report, versions
from gpcp.core.errors import InputError


def result(outcome: Outcome, name: str = "a check") -> CheckResult:
    return CheckResult(
        name=name, outcome=outcome, message="it was so", next_step="do that", statistic=0.5, tolerance=0.9, n=3
    )


outcomes = st.lists(st.sampled_from(OUTCOMES), max_size=6)


@given(outcomes)
def test_a_report_passes_only_where_something_passed_and_nothing_failed(drawn: list[Outcome]) -> None:
    report = Report(results=tuple(result(o, f"check {i}") for i, o in enumerate(drawn)), world="w", seed=(0,))
    assert (report.exit_code == 0) == ("pass" in drawn and not {"fail", "error"} & set(drawn))
    assert report.passed == (report.exit_code == 0)


@given(outcomes)
def test_the_diagnosis_is_the_first_failing_result(drawn: list[Outcome]) -> None:
    report = Report(results=tuple(result(o, f"check {i}") for i, o in enumerate(drawn)), world="w", seed=(0,))
    diagnosis = report.diagnosis
    assert (diagnosis is None) == ("fail" not in drawn)
    if diagnosis is not None:
        assert diagnosis.name == f"check {drawn.index('fail')}"


@given(outcomes, st.integers(min_value=40, max_value=120))
def test_the_text_fits_its_width_and_tells_every_result(drawn: list[Outcome], width: int) -> None:
    report = Report(results=tuple(result(o, f"check {i}") for i, o in enumerate(drawn)), world="w", seed=(0,))
    text = report.text(width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert all(f"check {i}: it was so" in text for i in range(len(drawn)))


@given(outcomes)
def test_a_report_survives_json(drawn: list[Outcome]) -> None:
    report = Report(results=tuple(result(o) for o in drawn), world="w", seed=(0, 1))
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert read["seed"] == [0, 1]
    assert [CheckResult(**one) for one in read["results"]] == list(report.results)
    assert read["verdict"] == ("pass" if report.passed else "fail")


@pytest.mark.parametrize("field", ["statistic", "null", "p", "tolerance", "ceiling", "baseline", "seconds"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_are_finite(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        CheckResult(**{"name": "x", "outcome": "inconclusive", "message": "y", field: value})


@pytest.mark.parametrize("outcome", ["pass", "fail"])
def test_a_verdict_needs_what_it_was_judged_by(outcome: Outcome) -> None:
    with pytest.raises(InputError, match="p or tolerance"):
        CheckResult(name="x", outcome=outcome, message="y", next_step="z", statistic=1.0)
    with pytest.raises(InputError, match="p or tolerance"):
        CheckResult(name="x", outcome=outcome, message="y", next_step="z", p=0.5)


def test_a_failure_says_what_to_do() -> None:
    with pytest.raises(InputError, match="next_step"):
        CheckResult(name="x", outcome="fail", message="y", statistic=1.0, tolerance=2.0)


def test_an_unknown_outcome_names_the_nearest() -> None:
    with pytest.raises(InputError, match="nearest: pass"):
        CheckResult(name="x", outcome="passed", message="y")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_p_is_a_probability(p: float) -> None:
    with pytest.raises(InputError, match="probability"):
        CheckResult(name="x", outcome="pass", message="y", statistic=1.0, p=p)


def test_versions_name_what_the_numbers_rest_on() -> None:
    assert {"gpcp", "python", "torch", "numpy"} <= set(versions())


@given(st.sampled_from(OUTCOMES), st.sampled_from(CAUSES), st.sampled_from([None, *CAUSES]))
def test_a_failure_has_its_own_cause_or_that_of_its_check(outcome: Outcome, cause: Cause, own: Cause | None) -> None:
    found = replace(result(outcome, ""), cause=own).of("loss.x", cause=cause, seconds=1.5)
    assert (found.name, found.seconds) == ("loss.x", 1.5)
    assert found.cause == ((own or cause) if outcome == "fail" else None)
    assert found.message == "it was so"


@given(st.sampled_from(OUTCOMES))
def test_every_output_writes_a_result_alike(outcome: Outcome) -> None:
    one = replace(result(outcome), smallest_effect=0.25)
    assert outcome_text(one).strip() == OUTCOME_TEXT[outcome]
    assert line(one) == "a check: it was so (would have seen 0.25)"
    assert numbers(one) == "statistic 0.5, tolerance 0.9, smallest effect 0.25, n = 3"
    report = Report(results=(one,), world="w", seed=(0,))
    assert report.text().startswith(outcome_text(one))
    if outcome == "inconclusive":
        assert line(one) in Card.of(report, {}).text()
    if outcome == "fail":
        assert numbers(one) in Card.of(report, {}).text()
