"""Mishaps on the way, named: each formula by its own name, whatever the numbers, and right ones by none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.data.transforms import FORMULAS, exp_of, log_of, same, transform_of


def values(seed: int, n_pairs: int = 6, n_genes: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 1.5, (n_pairs, n_genes))


def named(found_BG: np.ndarray, right_BG: np.ndarray, **instead: np.ndarray) -> str:
    return transform_of(found_BG, right_BG, np.ones(right_BG.shape, dtype=bool), instead)


@given(st.integers(0, 200))
def test_right_values_have_no_name_even_after_float32(seed: int):
    right_BG = values(seed)
    assert named(right_BG, right_BG) == ""
    assert named(right_BG.astype(np.float32).astype(np.float64), right_BG) == ""


@given(st.integers(0, 200), st.sampled_from(sorted(FORMULAS)))
def test_each_formula_is_named(seed: int, name: str):
    right_BG = values(seed)
    assert named(FORMULAS[name](right_BG), right_BG) == name


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=5))
def test_logarithm_and_exponential_undo_each_other(numbers: list[float]):
    value = np.array(numbers)
    assert np.allclose(log_of(exp_of(value)), value, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 100), st.floats(0.01, 1e6), st.sampled_from([0.0, 2.0]))
def test_a_scale_is_measured(seed: int, factor: float, offset: float):
    right_BG = values(seed)
    if abs(factor - 1) < 1e-3:
        return
    words = named(factor * right_BG + offset * factor, right_BG)
    assert words.startswith(f"{factor:.4g} times the right values") or "half precision" in words
    assert ("plus" in words) == (offset > 0) or "half precision" in words


def test_other_quantities_are_named_first():
    right_BG = values(0)
    assert named(-right_BG, right_BG, delta=-right_BG) == "delta"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:, [1, 2, 3, 4, 0]], "the right values of other genes"),
        (lambda x: x[[1, 2, 3, 4, 5, 0]], "the right values of other pairs"),
        (lambda x: (x - x.mean(axis=0)) / x.std(axis=0), "the right values in other units, each gene with its own"),
        (lambda x: x.astype(np.float16).astype(np.float64), "the right values in half precision"),
        (lambda x: np.zeros_like(x), "0 throughout"),
        (lambda x: np.where(np.arange(5) == 2, np.nan, x), "not finite at 6 of 30 positions"),
        (lambda x: x + np.random.default_rng(1).normal(0, 0.1, x.shape), "correlation 1.00"),
    ],
)
def test_usual_mishaps_are_named(change, words: str):
    right_BG = values(3)
    assert words in named(change(right_BG), right_BG)


def test_only_the_places_asked_for_count():
    right_BG = values(0)
    where_BG = np.zeros(right_BG.shape, dtype=bool)
    where_BG[:, :2] = True
    found_BG = np.where(where_BG, right_BG, 99.0)
    assert transform_of(found_BG, right_BG, where_BG, {}) == ""
    assert transform_of(found_BG, right_BG, ~where_BG, {}) == "99 throughout"
    assert transform_of(found_BG, right_BG, np.zeros_like(where_BG), {}) == ""


def test_nan_equals_nan_alone():
    one = np.array([1.0, np.nan])
    assert same(one, one)
    assert not same(one, np.array([1.0, 2.0]))
    assert not same(np.array([1.0, 2.0]), one)
