"""What one product leaves: the singular values where all is known, and nothing where a product is all there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.engine.answers import beside_main


@given(st.integers(0, 100))
def test_where_all_is_known_the_first_singular_value_is_taken(seed: int):
    value_BG = np.random.default_rng(seed).normal(size=(20, 6))
    singular = np.linalg.svd(value_BG, compute_uv=False)
    assert beside_main(value_BG) == pytest.approx(1 - singular[0] ** 2 / (singular**2).sum(), abs=1e-9)


@given(st.integers(0, 100), st.floats(0.4, 0.9))
def test_a_product_leaves_nothing_however_much_is_unknown(seed: int, known: float):
    rng = np.random.default_rng(seed)
    value_BG = np.outer(rng.normal(size=60), 0.5 + rng.random(8))
    value_BG[rng.random(value_BG.shape) > known] = np.nan
    # Alternating least squares has not quite ended after its rounds.
    assert beside_main(value_BG) == pytest.approx(0, abs=1e-6)


def test_many_directions_leave_most():
    value_BG = np.random.default_rng(0).normal(size=(500, 20))
    found = beside_main(value_BG)
    assert found is not None
    # One of 20 equal directions, a little more by chance.
    assert 0.9 < found < 0.95


def test_nothing_known_has_no_direction():
    assert beside_main(np.full((4, 3), np.nan)) is None
    assert beside_main(np.zeros((4, 3))) is None
