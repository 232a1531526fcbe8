"""The frame of the cascade: the order, what is chosen, what stands, what follows from what, and what breaks."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diagnostics.checks.engine.check as registry
from diagnostics.checks.cascade import ALPHA, all_checks, chosen, holm, ignored, with_consequences
from diagnostics.checks.engine.check import FAMILIES, check
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.check_result import CheckResult, Outcome
from gpcp.core.errors import InputError
from tests.diagnostics.checks.subjects import pairs_of


@pytest.fixture
def own_checks() -> Iterator[None]:
    """What a test registers is gone afterwards."""
    all_checks()
    before = list(registry.CHECKS)
    yield
    registry.CHECKS[:] = before


def result(name: str, outcome: Outcome = "fail", p: float | None = None) -> CheckResult:
    return CheckResult(
        name=name, outcome=outcome, message="said", next_step="do", statistic=1.0, tolerance=0.0, p=p,
        cause="data" if outcome == "fail" else None,
    )  # fmt: skip


def adjusted(p: list[float]) -> list[float]:
    """Holm's adjusted p-values, each by its own definition: the largest (m - k + 1) p_(k) up to its rank."""
    order = sorted(p)
    return [
        min(1.0, max((len(p) - k) * order[k] for k in range(len(p)) if order[k] <= one))
        for one in p
    ]  # fmt: skip


@given(st.lists(st.floats(0, 0.02) | st.sampled_from([0.0, ALPHA, ALPHA / 2, ALPHA / 3, 1.0]), max_size=6))
def test_holm_agrees_with_adjusted_p_values(p: list[float]):
    results = [result(f"data.{number}", "fail" if one < ALPHA else "pass", one) for number, one in enumerate(p)]
    corrected = holm(results, frozenset(one.name for one in results))
    for one, before, value in zip(corrected, results, adjusted(p), strict=True):
        if before.outcome == "fail" and value > ALPHA * (1 + 1e-12):
            assert one.outcome == "inconclusive"
            assert one.cause is None
        elif before.outcome == "pass" or value < ALPHA * (1 - 1e-12):
            assert one == before


def test_holm_leaves_exact_checks_and_those_without_p_alone():
    results = [result("loss.exact"), result("data.open", "inconclusive"), result("data.weak", p=0.009)]
    results += [result("data.strong", p=1e-6), result("data.none", "pass", p=0.5)]
    corrected = holm(results, frozenset({"data.open", "data.weak", "data.strong", "data.none"}))
    assert [one.outcome for one in corrected] == ["fail", "inconclusive", "inconclusive", "fail", "pass"]
    assert "does not stand among 3 tests" in corrected[2].message


def test_every_failure_but_the_first_is_a_consequence():
    results = with_consequences(
        [result("data.a", "pass"), result("loss.b"), result("loss.c"), result("loss.d", "pass")]
    )
    assert [one.consequence_of for one in results] == ["", "", "loss.b", ""]


@pytest.mark.usefixtures("own_checks")
def test_a_failure_that_a_later_one_explains_is_no_diagnosis():
    for name, explained_by in (("loss.tests_early", ("loss.tests_late",)), ("loss.tests_late", ())):
        check(name, name, "?", cause="bug", kind="exact", needs=("pairs",), explained_by=explained_by)(_fails)
    found = diagnose(Subject(pairs=pairs_of()), only=["loss.tests_early", "loss.tests_late"])
    assert [one.consequence_of for one in found.results] == ["loss.tests_late", ""]
    assert found.diagnosis is not None
    assert found.diagnosis.name == "loss.tests_late"
    assert diagnose(Subject(pairs=pairs_of()), only=["loss.tests_early"]).diagnosis is not None


def _fails(probe: Probe) -> CheckResult:
    return CheckResult(outcome="fail", message="no", next_step="do", statistic=1.0, tolerance=0.0)


@pytest.mark.usefixtures("own_checks")
def test_a_check_that_raises_is_an_error_with_its_traceback_and_the_rest_runs():
    @check("T001", "data.tests_broken", "?", cause="data", kind="exact", needs=("pairs",))
    def broken(probe: Probe) -> CheckResult:
        raise ValueError("a line\nand another")

    check("T002", "loss.tests_after", "?", cause="bug", kind="exact", needs=("pairs",))(_fails)
    heard: list[str] = []
    found = diagnose(
        Subject(pairs=pairs_of()),
        only=["data.tests_broken", "loss.tests_after"],
        on_check=lambda one: heard.append(one.name),
    )
    first, second = found.results
    assert first.outcome == "error"
    assert "ValueError: a line and another" in first.message
    assert "in broken" in first.traceback
    assert (second.outcome, second.consequence_of) == ("fail", "")
    assert heard == ["data.tests_broken", "loss.tests_after"]
    assert not found.passed
    assert json.loads(json.dumps(found.to_json()))["results"][0]["traceback"] == first.traceback


@pytest.mark.usefixtures("own_checks")
def test_an_interrupt_leaves_a_valid_report_of_what_was_found():
    check("T003", "data.tests_before", "?", cause="data", kind="exact", needs=("pairs",))(_fails)

    @check("T004", "data.tests_interrupted", "?", cause="data", kind="exact", needs=("pairs",))
    def interrupted(probe: Probe) -> CheckResult:
        raise KeyboardInterrupt

    check("T005", "loss.tests_never", "?", cause="bug", kind="exact", needs=("pairs",))(_fails)
    found = diagnose(
        Subject(pairs=pairs_of()), only=["data.tests_before", "data.tests_interrupted", "loss.tests_never"]
    )
    assert [one.name for one in found.results] == ["data.tests_before"]
    assert found.interrupted
    assert found.exit_code == 1
    assert json.loads(json.dumps(found.to_json()))["interrupted"] is True
    assert found.text()


@pytest.mark.parametrize("part", ["pairs", "model", "loss", "optimizer"])
@pytest.mark.usefixtures("own_checks")
def test_what_lacks_a_part_is_not_applicable_and_says_which(part):
    asked: list[Probe] = []

    @check("T006", "data.tests_needy", "?", cause="data", kind="exact", needs=("pairs", part))
    def needy(probe: Probe) -> CheckResult:
        asked.append(probe)
        return CheckResult(outcome="pass", message="yes", statistic=0.0, tolerance=0.0)

    (one,) = diagnose(Subject(pairs=pairs_of()), only=["data.tests_needy"]).results
    assert one.outcome == ("pass" if part == "pairs" else "not_applicable")
    assert bool(asked) == (part == "pairs")
    assert part == "pairs" or part in one.message
    assert one.seconds is not None


def test_checks_run_in_the_order_of_the_cascade():
    known = all_checks()
    places = [FAMILIES.index(one.family) for one in known]
    assert places == sorted(places)
    assert len({one.name for one in known}) == len(known)
    names = {one.name for one in known}
    assert all(set(one.explained_by) <= names for one in known)
    assert all(one.question.endswith("?") for one in known)
    assert len({one.code for one in known}) == len(known)
    assert all(re.fullmatch(f"GP{1 + FAMILIES.index(one.family)}[0-9][0-9]", one.code) for one in known)


def test_what_is_ignored_is_not_asked_and_the_reason_is_kept():
    found = diagnose(Subject(pairs=pairs_of()), only=["GP101", "GP102"], ignore={"GP101": "masks are mine"})
    first, second = found.results
    assert (first.code, first.outcome) == ("GP101", "not_applicable")
    assert "masks are mine" in first.message
    assert second.outcome == "pass"
    assert found.to_json()["results"][0]["message"] == first.message
    assert {one.code: why for one, why in ignored(["GP203=NaN cannot occur", "loss.finite"]).items()} == {
        "GP203": "NaN cannot occur",
        "GP201": "no reason given",
    }
    with pytest.raises(InputError, match=r"loss.finit.*nearest: .*loss.finite"):
        ignored(["loss.finit"])


@pytest.mark.slow
def test_the_order_is_not_that_of_the_imports():
    code = (
        "import diagnostics.checks.architecture.outputs, diagnostics.checks.architecture.paths\n"
        "from diagnostics.checks.cascade import all_checks\n"
        "print(*(one.name for one in all_checks()))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == [one.name for one in all_checks()]


def test_what_is_chosen_by_name_family_or_kind():
    assert chosen([]) == tuple(one for one in all_checks() if not one.optional)
    assert [one.name for one in chosen(["loss.padding"])] == ["loss.padding"]
    assert [one.name for one in chosen(["GP101"])] == [all_checks()[0].name]
    assert {one.family for one in chosen(["loss", "optimiser"])} == {"loss", "optimiser"}
    assert {one.kind for one in chosen(["exact"])} == {"exact"}


@pytest.mark.parametrize(
    ("word", "nearest"), [("loss.paddin", "loss.padding"), ("optimizer", "optimiser"), ("exat", "exact")]
)
def test_an_unknown_word_names_the_nearest(word: str, nearest: str):
    with pytest.raises(InputError, match=rf"{word}.*nearest: .*{nearest}"):
        chosen([word])


@pytest.mark.usefixtures("own_checks")
def test_a_check_must_have_a_name_of_its_own_in_a_family():
    with pytest.raises(InputError, match="registered already"):
        check("T007", "loss.padding", "?", cause="bug", kind="exact", needs=())
    with pytest.raises(InputError, match=r"GP101.*another check's"):
        check("GP101", "loss.of_ours", "?", cause="bug", kind="exact", needs=())
    with pytest.raises(InputError, match="none of the families"):
        check("T008", "luck.padding", "?", cause="bug", kind="exact", needs=())


def test_stopping_early_trains_nothing_after_a_failure_and_changes_no_diagnosis(own_checks: None):
    asked: list[str] = []

    def finding(outcome: Outcome, p: float | None = None) -> CheckResult:
        return CheckResult(outcome=outcome, message="said", next_step="do", statistic=1.0, tolerance=0.0, p=p)

    registry.CHECKS.clear()

    @check("T009", "data.chance", "?", cause="data", kind="statistical", needs=())
    def chance(probe: Probe) -> CheckResult:
        return finding("fail", 0.009)

    @check("T010", "learning.first", "?", cause="optimiser", kind="statistical", needs=())
    def first(probe: Probe) -> CheckResult:
        asked.append("first")
        return finding("fail", 0.0)

    @check("T011", "learning.second", "?", cause="optimiser", kind="statistical", needs=())
    def second(probe: Probe) -> CheckResult:
        asked.append("second")
        return finding("pass", 1.0)

    subject = Subject(pairs=pairs_of())
    usual, early = (diagnose(subject, stop_early=stop) for stop in (False, True))
    # What may not stand among three tests stops nothing; what stands does.
    assert asked == ["first", "second", "first"]
    assert usual.diagnosis is not None
    assert early.diagnosis is not None
    assert usual.diagnosis.name == early.diagnosis.name == "learning.first"
    assert [one.outcome for one in early.results] == ["inconclusive", "fail", "not_applicable"]
    assert "learning.first" in early.results[-1].message


def test_no_training_explains_what_was_found_before_it():
    """So that stopping early loses no diagnosis."""
    for one in all_checks():
        if one.family != "learning":
            assert not [name for name in one.explained_by if name.startswith("learning.")], one.name
