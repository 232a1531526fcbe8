"""Cells before and after of two kinds, or exchanged in a part of the pairs: found and counted; healthy ones pass."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.data.grounds import HEALTHY, PLANTED, sequenced
from tests.diagnostics.checks.sources import Fixed, with_after, with_before
from tests.diagnostics.checks.subjects import failures, found

KINDS = ("data.two_kinds", "data.exchanged")


def exchanged(pairs: PairBatch, share: float) -> PairBatch:
    one_B = (np.random.default_rng(0).random(len(pairs)) < share)[:, None]
    return replace(
        pairs,
        before_BG=np.where(one_B, pairs.after_BG, pairs.before_BG),
        after_BG=np.where(one_B, pairs.before_BG, pairs.after_BG),
    )


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("ground", PLANTED)
def test_exchanged_cells_are_found_and_counted(ground: str, share: float):
    training, _ = PLANTED[ground](0, 4_000)
    result = found(Subject(pairs=Fixed(exchanged(training, share))), "data.exchanged")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert result.statistic == pytest.approx(share, abs=0.1)
    assert "two cells are exchanged" in result.message


def test_a_tenth_of_exchanged_cells_is_seen_where_many_genes_are_perturbed():
    training, _ = HEALTHY["many_perturbed"](0, 4_000)
    result = found(Subject(pairs=Fixed(exchanged(training, 0.1))), "data.exchanged")
    assert result.outcome == "fail"
    assert result.statistic == pytest.approx(0.1, abs=0.05)


def test_a_choice_of_cells_by_their_values_is_no_exchange():
    """Each gene is perturbed where it is high: its values before are unusual, and those after are perturbed."""
    training, _ = PLANTED["interventional"](0, 4_000)
    high_B = np.where(training.perturbed_BG, training.before_BG, 0).sum(axis=1) > 0
    result = found(Subject(pairs=Fixed(training.rows(np.flatnonzero(high_B)))), "data.exchanged")
    assert result.outcome == "pass"


def dropped(pairs: PairBatch) -> PairBatch:
    return with_after(pairs, np.where(np.random.default_rng(0).random(pairs.after_BG.shape) < 0.17, 0, pairs.after_BG))


@pytest.mark.parametrize("ground", ["counterfactual", "interventional"])
def test_dropout_in_one_of_the_two_cells_is_found(ground: str):
    result = found(Subject(pairs=Fixed(dropped(PLANTED[ground](0, 1_000)[0]))), "data.two_kinds")
    assert result.outcome == "fail"
    assert "only the cells after have zeros" in result.message
    assert "17.0%" in result.message or "16." in result.message or "17." in result.message


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "logged twice": (np.log1p, "log1p of values like those before"),
    "standardised": (lambda value_BG: (value_BG - value_BG.mean(axis=0)) / value_BG.std(axis=0), "standard deviations"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_units_of_one_of_the_two_cells_are_named(change: str):
    altered, words = CHANGES[change]
    training, _ = sequenced(0, 1_000)
    result = found(Subject(pairs=Fixed(with_after(training, altered(training.after_BG)))), "data.two_kinds")
    assert result.outcome == "fail"
    assert words in result.message


def test_one_average_cell_before_is_a_design():
    training, _ = sequenced(0, 1_000)
    average_BG = np.broadcast_to(training.before_BG.mean(axis=0), training.before_BG.shape)
    asked = Subject(pairs=Fixed(with_before(replace(training, before_id_B=np.zeros(1_000, np.int64)), average_BG)))
    assert found(asked, "data.two_kinds").outcome == "not_applicable"


@pytest.mark.parametrize("n_pairs", [300, 4_000])
@pytest.mark.parametrize("ground", HEALTHY)
def test_healthy_cells_pass(ground: str, n_pairs: int):
    for seed in range(3):
        assert failures(Subject(pairs=Fixed(HEALTHY[ground](seed, n_pairs)[0])), *KINDS) == []
