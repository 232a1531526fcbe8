import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import ENSEMBL_GENE
from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES, SHAPES, GeneGraph, find_cycle, modular, simulated_vocab

FAMILIES = DENSE_FAMILIES | SHAPES
SHAPE_EDGES = {
    "chain": lambda n: [(i, i + 1) for i in range(n - 1)],
    "fork": lambda n: [(0, i) for i in range(1, n)],
    "collider": lambda n: [(i, 0) for i in range(1, n)],
}


def drawn(family: str, n_genes: int, seed: int) -> GeneGraph:
    rng = generator("test graphs", seed)
    if family in SHAPES:
        return SHAPES[family](n_genes, rng=rng)
    return DENSE_FAMILIES[family](n_genes, degree=min(4.0, n_genes - 1), rng=rng)


graphs = st.builds(drawn, st.sampled_from(sorted(FAMILIES)), st.integers(2, 12), st.integers(0, 2**32))


def digraph(graph: GeneGraph) -> "nx.DiGraph[int]":
    return nx.from_numpy_array(graph.adjacency_GG.astype(int), create_using=nx.DiGraph)


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


@pytest.mark.parametrize("family", sorted(SHAPES))
@pytest.mark.parametrize("n_genes", [2, 3, 7])
def test_shapes_have_their_edges_up_to_labels(family: str, n_genes: int):
    expected = nx.DiGraph(SHAPE_EDGES[family](n_genes))
    for seed in range(5):
        assert nx.is_isomorphic(digraph(drawn(family, n_genes, seed)), expected)


@pytest.mark.parametrize("family", sorted(DENSE_FAMILIES))
def test_mean_degree_is_as_asked(family: str):
    n_genes, n_graphs = 200, 10
    for degree in (2.0, 4.0, 5.0):
        rng = generator("degree", family, int(degree))
        n_edges = [DENSE_FAMILIES[family](n_genes, degree=degree, rng=rng).n_edges for _ in range(n_graphs)]
        # Edges are at most Poisson-like: sd <= sqrt(mean); 5 standard errors. Scale-free growth starts with genes
        # that cannot have degree/2 parents yet, at most 6 edges fewer.
        mean = n_genes * degree / 2
        assert np.mean(n_edges) == pytest.approx(mean, abs=5 * np.sqrt(mean / n_graphs) + 6)


def test_scale_free_hubs_are_regulators():
    graph = drawn("scale_free", 300, 0)
    n_out_G, n_in_G = graph.adjacency_GG.sum(axis=1), graph.adjacency_GG.sum(axis=0)
    assert n_in_G.max() == 2
    assert n_out_G.max() > 20  # an Erdos-Renyi graph of the same degree has 8 or so


def test_modules_hold_most_edges():
    # Communities are found again from the graph alone: modularity of the best partition is far above a random graph's.
    quality = {
        name: nx.community.modularity(
            plain := digraph(graph).to_undirected(),
            [set(found) for found in nx.community.greedy_modularity_communities(plain)],
        )
        for name, graph in (("modular", drawn("modular", 100, 3)), ("erdos_renyi", drawn("erdos_renyi", 100, 3)))
    }
    assert quality["modular"] > quality["erdos_renyi"] + 0.2
    assert modular(100, share_between=0.0, rng=generator(1)).n_edges > 0


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_half_of_the_weights_are_negative_and_sizes_are_uniform(family: str):
    graphs = [drawn(family, 12, seed) for seed in range(100)]
    weights = np.concatenate([graph.weight_GG[graph.adjacency_GG] for graph in graphs])
    assert (weights < 0).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(weights)))  # 4 standard errors
    # Uniform on .5 .. 2: mean 1.25, standard deviation 1.5 / sqrt(12).
    assert np.abs(weights).mean() == pytest.approx(1.25, abs=4 * 1.5 / np.sqrt(12 * len(weights)))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_labels_carry_no_order(family: str):
    # Share of edges that run to a higher token; each graph contributes one mean, so their scatter gives the error.
    upward = [
        float(np.mean(np.subtract(*np.nonzero(graph.adjacency_GG)) < 0))
        for graph in (drawn(family, 12, seed) for seed in range(200))
    ]
    standard_error = np.std(upward) / np.sqrt(len(upward))
    assert np.mean(upward) == pytest.approx(0.5, abs=4 * standard_error)


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


@pytest.mark.parametrize("family", sorted(DENSE_FAMILIES))
def test_impossible_sizes_and_degrees_are_refused(family: str):
    for n_genes, degree in ((1, 0.0), (4, 4.0), (4, -1.0), (4, float("nan"))):
        with pytest.raises(InputError, match=r"n_genes|degree"):
            DENSE_FAMILIES[family](n_genes, degree=degree, rng=generator(0))


@pytest.mark.parametrize("family", sorted(SHAPES))
def test_a_shape_needs_two_genes(family: str):
    with pytest.raises(InputError, match="at least 2"):
        SHAPES[family](1, rng=generator(0))


def test_modular_arguments_are_checked():
    with pytest.raises(InputError, match="module_size is 0"):
        modular(20, module_size=0, rng=generator(0))
    with pytest.raises(InputError, match=r"share_between 1\.5"):
        modular(20, share_between=1.5, rng=generator(0))


def test_simulated_genes_look_like_ensembl_ids():
    assert all(ENSEMBL_GENE.match(gene) for gene in simulated_vocab(12).feature_id)
    with pytest.raises(InputError, match="at least 1"):
        simulated_vocab(0)


def test_find_cycle_of_two_separate_cycles_is_one_of_them():
    adjacency_GG = np.zeros((5, 5), dtype=bool)
    adjacency_GG[[0, 1, 2, 3, 2], [1, 0, 3, 2, 4]] = True
    assert sorted(find_cycle(adjacency_GG)) in ([0, 1], [2, 3])
