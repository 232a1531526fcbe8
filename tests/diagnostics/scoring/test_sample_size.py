"""Where curves reach a level: closed forms, monotone in everything, bounds that stay bounds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.scoring.sample_size import Needed, crossing, growth, of_seeds
from gpcp.core.errors import InputError

SIZES = (100, 200, 400, 800, 1600)
VALUES = st.lists(st.floats(0, 1), min_size=len(SIZES), max_size=len(SIZES))


@given(n=st.floats(100, 1600), slope=st.floats(0.01, 1))
def test_a_straight_line_over_log_n_is_crossed_where_algebra_says(n: float, slope: float):
    values = [slope * math.log(size) for size in SIZES]
    found = crossing(SIZES, values, slope * math.log(n))
    # At a point the answer may be that point as a bound; a few units of rounding of a logarithm are 1e-9 of n.
    assert found.n == pytest.approx(n, rel=1e-9)
    assert found.bound in (("", "at most") if n < 100 * (1 + 1e-9) else ("",))


@given(values=VALUES, level=st.floats(0, 1))
def test_what_is_reached_lies_between_the_points_or_is_a_bound(values: list[float], level: float):
    found = crossing(SIZES, values, level)
    assert SIZES[0] <= found.n <= SIZES[-1]
    if found.bound == "at most":
        assert found.n == SIZES[0]
    if found.bound == "more than":
        assert found.n == SIZES[-1]
    # The monotone curve has the ends of the values as its bounds.
    if level > max(values) + 1e-9:
        assert found.bound == "more than"
    if level < min(values):
        assert found.bound == "at most"


@given(values=VALUES, levels=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_higher_level_takes_no_fewer_pairs(values: list[float], levels: tuple[float, float]):
    low, high = (crossing(SIZES, values, level) for level in sorted(levels))
    assert low.n <= high.n * (1 + 1e-9)


def test_one_lucky_point_below_unlucky_ones_is_luck():
    assert crossing(SIZES, [0.1, 0.95, 0.2, 0.3, 1.0], 0.9).n > 800
    assert crossing(SIZES, [0.1, 0.2, 0.92, 1.0, 1.0], 0.9).n < 400


@given(values=VALUES, factor=st.integers(2, 50), level=st.floats(0, 1))
def test_units_of_pairs_do_not_matter(values: list[float], factor: int, level: float):
    one = crossing(SIZES, values, level)
    other = crossing([factor * size for size in SIZES], values, level)
    assert other.bound == one.bound
    assert other.n == pytest.approx(factor * one.n, rel=1e-9)


@pytest.mark.parametrize(
    ("sizes", "values"),
    [((), ()), ((1, 2), (0.1,)), ((2, 1), (0.1, 0.2)), ((0, 1), (0.1, 0.2)), ((1, 2), (0.1, math.nan))],
)
def test_what_is_no_curve_is_refused(sizes: tuple[int, ...], values: tuple[float, ...]):
    with pytest.raises(InputError):
        crossing(sizes, values, 0.5)


def test_seeds_are_perturbed_by_the_middle_one_and_their_spread():
    found = of_seeds([Needed(n=900.0), Needed(n=1600.0, bound="more than"), Needed(n=100.0, bound="at most")])
    assert found.middle == Needed(n=900.0)
    assert found.text() == "900 (at most 100 to more than 1,600)"
    assert of_seeds([Needed(n=100.0, bound="at most")]).text() == "at most 100"
    with pytest.raises(InputError):
        of_seeds([])


@given(exponent=st.floats(-1, 3), scale=st.floats(1, 100), n_seeds=st.integers(1, 4))
def test_an_exact_power_of_the_genes_is_recovered(exponent: float, scale: float, n_seeds: int):
    genes = (10, 20, 40)
    needed = [[Needed(n=scale * d**exponent) for d in genes] for _ in range(n_seeds)]
    found = growth(genes, needed)
    assert found is not None
    # Least squares on three points rounds at about 1e-12.
    assert found.value == pytest.approx(exponent, abs=1e-9)
    assert math.isinf(found.high) == (n_seeds == 1)


def test_no_growth_is_perturbed_from_bounds_or_one_number_of_genes():
    assert growth((10, 20), [[Needed(n=10.0), Needed(n=50.0, bound="more than")]]) is None
    assert growth((10,), [[Needed(n=10.0)]]) is None
    assert growth((10, 20), []) is None


def test_the_interval_of_growth_covers_the_exponent_as_often_as_it_says():
    # Of 1,000 simulations of 3 seeds 95 % should cover; 4 standard errors of that share are .028.
    rng = np.random.default_rng(5)
    genes = (10, 20, 40)
    covered = 0
    for _ in range(1000):
        noise_R_size = 0.3 * rng.standard_normal((3, 3))
        needed = [
            [Needed(n=50 * d**1.2 * math.exp(one)) for d, one in zip(genes, row, strict=True)] for row in noise_R_size
        ]
        found = growth(genes, needed)
        assert found is not None
        covered += found.low <= 1.2 <= found.high
    assert abs(covered / 1000 - 0.95) < 0.028
