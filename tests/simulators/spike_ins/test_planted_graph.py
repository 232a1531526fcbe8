"""Planted graphs: reproducible, of the wanted weights, and an effect runs through them as the inverse says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from simulators.graphs.families import simulated_vocab
from simulators.spike_ins.planted_graph import planted_graph, propagated, total_effects

VOCAB = simulated_vocab(12)


@given(seed=st.integers(0, 50), degree=st.floats(1, 6))
def test_total_effects_are_the_inverse_of_one_minus_the_weights(seed: int, degree: float):
    graph = planted_graph(VOCAB, degree=degree, seed=seed)
    inverse_GG = np.linalg.inv(np.eye(12) - graph.weight_GG)
    np.testing.assert_allclose(total_effects(graph, VOCAB.feature_id), inverse_GG, atol=1e-12)


@given(seed=st.integers(0, 50), low=st.floats(0.1, 1), more=st.floats(0, 2))
def test_weights_lie_between_the_sizes_given(seed: int, low: float, more: float):
    size_E = np.abs(planted_graph(VOCAB, weights=(low, low + more), seed=seed).weight_E)
    assert (size_E >= low).all()
    assert (size_E <= low + more).all()


@given(seed=st.integers(0, 50), chosen=st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_perturbed_gene_keeps_its_dose_and_is_cut_off_from_its_parents(seed: int, chosen: list[bool]):
    graph = planted_graph(VOCAB, seed=seed)
    perturbed_BG = np.array([chosen])
    dose_BG = np.linspace(-1, 1, 12)[None]
    cut_GG = np.where(perturbed_BG, 0.0, graph.weight_GG)
    expected_BG = np.where(perturbed_BG, dose_BG, 0.0) @ np.linalg.inv(np.eye(12) - cut_GG)
    np.testing.assert_allclose(propagated(graph, dose_BG, perturbed_BG), expected_BG, atol=1e-12)


def test_seeds_decide_the_graph():
    first, again, other = (planted_graph(VOCAB, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weight_GG, again.weight_GG)
    assert (first.weight_GG != other.weight_GG).any()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"family": "scale_fre"}, "scale_free"),
        ({"weights": (0.5, 0.2)}, "smaller first"),
        ({"weights": (0.0, 0.2)}, "above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(bad: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        planted_graph(VOCAB, **bad)  # pyright: ignore[reportArgumentType]
