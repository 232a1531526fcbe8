"""The page of a diagnosis is one well-formed file that loads nothing and escapes what it shows."""

import pytest

from diagnostics.commands.diagnose.figures import Shown
from diagnostics.commands.diagnose.page import page
from diagnostics.commands.diagnose.svg import dots, levels_figure
from diagnostics.results.card import Card
from diagnostics.results.check_result import CheckResult
from diagnostics.results.report import Report
from tests.diagnostics.commands.html_pages import Page, parsed

EVIL = "<script>alert('&')</script>"


def page_of(*results: CheckResult, world: str = "a world", interrupted: bool = False) -> Page:
    report = Report(results=results, world=world, seed=(0,), interrupted=interrupted)
    questions = {one.name: f"is {one.name} right?" for one in results}
    figures = [
        Shown(title=EVIL, message=EVIL, svg=levels_figure({EVIL: 1.0, "the exact answer": 0.2})),
        Shown(title="bars", message="of each", svg=dots({EVIL: 1.0, "b": 0.0}, unit=EVIL)),
    ]
    card = Card.of(report, questions)
    return parsed(page(report, card, figures, questions, command=["gpcp", EVIL], seconds=1.0))


@pytest.mark.parametrize("interrupted", [False, True])
def test_names_from_outside_are_escaped(interrupted: bool):
    failed = CheckResult(name=EVIL, outcome="fail", message=EVIL, next_step=EVIL, statistic=1, tolerance=0, cause="bug")
    follows = CheckResult(
        name="b", outcome="fail", message="m", next_step="n", statistic=1, tolerance=0, consequence_of=EVIL
    )
    undecided = CheckResult(name="c", outcome="inconclusive", message=EVIL, smallest_effect=0.25)
    broken = CheckResult(name="d", outcome="error", message=EVIL, next_step="n", traceback=EVIL)
    found = page_of(failed, follows, undecided, broken, world=EVIL, interrupted=interrupted)
    assert found.n_of["script"] == 1
    assert found.external == []
    assert found.unclosed == []
    assert len(found.ids) == len(set(found.ids))
    assert found.n_of["tr"] == 1 + 4
    assert EVIL in found.text
    assert "would have seen 0.25" in found.text
    assert ("Interrupted" in found.text) == interrupted


def test_a_check_has_its_code_and_the_address_of_its_section():
    failed = CheckResult(
        name="loss.finite", code="GP201", outcome="fail", message="m", next_step="n", statistic=1, tolerance=0
    )
    undecided = CheckResult(name="data.dose", code="GP121", outcome="inconclusive", message="m")
    text = page_of(failed, undecided).text
    # In the verdict, and in the table of all checks.
    for words in ("GP201 loss.finite", "docs/checks.md#gp201-lossfinite", "GP121 data.dose", "#gp121-datadose"):
        assert text.count(words) == 2


def test_a_report_without_any_result_is_a_page():
    found = page_of()
    assert found.unclosed == []
    assert "OPEN" in found.text
