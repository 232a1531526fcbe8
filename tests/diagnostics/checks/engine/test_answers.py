"""What one product leaves where all is known, or a product is all there is; what a set is expected to express."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diagnostics.checks.engine.answers import answers, beside_main
from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from simulators.scm.regimes import Regime
from tests.diagnostics.checks.sources import pairs_of


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


class EachCell(nn.Module):
    """Answers with the cell before, moved."""

    def forward(self, before: Tensor, target: Tensor, measured: Tensor, perturbed: Tensor) -> Tensor:
        del target, measured, perturbed
        return before + 1


@pytest.mark.parametrize(("regime", "size", "by_set"), [("interventional", 8, True), ("counterfactual", 8, False),
                                                        ("interventional", 1, False)])  # fmt: skip
def test_a_set_of_other_cells_is_answered_by_its_mean(regime: Regime, size: int, by_set: bool):
    """Which predicted cell stands beside which real one means nothing where they are not the same cells."""
    probe = Probe(Subject(pairs=pairs_of(regime=regime), model=EachCell(), intent=Intent(set_size=size)), n_sample=400)
    pairs = probe.drawn(32, "asked")
    own_BG = pairs.before_BG + 1.0
    expected = np.repeat(own_BG.reshape(-1, size, own_BG.shape[1]).mean(axis=1), size, axis=0) if by_set else own_BG
    np.testing.assert_allclose(answers(probe, EachCell(), pairs), expected, rtol=1e-5)
