import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import ENSEMBL_GENE
from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES, SHAPES, drawn_weights, modular, simulated_vocab
from simulators.graphs.gene_graph import GeneGraph

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


def all_at_once(family: str, n_genes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The weights of a family as they were drawn before graphs held edges alone: from arrays of all pairs of genes."""
    degree = min(4.0, n_genes - 1)
    upper_GG = np.triu(np.ones((n_genes, n_genes), dtype=bool), k=1)
    if family == "scale_free":
        edge_GG, neighbours_G = np.zeros((n_genes, n_genes), dtype=bool), np.zeros(n_genes)
        for gene in range(1, n_genes):
            n_parents = min(gene, int(np.floor(degree / 2 + rng.random())))
            if n_parents:
                pull = np.maximum(neighbours_G[:gene], 1.0)
                parents = rng.choice(gene, size=n_parents, replace=False, p=pull / pull.sum())
                edge_GG[parents, gene] = True
                neighbours_G[parents] += 1
                neighbours_G[gene] = n_parents
    elif family == "erdos_renyi":
        edge_GG = upper_GG & (rng.random((n_genes, n_genes)) < degree / (n_genes - 1))
    else:
        module_G = rng.permutation(np.arange(n_genes) % max(2, round(n_genes / 10)))
        within_GG = upper_GG & (module_G[:, None] == module_G)
        n_edges, n_within = degree * n_genes / 2, within_GG.sum()
        n_between = upper_GG.sum() - n_within
        inside = min(n_within, max(0.9 * n_edges, n_edges - n_between))
        p_GG = np.where(within_GG, inside / max(1, n_within), (n_edges - inside) / max(1, n_between))
        edge_GG = upper_GG & (rng.random((n_genes, n_genes)) < p_GG)
    label_G, (regulator_E, target_E) = rng.permutation(n_genes), np.nonzero(edge_GG)
    weight_GG = np.zeros((n_genes, n_genes))
    weight_GG[label_G[regulator_E], label_G[target_E]] = drawn_weights(len(regulator_E), rng)
    return weight_GG


@given(st.sampled_from(sorted(DENSE_FAMILIES)), st.integers(2, 60), st.integers(0, 2**32))
def test_a_family_has_the_bytes_that_arrays_of_all_pairs_give(family: str, n_genes: int, seed: int):
    rng, again = generator("test graphs", seed), generator("test graphs", seed)
    graph = DENSE_FAMILIES[family](n_genes, degree=min(4.0, n_genes - 1), rng=rng)
    assert graph.weight_GG.tobytes() == all_at_once(family, n_genes, again).tobytes()
    assert rng.random() == again.random()
