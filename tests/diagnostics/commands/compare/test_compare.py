"""Ties are intervals that hold 0, and information is lost where the rank argument and the measurement both say so."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.commands.compare.compare import Entry, RankCeilings, compared
from diagnostics.commands.compare.report import contents, out_line, screen
from diagnostics.scoring.errors import Errors
from diagnostics.scoring.levels import ExactLoss, Levels
from gpcp.core.errors import InputError
from gpcp.core.files import to_json
from gpcp.core.intervals import paired_difference


def of_loss(loss: float) -> Errors:
    return Errors(sum_B=np.array([loss]), n_B=np.array([1]))


LEVELS = Levels(
    mean_delta=of_loss(3.0),
    mean=of_loss(2.0),
    ridge=of_loss(1.1),
    exact=ExactLoss(errors=of_loss(1.0), simulation=None),
)
CEILINGS = RankCeilings(
    bayes_risk=1.0,
    residuals=(0.9, 0.4, 0.1, 0.005),
    reached=(1.9, 1.4, 1.1, 1.005),
    bounds={0: 0.5, 1: 0.3},
    skip=True,
    needed=3,
)


def entry(name: str, losses: list[float | None], *, rank: int = 20, limits: tuple[str, ...] = ()) -> Entry:
    return Entry(
        name=name,
        loss_of=dict(enumerate(losses)),
        n_parameters=100,
        rank=rank,
        objective="squared",
        limits=limits,
    )


GOOD = entry("linear", [1.05, 1.06, 1.04, 1.05])

losses = st.lists(st.floats(1.0, 2.0), min_size=4, max_size=4)


@given(first=losses, second=losses, third=losses, named=st.booleans())
def test_a_tie_is_an_interval_that_holds_0(first: list[float], second: list[float], third: list[float], named: bool):
    entries = [entry("linear", [*first]), entry("mlp", [*second]), entry("pooled", [*third])]
    result = compared(entries, LEVELS, CEILINGS, reference="mlp" if named else None)
    assert result.n_comparisons == (2 if named else 3)
    assert result.level == pytest.approx(1 - 0.05 / result.n_comparisons)
    losses_of = {one.name: [*one.finite.values()] for one in entries}
    for one in result.judged:
        if one.entry.name == result.reference:
            assert (one.outcome, one.difference) == ("reference", None)
            continue
        expected = paired_difference(losses_of[one.entry.name], losses_of[result.reference], level=result.level)
        assert one.difference == expected
        assert (one.outcome == "tie") == (expected.low <= 0 <= expected.high)
        assert ("tie" in one.summary) == (one.outcome == "tie")
    if not named:
        assert result.judged[0].entry.name == result.reference
        assert all(one.outcome != "better" for one in result.judged)
    between = result.between("linear", "mlp")
    turned = result.between("mlp", "linear")
    assert between is not None
    assert turned is not None
    assert (between.low, between.high) == pytest.approx((-turned.high, -turned.low))
    said = out_line(result)
    assert said is not None
    assert ("tie" in said) == between.ties


def one_verdict(other: Entry, ceilings: RankCeilings = CEILINGS) -> tuple[bool | None, str, str]:
    result = compared([GOOD, other], LEVELS, ceilings)
    (judged,) = [one for one in result.judged if one.entry.name == other.name]
    return judged.loses_information, judged.outcome, judged.summary


def test_information_is_lost_where_rank_and_measurement_say_so():
    worse: list[float | None] = [1.55, 1.56, 1.53, 1.56]
    loses, outcome, summary = one_verdict(entry("pooled_scalar", worse, rank=1))
    assert (loses, outcome) == (True, "worse")
    for part in (
        "loses information",
        "on a line (rank 1)",
        "needs rank 3",
        "has loss 1.4000",
        "expected below 1.3000",
        "1.5500",
    ):
        assert part in summary
    assert "none is expected" not in one_verdict(entry("pooled_scalar", worse, rank=1), replace(CEILINGS, bounds={}))[2]

    # Worse, but its rank is enough.
    loses, outcome, summary = one_verdict(entry("mlp", worse, rank=3))
    assert (loses, outcome) == (False, "worse")
    assert "no loss of information is shown" in summary
    # Its rank is too small, but the seeds may be the reason.
    loses, outcome, _ = one_verdict(entry("pooled_scalar", [1.0, 2.0, 1.2, 1.9], rank=1))
    assert (loses, outcome) == (False, "tie")
    # Worse and of too small a rank, but nobody came below what that rank allows.
    generous = replace(CEILINGS, reached=(1.9, 1.02, 1.015, 1.001))
    loses, outcome, summary = one_verdict(entry("pooled_scalar", worse, rank=1), generous)
    assert (loses, outcome) == (False, "worse")
    assert "not shown to be lost information" in summary
    assert "within these steps" in summary


def test_a_reference_can_lose_information_and_a_limit_says_why_another_learns_less():
    scalar = entry("pooled_scalar", [1.55, 1.56, 1.53, 1.56], rank=1)
    result = compared([GOOD, scalar], LEVELS, CEILINGS, reference="pooled_scalar")
    assert [one.outcome for one in result.judged] == ["better", "reference"]
    assert result.judged[1].loses_information
    assert "the reference, loses information" in result.judged[1].summary
    assert not compared([scalar, replace(scalar, name="other")], LEVELS, CEILINGS).judged[0].loses_information
    limited = entry("product", [1.55, 1.56, 1.53, 1.56], limits=("cannot tell genes apart",))
    assert "it cannot tell genes apart" in one_verdict(limited)[2]


def test_trainings_that_diverged_are_left_out_seed_by_seed_and_said():
    _, outcome, summary = one_verdict(entry("mlp", [1.06, None, 1.03, 1.06]))
    assert outcome == "tie"
    assert "1 of 4 trainings diverged" in summary
    _, outcome, summary = one_verdict(entry("mlp", [None] * 4))
    assert outcome == "diverged"
    assert "4 of 4" in summary
    result = compared([entry("linear", [None]), entry("mlp", [None])], LEVELS, CEILINGS)
    assert "diverged in every training" in result.judged[0].summary
    shown = screen(result, LEVELS, CEILINGS, part="head", about="x", notes=())
    assert "diverged" in shown
    assert to_json(contents(result, LEVELS, CEILINGS))["compared"][0]["loss"] is None


def test_one_seed_can_only_tie():
    result = compared([entry("linear", [1.0]), entry("mlp", [2.0])], LEVELS, CEILINGS)
    assert [one.outcome for one in result.judged] == ["reference", "tie"]
    assert "one seed" in result.judged[1].summary
    assert to_json(contents(result, LEVELS, CEILINGS))["pairs"][0]["low"] is None


def test_the_screen_stands_between_baseline_and_ceiling_and_fits_it():
    scalar = entry("pooled_scalar", [1.55, 1.56, 1.53, 1.56], rank=1)
    result = compared([GOOD, scalar, entry("mlp", [1.06, 1.05, 1.05, 1.04])], LEVELS, CEILINGS)
    shown = screen(result, LEVELS, CEILINGS, part="head", about="a world", notes=("a note",))
    assert all(len(line) <= 100 for line in shown.splitlines())
    order = [shown.index(word) for word in ("input-free baseline", "ridge ", "pooled_scalar ", "exact answer")]
    assert order == sorted(order)
    for words in (
        "Bonferroni over 3",
        "rank that is needed",
        "Is `out` losing information?",
        "Note: a note.",
        "rank 1: 1.4000",
    ):
        assert words in shown
    assert out_line(compared([GOOD, scalar], LEVELS, CEILINGS)) is None


def test_two_are_needed_and_the_reference_must_be_one_of_them():
    with pytest.raises(InputError, match="two or more"):
        compared([GOOD], LEVELS, CEILINGS)
    with pytest.raises(InputError, match="nearest: linear"):
        compared([GOOD, replace(GOOD, name="mlp")], LEVELS, CEILINGS, reference="linaer")
