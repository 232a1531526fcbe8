"""Units inferred from values alone: counts, logarithms once and twice, and worlds in units of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.checks.data.units import LARGEST_LOG_LOG, Units, on_lattice, units_in_words, units_of
from diagnostics.checks.engine.subject import Subject
from tests.diagnostics.checks.sources import Changed, pairs_of, with_after, with_before
from tests.diagnostics.checks.subjects import found


def counts(seed: int, *, depth: float = 3.0, n_cells: int = 300, n_genes: int = 30) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mean_G = rng.gamma(0.8, depth, n_genes)
    return rng.poisson(mean_G * rng.gamma(4, 0.25, (n_cells, 1))).astype(np.float64)


def log_per(total: float, count_BG: np.ndarray) -> np.ndarray:
    return np.log1p(count_BG * total / np.maximum(count_BG.sum(axis=1, keepdims=True), 1))


def seen(value_BG: np.ndarray) -> Units:
    return units_of(value_BG.astype(np.float32), np.ones(value_BG.shape, dtype=bool))


@given(st.integers(0, 30))
@settings(max_examples=15)
def test_counts_and_logarithms_are_perturbed_apart(seed: int):
    count_BG = counts(seed)
    assert seen(count_BG).kind == "counts"
    for total in (1e4, 1e6):
        once, twice = seen(log_per(total, count_BG)), seen(np.log1p(log_per(total, count_BG)))
        assert (once.kind, once.twice) == ("log", False)
        assert (twice.kind, twice.twice) == ("log", True)


@given(st.integers(0, 30))
@settings(max_examples=10)
def test_a_faint_panel_of_deep_cells_is_no_log_of_a_log(seed: int):
    # A tenth of the genes, at a depth that puts single counts at .7 of a logarithm per 10,000.
    faint_BG = np.minimum(counts(seed, depth=0.5), 4)
    value_BG = np.log1p(faint_BG * 1.3)
    assert value_BG.max() < LARGEST_LOG_LOG
    assert seen(value_BG).twice is False


def test_lengths_break_the_lattice_but_not_the_range():
    length_G = np.random.default_rng(0).uniform(0.3, 3, 30)
    value_BG = np.log1p(np.log1p(counts(0, depth=0.3) / length_G * 1e4))
    assert not on_lattice(value_BG, lambda value: np.expm1(np.expm1(value)))
    assert seen(value_BG).twice is True


def test_values_scaled_by_hand_stay_open():
    value_BG = log_per(1e6, counts(0) / np.random.default_rng(0).uniform(0.3, 3, 30))
    scaled_BG = value_BG / value_BG.max(axis=0) * np.random.default_rng(1).uniform(0.05, 1, (300, 30))
    assert seen(scaled_BG).twice is None


def test_a_lattice_is_seen_through_rounding():
    value_BG = np.round(log_per(1e4, counts(1)), 3).astype(np.float64)
    assert on_lattice(value_BG, np.expm1)
    assert not on_lattice(np.random.default_rng(0).uniform(0.5, 3, (300, 30)), np.expm1)


def test_the_largest_log_of_a_log():
    assert pytest.approx(np.log1p(np.log1p(1e6))) == LARGEST_LOG_LOG


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: np.rint(np.exp(x)), "counts"),
        (lambda x: np.exp(3 * x) + 25, "without logarithm"),
        (np.zeros_like, "nothing but zeros"),
    ],
)
@pytest.mark.parametrize("member", ["before", "after", "both"])
def test_wrong_units_of_either_cell_are_named(change, words: str, member: str):
    def altered(pairs, _):
        pairs = with_before(pairs, change(pairs.before_BG)) if member != "after" else pairs
        return with_after(pairs, change(pairs.after_BG)) if member != "before" else pairs

    result = found(Subject(pairs=Changed(pairs_of(), altered)), "data.units")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert words in result.message
    assert ("all cells" if member == "both" else f"the cells {member}") in result.message


def test_cells_in_different_units_are_found():
    source = Changed(pairs_of(), lambda pairs, _: with_after(pairs, 1e6 * pairs.after_BG))
    assert "different units" in found(Subject(pairs=source), "data.units").message


@pytest.mark.parametrize("dose_sd", [0.5, 2.0, 10.0])
def test_worlds_in_their_own_units_pass(dose_sd: float):
    assert found(Subject(pairs=pairs_of(dose_sd=dose_sd)), "data.units").outcome == "pass"


def test_healthy_units_have_no_words():
    log = Units(kind="log", lowest=0, highest=9, mean_size=4, twice=False)
    assert units_in_words(log, log) == ""
