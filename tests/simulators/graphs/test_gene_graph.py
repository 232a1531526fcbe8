import pickle

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.families import simulated_vocab
from simulators.graphs.gene_graph import MOST_DENSE, GeneGraph, find_cycle
from tests.simulators.graphs.test_families import digraph, graphs


@given(graphs)
def test_the_order_puts_parents_first(graph: GeneGraph):
    assert sorted(graph.order.tolist()) == list(range(graph.n_genes))
    place = np.argsort(graph.order)
    for parent, child in np.argwhere(graph.adjacency_GG):
        assert place[parent] < place[child]


@given(graphs)
def test_parents_edges_and_density_agree_with_the_weights(graph: GeneGraph):
    for gene in range(graph.n_genes):
        assert graph.parents(gene).tolist() == np.flatnonzero(graph.weight_GG[:, gene]).tolist()
    assert graph.n_edges == (graph.weight_GG != 0).sum()
    assert graph.density == pytest.approx(graph.adjacency_GG[~np.eye(graph.n_genes, dtype=bool)].mean())
    sizes = np.abs(graph.weight_GG[graph.adjacency_GG])
    assert ((sizes >= 0.5) & (sizes <= 2)).all()


@given(graphs)
def test_ancestors_are_what_networkx_says(graph: GeneGraph):
    expected_GG = np.zeros((graph.n_genes, graph.n_genes), dtype=bool)
    for gene in range(graph.n_genes):
        expected_GG[list(nx.ancestors(digraph(graph), gene)), gene] = True
    np.testing.assert_array_equal(graph.ancestors_GG(), expected_GG)


@given(graphs)
def test_the_moral_graph_marries_parents_and_is_what_networkx_says(graph: GeneGraph):
    moral_GG, skeleton_GG = (np.zeros((graph.n_genes, graph.n_genes), dtype=bool) for _ in range(2))
    for expected_GG, edges in ((moral_GG, nx.moral_graph(digraph(graph)).edges), (skeleton_GG, digraph(graph).edges)):
        for one, other in edges:
            expected_GG[one, other] = expected_GG[other, one] = True
    np.testing.assert_array_equal(graph.moral_GG(), moral_GG)
    np.testing.assert_array_equal(graph.skeleton_GG(), skeleton_GG)


@given(graphs, st.data())
def test_a_cycle_is_refused_by_name(graph: GeneGraph, data: st.DataObject):
    edges = np.argwhere(graph.ancestors_GG())
    if not len(edges):
        return
    ancestor, gene = edges[data.draw(st.integers(0, len(edges) - 1))]
    weight_GG = graph.weight_GG.copy()
    weight_GG[gene, ancestor] = 1.0
    cycle = find_cycle(weight_GG != 0)
    assert len(set(cycle)) == len(cycle) >= 2
    assert all(weight_GG[one, next_one] for one, next_one in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    with pytest.raises(InputError, match="cycle") as error:
        GeneGraph(vocab=graph.vocab, weight_GG=weight_GG)
    assert all(name in str(error.value) for name in graph.vocab.genes(cycle))


@given(graphs)
def test_without_a_cycle_none_is_found(graph: GeneGraph):
    assert find_cycle(graph.adjacency_GG) == []


def test_a_self_loop_is_a_cycle():
    with pytest.raises(InputError, match="ENSSIMG00000000001 -> ENSSIMG00000000001"):
        GeneGraph(vocab=simulated_vocab(3), weight_GG=np.diag([0.0, 1.0, 0.0]))


def test_bad_weights_are_refused():
    vocab = simulated_vocab(3)
    with pytest.raises(InputError, match="shape"):
        GeneGraph(vocab=vocab, weight_GG=np.zeros((3, 2)))
    with pytest.raises(InputError, match="dtype"):
        GeneGraph(vocab=vocab, weight_GG=np.zeros((3, 3), dtype=np.float32))  # pyright: ignore[reportArgumentType]
    weight_GG = np.zeros((3, 3))
    weight_GG[0, 2] = np.nan
    with pytest.raises(InputError, match="ENSSIMG00000000000 -> ENSSIMG00000000002 is not finite"):
        GeneGraph(vocab=vocab, weight_GG=weight_GG)


def test_weights_cannot_change_afterwards():
    weight_GG = np.zeros((2, 2))
    graph = GeneGraph(vocab=simulated_vocab(2), weight_GG=weight_GG)
    weight_GG[0, 1] = 1.0
    assert graph.n_edges == 0
    with pytest.raises(ValueError, match="read-only"):
        graph.weight_GG[0, 1] = 1.0


def test_find_cycle_of_two_separate_cycles_is_one_of_them():
    adjacency_GG = np.zeros((5, 5), dtype=bool)
    adjacency_GG[[0, 1, 2, 3, 2], [1, 0, 3, 2, 4]] = True
    assert sorted(find_cycle(adjacency_GG)) in ([0, 1], [2, 3])


@given(graphs, st.integers(0, 1000))
def test_dense_sparse_and_listed_weights_make_the_same_graph(graph: GeneGraph, seed: int):
    shuffled_E = generator("edges", seed).permutation(graph.n_edges)
    others = [
        *(GeneGraph(vocab=graph.vocab, weight_GG=kind(graph.weight_GG)) for kind in (sp.csr_array, sp.csc_array)),
        GeneGraph(vocab=graph.vocab, weight_GG=sp.coo_array(graph.weight_GG)),
        GeneGraph.of_edges(
            vocab=graph.vocab,
            regulator_E=graph.regulator_E[shuffled_E],
            target_E=graph.target_E[shuffled_E],
            weight_E=graph.weight_E[shuffled_E],
        ),
        GeneGraph.of_weights(graph.vocab, {(p, gene): weight for p, gene, weight in graph.edges()}),
        pickle.loads(pickle.dumps(graph)),
    ]
    for other in others:
        for name in ("regulator_E", "target_E", "weight_E", "order", "weight_GG"):
            assert getattr(other, name).tobytes() == getattr(graph, name).tobytes()


@given(graphs)
def test_edges_parents_and_children_agree_with_the_weights(graph: GeneGraph):
    assert [(p, gene) for p, gene, _ in graph.edges()] == [
        tuple(edge) for edge in np.argwhere(graph.weight_GG).tolist()
    ]
    assert all(graph.weight_GG[p, gene] == weight for p, gene, weight in graph.edges())
    np.testing.assert_array_equal(graph.n_children(), graph.adjacency_GG.sum(axis=1))
    for gene in range(graph.n_genes):
        np.testing.assert_array_equal(graph.parent_weights(gene), graph.weight_GG[graph.parents(gene), gene])


def test_weights_that_coo_holds_twice_are_added_and_stored_zeros_are_no_edges():
    twice = sp.coo_array(([1.0, 2.0, 3.0, -3.0], ([0, 0, 1, 1], [1, 1, 2, 2])), shape=(3, 3))
    assert GeneGraph(vocab=simulated_vocab(3), weight_GG=twice).edges() == [(0, 1, 3.0)]


@pytest.mark.parametrize(
    ("regulators", "targets", "weights", "message"),
    [
        ([0, 0], [1, 1], [1.0, 2.0], "ENSSIMG00000000000 -> ENSSIMG00000000001 is given twice"),
        ([0, 1], [1, 2], [1.0, 0.0], "ENSSIMG00000000001 -> ENSSIMG00000000002 has the weight 0"),
        ([0], [3], [1.0], "target_E holds 3: tokens are 0 .. 2"),
        ([-1], [0], [1.0], "regulator_E holds -1"),
        ([0, 1], [1], [1.0], r"target_E has shape \(1,\), expected \(2,\)"),
        ([0], [1], [np.inf], "ENSSIMG00000000000 -> ENSSIMG00000000001 is not finite"),
        ([0, 1], [1, 0], [1.0, 1.0], "cycle"),
    ],
)
def test_bad_edges_are_refused(regulators: list[int], targets: list[int], weights: list[float], message: str):
    with pytest.raises(InputError, match=message):
        GeneGraph.of_edges(
            vocab=simulated_vocab(3),
            regulator_E=np.array(regulators),
            target_E=np.array(targets),
            weight_E=np.array(weights),
        )


def test_a_large_graph_is_its_edges_and_refuses_arrays_of_all_pairs():
    n_genes = MOST_DENSE + 1
    ends = np.arange(n_genes - 1), np.arange(1, n_genes)
    graph = GeneGraph.of_edges(
        vocab=simulated_vocab(n_genes), regulator_E=ends[0], target_E=ends[1], weight_E=np.ones(n_genes - 1)
    )
    assert graph.order.tolist() == list(range(n_genes))
    assert graph.to_networkx().number_of_edges() == graph.n_edges == n_genes - 1
    for dense in ("weight_GG", "adjacency_GG"):
        with pytest.raises(InputError, match=r"10001 genes would take 0\.8 GB: beyond 10000 genes use .* regulator_E"):
            getattr(graph, dense)
    with pytest.raises(InputError, match="edges"):
        graph.ancestors_GG()
