"""Spiked pairs: the same bytes in any batches, only what was planted differs from the real pairs, and it is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.pairs import FixedPairs, PairBatch, concatenate
from gpcp.core.random import generator
from simulators.graphs.families import simulated_vocab
from simulators.spike_ins.pairs import SpikedPairs, planted_effects
from simulators.spike_ins.planted_graph import planted_graph
from simulators.spike_ins.values import Rule

VOCAB = simulated_vocab(10)
GRAPH = planted_graph(VOCAB, seed=3)


def real_pairs(n: int = 700, *, negative: bool = False) -> FixedPairs:
    rng = generator("test real pairs", n)
    value_TBG = rng.gamma(2.0, 2.0, size=(2, n, 10)) * (rng.random((2, n, 10)) < 0.7)
    value_TBG -= 3.0 if negative else 0.0
    measured_BG = rng.random((n, 10)) < 0.9
    before_BG, after_BG = (np.where(measured_BG, one, 0).astype(np.float32) for one in value_TBG)
    id_B = np.arange(n, dtype=np.int64)
    held = PairBatch(
        vocab=VOCAB,
        before_BG=before_BG,
        after_BG=after_BG,
        measured_BG=measured_BG,
        perturbed_BG=np.zeros_like(measured_BG),
        before_id_B=id_B,
        after_id_B=id_B + n,
    )
    return FixedPairs(held=held, shuffled=False)


def all_of(source: SpikedPairs | FixedPairs, *, batch_size: int = 10_000, seed: int = 0) -> PairBatch:
    return concatenate(source.pairs(batch_size=batch_size, seed=seed))


@settings(max_examples=15)
@given(batch_size=st.integers(1, 900), seed=st.integers(0, 3))
def test_no_batch_size_changes_a_byte(batch_size: int, seed: int):
    source = SpikedPairs(real=real_pairs(), graph=GRAPH)
    some, whole = all_of(source, batch_size=batch_size, seed=seed), all_of(source, seed=seed)
    np.testing.assert_array_equal(some.after_BG, whole.after_BG)
    np.testing.assert_array_equal(some.perturbed_BG, whole.perturbed_BG)


@settings(max_examples=20)
@given(rule=st.sampled_from(["fold", "shift"]), most=st.integers(1, 10), seed=st.integers(0, 3))
def test_the_second_cell_holds_its_own_value_and_the_planted_effect(rule: Rule, most: int, seed: int):
    real = real_pairs(negative=rule == "shift")
    source = SpikedPairs(real=real, graph=GRAPH, n_perturbed=(1, most), rule=rule)
    plain, spiked = all_of(real, seed=seed), all_of(source, seed=seed)
    np.testing.assert_array_equal(spiked.before_BG, plain.before_BG)
    np.testing.assert_array_equal(spiked.measured_BG, plain.measured_BG)
    assert (spiked.perturbed_BG.sum(axis=1) <= most).all()
    effect_BG = planted_effects(GRAPH, spiked)
    own_BG = plain.after_BG.astype(np.float64)
    moved_BG = own_BG + effect_BG if rule == "shift" else np.log1p(np.expm1(own_BG) * np.exp(effect_BG))
    np.testing.assert_allclose(spiked.after_BG[spiked.scored_BG], moved_BG[spiked.scored_BG], rtol=1e-5, atol=1e-5)
    if rule == "fold":
        assert (spiked.before_BG[spiked.perturbed_BG] > 0).all()
        assert (spiked.after_BG[spiked.scored_BG & (plain.after_BG == 0)] == 0).all()


def test_without_a_dose_the_pairs_are_the_real_ones():
    spiked = all_of(SpikedPairs(real=real_pairs(), graph=GRAPH, dose=(0.0, 0.0)))
    plain = all_of(real_pairs())
    np.testing.assert_array_equal(spiked.after_BG[spiked.scored_BG], plain.after_BG[spiked.scored_BG])


def test_regression_on_what_is_given_finds_the_planted_effects():
    """The slope of each gene on the change of a regulator lies within 5 standard errors of the total effect."""
    source = SpikedPairs(real=real_pairs(6000, negative=True), graph=GRAPH, rule="shift")
    pairs = all_of(source)
    regulator = int(np.argmax(GRAPH.n_children()))
    total_G = np.linalg.inv(np.eye(10) - GRAPH.weight_GG)[regulator]
    rows = pairs.perturbed_BG[:, regulator]
    for gene in np.flatnonzero(np.abs(total_G) > 0):
        used = rows & pairs.scored_BG[:, gene]
        if not used.any():
            continue
        x_B, y_B = pairs.delta_BG[used, regulator], pairs.delta_BG[used, gene]
        slope = (x_B @ y_B) / (x_B @ x_B)
        error = np.std(y_B - slope * x_B) / np.sqrt(x_B @ x_B)
        assert abs(slope - total_G[gene]) < 5 * error


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"graph": planted_graph(simulated_vocab(9))}, "other genes"),
        ({"rule": "folt"}, "fold"),
        ({"n_perturbed": (2, 1)}, "fewest"),
        ({"dose": (1.0, 0.5)}, "smallest"),
    ],
)
def test_what_has_no_meaning_is_refused(bad: dict[str, object], message: str):
    arguments: dict[str, object] = {"real": real_pairs(5), "graph": GRAPH} | bad
    with pytest.raises(InputError, match=message):
        SpikedPairs(**arguments)  # pyright: ignore[reportArgumentType]
