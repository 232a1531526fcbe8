"""A report as a table and as JSON: what is published, and that nothing is added to it in silence."""

import json
from dataclasses import fields, replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from diagnostics.checks.engine.subject import Subject
from diagnostics.commands.diagnose.run import contents
from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.card import Card
from diagnostics.results.check_result import CAUSES, OUTCOMES, CheckResult
from diagnostics.results.cure_result import CURE_OUTCOMES, CureResult
from diagnostics.results.rendering import address
from diagnostics.results.report import SCHEMA, Report
from tests.diagnostics.checks.subjects import pairs_of
from tests.source_tree import REPO

FORMAT: dict[str, Any] = json.loads((REPO / "docs" / "report.schema.json").read_text(encoding="utf-8"))
OF_RESULT = FORMAT["$defs"]["result"]


def summed(prediction: Any, after: Any, scored: Any) -> Any:
    """A loss that grows with the batch."""
    return ((prediction - after) ** 2)[scored].sum()


def breaks(prediction: Any, after: Any, scored: Any) -> Any:
    raise ValueError("no loss today")


def report_of(loss: Any) -> Report:
    subject = Subject(name="a loss", pairs=pairs_of(), loss=loss)
    return diagnose(subject, only=("loss", "GP111"), ignore={"GP202": "not here"})


@pytest.fixture(scope="module", params=[(summed, "fail"), (breaks, "error")], ids=["fail", "error"])
def report(request: pytest.FixtureRequest) -> Report:
    loss, outcome = request.param
    found = report_of(loss)
    assert outcome in {one.outcome for one in found.results}
    return found


def errors_of(value: Any, schema: Any = FORMAT) -> list[str]:
    return [one.message for one in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def written(report: Report) -> Any:
    """What ``gpcp diagnose --json`` writes, read again."""
    return json.loads(json.dumps(contents(report, Card.of(report, {}), ["gpcp", "diagnose"], 1.0)))


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(FORMAT)


def test_real_reports_follow_the_schema(report: Report):
    outcomes = {one.outcome for one in report.results}
    assert {"pass", "not_applicable"} < outcomes
    assert any(one.message == "ignored: not here" for one in report.results)
    assert errors_of(written(report)) == []
    alone = {"$ref": "#/$defs/report", "unevaluatedProperties": False, "$defs": FORMAT["$defs"]}
    assert errors_of(json.loads(json.dumps(report.to_json())), alone) == []


def test_cures_follow_the_schema(report: Report):
    cures = (
        CureResult(name="rate x0.1", outcome="helps", message="m", checks=("loss.padding",), loss_with=0.1, gain=0.2,
                   low=0.1, high=0.3, n_runs=5, n_steps=160),
        CureResult(name="a plain step", outcome="not_tried", message="not tried: give optimizer= too"),
    )  # fmt: skip
    found = replace(report, cures=cures)
    assert errors_of(written(found)) == []
    assert written(found)["cures"][0]["high"] == 0.3
    for shown in (found.text(), Card.of(found, {}).text()):
        assert "rate x0.1: m: helps" in shown
        assert "a plain step: not tried: give optimizer= too" in shown


def test_the_schema_knows_every_field_of_a_result_and_no_other():
    names = [one.name for one in fields(CheckResult)]
    assert list(OF_RESULT["properties"]) == names
    assert OF_RESULT["required"] == names
    assert tuple(OF_RESULT["properties"]["outcome"]["enum"]) == OUTCOMES
    assert tuple(FORMAT["$defs"]["cause"]["enum"]) == (*CAUSES, None)
    of_cure = FORMAT["$defs"]["cure"]
    assert list(of_cure["properties"]) == of_cure["required"] == [one.name for one in fields(CureResult)]
    assert tuple(of_cure["properties"]["outcome"]["enum"]) == CURE_OUTCOMES
    assert FORMAT["$defs"]["report"]["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 0),
        (("more",), 1),
        (("results", 0, "more"), 1),
        (("results", 0, "p"), 2.0),
        (("results", 0, "n"), 1.5),
        (("results", 0, "outcome"), "passed"),
        (("heading",), "FINE"),
    ],
)
def test_what_is_not_of_the_schema_is_refused(path: tuple[Any, ...], value: Any):
    found = written(report_of(summed))
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert errors_of(found)


def test_a_failure_needs_a_next_step_and_a_number():
    found = written(report_of(summed))
    (failed,) = [one for one in found["results"] if one["code"] == "GP206"]
    assert failed["outcome"] == "fail"
    for name, value in (("next_step", ""), ("statistic", None), ("tolerance", None)):
        kept, failed[name] = failed[name], value
        assert errors_of(found), name
        failed[name] = kept
    assert errors_of(found) == []


def test_the_frame_has_a_row_a_result_and_a_column_a_field(report: Report):
    frame = report.frame()
    assert list(frame.columns) == [one.name for one in fields(CheckResult)]
    assert list(frame["code"]) == [one.code for one in report.results]
    assert list(frame["statistic"].isna()) == [one.statistic is None for one in report.results]
    assert frame["statistic"].dtype == np.float64
    assert str(frame["n"].dtype) == "Int64"
    assert set(frame.loc[frame["outcome"] == "fail", "cause"]) <= set(CAUSES)


def test_the_frame_of_an_empty_report_has_the_columns():
    frame = Report(results=(), world="a world", seed=(0,)).frame()
    assert frame.shape == (0, len(fields(CheckResult)))


def test_a_result_has_the_address_of_its_section():
    one = CheckResult(name="data.two_cells", code="GP111", outcome="inconclusive", message="m")
    assert address(one) == "docs/checks.md#gp111-datatwo_cells"
    assert address(CheckResult(name="data.own", code="LAB101", outcome="inconclusive", message="m")) == ""


def test_the_card_shows_the_code_of_each_check_and_the_address_of_the_first():
    found = report_of(summed)
    text = Card.of(found, {"loss.batch_size": "is it?"}).text()
    assert "GP206 loss.batch_size: is it?" in text
    assert "docs/checks.md#gp206-lossbatch_size" in text
    for one in found.consequences:
        assert f"{one.code} {one.name}" in text


def test_a_training_that_could_not_be_judged_leaves_the_verdict_open():
    results = (
        CheckResult(name="architecture.range", outcome="pass", message="so", statistic=0.0, tolerance=0.0),
        CheckResult(
            name="learning.beats_baseline", outcome="not_applicable", message="cannot be asked of this model: no number"
        ),
    )
    text = str(Report(results=results, world="w", seed=(0,)))
    assert "OPEN: 1 checks passed and none failed, but whether it learns is not judged" in text


def test_a_report_and_its_diagnosis_print_what_was_found_and_what_to_do():
    failed = CheckResult(
        name="loss.scored", code="GP202", outcome="fail", message="it counts more", next_step="mask it", statistic=1.0,
        tolerance=0.0, cause="bug",
    )  # fmt: skip
    report = Report(results=(failed,), world="w", seed=(0,))
    assert str(failed) == "fail GP202 loss.scored: it counts more -> mask it"
    assert all(words in str(report) for words in ("verdict    BUG", "GP202 loss.scored", "it counts more", "mask it"))
