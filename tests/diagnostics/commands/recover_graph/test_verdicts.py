"""Marks, shares of the way, and what the words promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.commands.recover_graph.verdicts import (
    LEAK_Z,
    THRESHOLDS,
    recovery,
    share_of_linear,
    thresholds_text,
    verdicts,
)
from diagnostics.results.report import Report
from diagnostics.results.run_record import RunRecord
from tests.diagnostics.records import example_record, run_records


def outcome(records: list[RunRecord]) -> dict[str, str]:
    return {result.name.partition(": ")[2]: result.outcome for result in verdicts(records)}


def test_a_good_run_passes() -> None:
    assert set(outcome([example_record()]).values()) == {"pass"}


@pytest.mark.parametrize("regime", THRESHOLDS)
def test_one_bad_seed_fails_the_regime(regime: str) -> None:
    good = example_record(regime=regime, skill=0.99)
    bad = example_record(regime=regime, seed=1, skill=THRESHOLDS[regime].skill - 0.01)
    assert outcome([good, bad])["learns"] == "fail"
    assert outcome([bad, good]) == outcome([good, bad])


def test_a_loss_below_the_bayes_risk_is_a_leak() -> None:
    assert outcome([example_record(leak_z=LEAK_Z + 0.1)])["no leak"] == "fail"
    assert outcome([example_record(leak_z=LEAK_Z - 0.1)])["no leak"] == "pass"


def test_below_a_monte_carlo_bayes_risk_the_question_stays_open() -> None:
    assert outcome([example_record(leak_z=LEAK_Z + 0.1, bayes_is_exact=False)])["no leak"] == "inconclusive"


def test_a_graph_at_its_base_rate_is_not_recovered_and_one_at_its_low_ceiling_is() -> None:
    lost = example_record(auprc=0.097, base_rate=0.097)
    assert recovery(lost) == 0
    assert outcome([lost])["recovers the graph"] == "fail"
    capped = example_record(auprc=0.54, ceiling_auprc=0.54, base_rate=0.097)
    assert recovery(capped) == pytest.approx(1)
    assert outcome([capped])["recovers the graph"] == "pass"


def test_a_ceiling_no_better_than_chance_is_not_recovered() -> None:
    assert outcome([example_record(auprc=0.1, ceiling_auprc=0.1, base_rate=0.1)])["recovers the graph"] == "fail"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"skill": -0.4, "loss": 1.4}, "memorised"),
        ({"skill": 0.6, "late_gain": 0.1}, "--steps"),
        ({"skill": 0.001, "late_gain": 0.0, "ridge_skill": 0.6}, "flat"),
        ({"skill": 0.3, "late_gain": 0.0, "ridge_skill": 0.6}, "ridge"),
    ],
)
def test_a_failure_to_learn_names_the_cause_that_its_numbers_show(changes: dict[str, float], word: str) -> None:
    (result,) = [r for r in verdicts([example_record(**changes)]) if r.name.endswith("learns")]
    assert result.outcome == "fail"
    assert word in result.next_step


def test_real_cells_are_judged_without_a_bayes_risk_and_not_called_causal() -> None:
    real = example_record(regime="matched", bayes_risk=None, skill=None, loss=0.95, ceiling_auprc=None)
    assert share_of_linear(real) == pytest.approx(0.25 / 0.3)
    results = verdicts([real])
    assert [result.outcome for result in results] == ["pass", "pass"]
    assert "not of cause" in results[1].message


@given(st.lists(run_records(), min_size=1, max_size=4))
def test_every_set_of_records_has_a_verdict_that_fits_the_width(records: list[RunRecord]) -> None:
    same = [record for record in records if (record.bayes_risk is None) == (records[0].bayes_risk is None)]
    text = Report(results=verdicts(same), world="scale_free/20", seed=(0,)).text()
    assert max(len(line) for line in text.splitlines()) <= 100


def test_the_marks_are_perturbed() -> None:
    assert all(regime in thresholds_text() for regime in THRESHOLDS)
    assert max(len(line) for line in thresholds_text().splitlines()) <= 100
