import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.families import collider, erdos_renyi, simulated_vocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.mechanisms import MECHANISMS, Hill, Interaction, Mechanism, build_mechanism

names = st.sampled_from(sorted(MECHANISMS))


def answers(mechanism: Mechanism, seen_GB: NDArray[np.float64]) -> NDArray[np.float64]:
    features = [mechanism.feature(seen_B) for seen_B in seen_GB]
    out_GB = np.zeros_like(seen_GB)
    for gene, out_B in enumerate(out_GB):
        mechanism.add(gene, features, out_B)
    return out_GB


def drawn(name: str, seed: int) -> tuple[GeneGraph, Mechanism]:
    rng = generator("mechanism", seed)
    graph = erdos_renyi(6, degree=4.0, rng=rng)
    return graph, build_mechanism(name, graph, rng)


@given(names, st.integers(0, 1000))
def test_every_edge_matters_and_nothing_else_does(name: str, seed: int):
    graph, mechanism = drawn(name, seed)
    seen_GB = generator("seen", seed).uniform(-3, 3, (6, 40))
    before_GB = answers(mechanism, seen_GB)
    for gene in range(6):
        moved_GB = seen_GB.copy()
        moved_GB[gene] += 1.0
        change_GB = answers(mechanism, moved_GB) - before_GB
        for other in range(6):
            if graph.adjacency_GG[gene, other]:
                # A step of 1 within -3 .. 4; the flattest case is a weak Hill edge, slope .5 * .5 / u^2 or so.
                assert (np.abs(change_GB[other]) > 1e-3).mean() > 0.9
            else:
                assert (change_GB[other] == 0).all()


@given(names, st.integers(0, 1000))
def test_over_divides_the_answers(name: str, seed: int):
    _, mechanism = drawn(name, seed)
    rng = generator("over", seed)
    seen_GB, spread_G = rng.normal(size=(6, 10)), rng.uniform(0.1, 10, 6)
    np.testing.assert_allclose(
        answers(mechanism.over(spread_G), seen_GB),
        answers(mechanism, seen_GB) / spread_G[:, None],
        rtol=1e-12,
        atol=1e-12,
    )


@given(names, st.integers(0, 1000))
def test_answers_add_to_what_is_there_and_leave_what_is_seen(name: str, seed: int):
    _, mechanism = drawn(name, seed)
    seen_GB = generator("add", seed).normal(size=(6, 10))
    features = [mechanism.feature(seen_B) for seen_B in seen_GB]
    kept = [feature.copy() for feature in features]
    for gene in range(6):
        out_B = np.full(10, 7.0)
        mechanism.add(gene, features, out_B)
        np.testing.assert_allclose(out_B - 7.0, answers(mechanism, seen_GB)[gene], atol=1e-13)
    for feature, copy in zip(features, kept, strict=True):
        np.testing.assert_array_equal(feature, copy)


@given(st.integers(0, 1000))
def test_linear_and_tanh_are_matrix_products(seed: int):
    for name, squash in (("linear", np.asarray), ("tanh", np.tanh)):
        graph, mechanism = drawn(name, seed)
        seen_GB = generator("product", seed).normal(size=(6, 10))
        np.testing.assert_allclose(answers(mechanism, seen_GB), graph.weight_GG.T @ squash(seen_GB), atol=1e-13)


def two_genes(weight: float) -> GeneGraph:
    return GeneGraph(vocab=simulated_vocab(2), weight_GG=np.array([[0.0, weight], [0.0, 0.0]]))


@given(st.floats(0.5, 2), st.booleans(), st.integers(0, 1000))
def test_hill_saturates_between_its_two_levels(size: float, activates: bool, seed: int):
    graph = two_genes(size if activates else -size)
    hill = Hill.build(graph, generator("hill", seed))
    seen_B = np.linspace(-60, 60, 2001)
    found_B = answers(hill, np.stack((seen_B, seen_B)))[1]
    low, high = (found_B[0], found_B[-1]) if activates else (found_B[-1], found_B[0])
    # At +-60, u^2 is about 14,400 or its inverse and K^2 lies in 1/4 .. 4: within 3e-4 of both levels.
    assert low == pytest.approx(0, abs=2 * size * 3e-4)
    assert high == pytest.approx(2 * size, abs=2 * size * 3e-4)
    steps = np.diff(found_B)
    assert (steps > 0).all() if activates else (steps < 0).all()
    half = float(seen_B[np.argmin(np.abs(found_B - size))])
    assert -0.85 < half < 0.85  # half-saturation at x = (K - 1/K) / 2, within .75; the grid adds .06


@given(st.integers(0, 1000))
def test_hill_is_the_formula_it_states(seed: int):
    graph, mechanism = drawn("hill", seed)
    assert isinstance(mechanism, Hill)
    seen_GB = generator("hill formula", seed).normal(size=(6, 10)) * 3
    u_GB = np.exp(np.arcsinh(seen_GB))  # x + sqrt(1 + x^2) by another way
    expected_GB = np.zeros_like(seen_GB)
    for gene, of_gene in enumerate(mechanism.edges):
        for parent, _, square in of_gene:
            assert 0.25 <= square <= 4
            active_B = u_GB[parent] ** 2 / (square + u_GB[parent] ** 2)
            weight = graph.weight_GG[parent, gene]
            expected_GB[gene] += 2 * abs(weight) * (active_B if weight > 0 else 1 - active_B)
    np.testing.assert_allclose(answers(mechanism, seen_GB), expected_GB, atol=1e-12)


@given(st.integers(2, 8), st.integers(0, 1000))
def test_an_interaction_is_not_additive_and_uses_every_parent(n_parents: int, seed: int):
    rng = generator("interaction", seed)
    graph = collider(n_parents + 1, rng=rng)
    mechanism = Interaction.build(graph, rng)
    target = int(graph.order[-1])
    assert {p for pair in mechanism.pairs[target] for p in pair[:2]} == set(graph.parents(target).tolist())
    one, other, weight = mechanism.pairs[target][0]
    # f(1, 1) - f(1, 0) - f(0, 1) + f(0, 0) leaves v s(1)^2, and s(1)^2 is 1/2.
    seen_GB = np.zeros((n_parents + 1, 4))
    seen_GB[one], seen_GB[other] = [1, 1, 0, 0], [1, 0, 1, 0]
    assert answers(mechanism, seen_GB)[target] @ [1, -1, -1, 1] == pytest.approx(weight / 2, abs=1e-12)
    assert 0.5 <= abs(weight) <= 2


def test_an_unknown_mechanism_names_the_nearest():
    with pytest.raises(InputError, match="nearest: linear"):
        build_mechanism("liner", two_genes(1.0), generator(0))
