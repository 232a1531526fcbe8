"""Held-out pairs that went another way than training pairs: named by what was done to them; healthy ones left alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.checks.data.held_out.gene_order import order_of, reordered
from diagnostics.checks.data.marginals import Marginals, change_of
from diagnostics.checks.engine.subject import Subject
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.data.grounds import HEALTHY, PLANTED, simulated
from tests.diagnostics.checks.sources import Fixed, with_after, with_before
from tests.diagnostics.checks.subjects import found, report

Change = Callable[[PairBatch], PairBatch]


def both(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda pairs: with_after(with_before(pairs, change(pairs.before_BG)), change(pairs.after_BG))


def exchanged(pairs: PairBatch) -> PairBatch:
    return replace(pairs, before_BG=pairs.after_BG, after_BG=pairs.before_BG)


def in_another_order(pairs: PairBatch) -> PairBatch:
    return reordered(pairs, np.roll(np.arange(len(pairs.vocab)), 3), perturbed=True)


def rescaled(pairs: PairBatch) -> PairBatch:
    scale_G = np.where(np.arange(len(pairs.vocab)) == 3, 10, 1)
    return both(lambda value_BG: value_BG * scale_G)(pairs)


def logged(value_BG: np.ndarray) -> np.ndarray:
    return np.sign(value_BG) * np.log1p(np.abs(value_BG))


def next_perturbation(pairs: PairBatch) -> PairBatch:
    return replace(pairs, perturbed_BG=np.roll(pairs.perturbed_BG, 1, axis=0) & pairs.measured_BG)


FAULTS: dict[str, tuple[Change, str]] = {
    "exchanged": (exchanged, "the cells before and after of held-out pairs are exchanged"),
    "in another order": (in_another_order, "the genes of held-out pairs are in another order"),
    "one gene": (rescaled, "one gene is on another scale in held-out pairs than in training: ENSSIMG00000000003"),
    "tenfold": (both(lambda value_BG: value_BG * 10), "times those of training pairs"),
    "logged": (both(logged), "log1p of those of training pairs"),
    "no logarithm": (both(lambda value_BG: np.sign(value_BG) * np.expm1(np.abs(value_BG).clip(0, 15))), "expm1 of"),
    "misaligned": (next_perturbation, "belong to other pairs"),
}


def asked(training: PairBatch, held_out: PairBatch) -> CheckResult:
    return found(Subject(pairs=Fixed(training), held_out=Fixed(held_out)), "data.held_out")


@pytest.mark.parametrize("ground", PLANTED)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_done_to_held_out_pairs_is_named(ground: str, fault: str):
    change, words = FAULTS[fault]
    training, held_out = PLANTED[ground](0, 1_500)
    result = asked(training, change(held_out))
    assert (result.outcome, result.cause) == ("fail", "data")
    assert words in result.message or (fault == "misaligned" and "belong to" in result.message), result.message


def test_it_is_the_diagnosis_and_not_that_nothing_can_be_learnt():
    training, held_out = PLANTED["interventional"](0, 1_500)
    asked = Subject(pairs=Fixed(training), held_out=Fixed(in_another_order(held_out)))
    diagnosis = report(asked, "data").diagnosis
    assert diagnosis is not None
    assert diagnosis.name == "data.held_out"


def test_cells_of_different_pairs_are_told_from_perturbations_of_different_pairs():
    training, held_out = PLANTED["counterfactual"](0, 1_500)
    strangers = with_before(held_out, np.roll(held_out.before_BG, 1, axis=0))
    assert "cells before and after of held-out pairs belong to different pairs" in asked(training, strangers).message
    assert "perturbations of held-out pairs belong" in asked(training, next_perturbation(held_out)).message


@pytest.mark.parametrize("n_pairs", [500, 1_500])
@pytest.mark.parametrize("ground", HEALTHY)
def test_healthy_held_out_pairs_pass(ground: str, n_pairs: int):
    for seed in range(2):
        result = asked(*HEALTHY[ground](seed, n_pairs))
        assert result.outcome == "pass", result.message


def test_other_genes_perturbed_than_in_training_are_no_fault():
    training, held_out = PLANTED["interventional"](0, 3_000)
    in_training_G = np.arange(10) < 5
    training, held_out = (
        pairs.rows(np.flatnonzero((pairs.perturbed_BG & wanted_G).any(axis=1)))
        for pairs, wanted_G in ((training, in_training_G), (held_out, ~in_training_G))
    )
    assert asked(training, held_out).outcome in ("pass", "inconclusive")


def test_without_held_out_pairs_or_with_few_nothing_is_asked():
    training, held_out = PLANTED["interventional"](0, 150)
    assert asked(training, held_out).outcome == "not_applicable"
    assert found(Subject(pairs=Fixed(training)), "data.held_out").outcome == "not_applicable"


@pytest.mark.parametrize("name", ["scale_free/10", "erdos_renyi/20"])
def test_an_order_of_genes_is_recovered_from_standardised_genes(name: str):
    """Every gene of these worlds has mean 0 and variance 1: only correlations tell genes apart."""
    training, held_out = simulated(name, "interventional")(1, 2_000)
    order_G = np.random.default_rng(0).permutation(len(training.vocab))
    rng = np.random.default_rng(1)
    recovered_G = order_of(training, reordered(held_out, order_G, perturbed=True), rng)
    assert recovered_G is not None
    assert order_G[recovered_G].tolist() == list(range(len(order_G)))
    assert order_of(training, held_out, rng) is None


def test_a_change_of_units_is_told_from_another_population():
    rng = np.random.default_rng(0)
    value_BG, everywhere = rng.gamma(2.0, 2.0, (1_000, 6)), np.ones((1_000, 6), dtype=np.bool_)
    right = Marginals.of(value_BG, everywhere)
    logs = change_of(right, Marginals.of(np.log1p(value_BG), everywhere))
    assert logs is not None
    assert logs[0] == "log1p of {}"
    shifted = value_BG + rng.normal(0, 3, 6)
    assert change_of(right, Marginals.of(shifted, everywhere)) is None
