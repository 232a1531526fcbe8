import numpy as np
import pytest

from diagnostics.graphs.partial_correlations import NOT_CAUSAL, partial_graph, partial_within
from diagnostics.graphs.rankings import average_precision
from gpcp.core.errors import InputError
from simulators.worlds import world
from tests.diagnostics.gaussian_cells import batch_of, covariance, gaussian_cells

UPPER = np.triu_indices(20, k=1)


def test_partial_correlations_are_those_of_the_law_whatever_the_types_means():
    rng = np.random.default_rng(0)
    cov = covariance(5, rng)
    cells = gaussian_cells(rng.normal(size=(3, 5)) * 5, cov, [5000, 5000, 5000], rng)
    precision = np.linalg.inv(cov)
    expected = -precision / np.sqrt(np.outer(np.diagonal(precision), np.diagonal(precision)))
    np.fill_diagonal(expected, 0)
    found = partial_within(cells)
    # 15,000 cells: a standard error of .008 each.
    np.testing.assert_allclose(found, expected, atol=0.04)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diagonal(found) == 0).all()


def test_stable_edges_are_edges_of_the_moral_graph():
    known = world("scale_free/20", seed=0)
    value = known.scm.expression(known.scm.draw(3000, np.random.default_rng(0)))
    cells = batch_of(value, ["only"] * len(value))
    graph = partial_graph(cells, rng=np.random.default_rng(1))
    moral = known.graph.moral_GG().astype(np.bool_)
    edges = graph.edges_GG()
    assert (edges == edges.T).all()
    assert 10 <= edges.sum() / 2 <= graph.n_strongest == 20
    # At most 2.6 false ones to be expected; the strongest of 3,000 cells are all true.
    assert not (edges & ~moral).any()
    assert average_precision(np.abs(graph.partial_GG)[UPPER], moral[UPPER]) > 0.95
    assert NOT_CAUSAL in graph.summary


@pytest.mark.parametrize("n_true", [0, 2])
def test_genes_without_an_edge_have_hardly_a_stable_one(n_true: int):
    rng = np.random.default_rng(5)
    counts: list[int] = []
    for _ in range(10):
        value = rng.normal(size=(300, 20))
        # With true edges beside them, the others are not shrunk to 0.
        value[:, :n_true] += 2 * value[:, 10 : 10 + n_true]
        cells = batch_of(value, ["a", "b"] * 150)
        graph = partial_graph(cells, rng=rng, n_resamples=40)
        assert graph.edges_GG()[range(n_true), range(10, 10 + n_true)].all()
        counts.append(int(graph.edges_GG().sum()) // 2)
        assert graph.false_edges() == pytest.approx(20**2 / (0.8 * 190))
    # The bound holds for the mean over data sets.
    assert n_true <= np.mean(counts) <= n_true + 20**2 / (0.8 * 190)


def test_the_generator_decides():
    rng = np.random.default_rng(0)
    cells = gaussian_cells(np.zeros((2, 6)), covariance(6, rng), [40, 80], rng)
    one, same, other = (
        partial_graph(cells, rng=np.random.default_rng(seed), n_resamples=10).stability_GG for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    # Each resample takes as many pairs as asked for.
    assert one.sum() / 2 == pytest.approx(6)


def test_two_genes_have_one_pair():
    rng = np.random.default_rng(0)
    cells = gaussian_cells(np.zeros((1, 2)), np.array([[1.0, 0.9], [0.9, 1.0]]), [20], rng)
    assert partial_graph(cells, rng=rng, n_resamples=3).stability_GG.tolist() == [[0, 1], [1, 0]]


def test_bad_use():
    cells = batch_of(np.random.default_rng(0).normal(size=(20, 4)), ["a"] * 20)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="n_strongest is 7, but 4 genes make 6 pairs"):
        partial_graph(cells, rng=rng, n_strongest=7)
    with pytest.raises(InputError, match="n_resamples is 0"):
        partial_graph(cells, rng=rng, n_resamples=0)
    with pytest.raises(InputError, match="no cell type has four cells"):
        partial_graph(cells.rows(slice(3)), rng=rng)
    with pytest.raises(InputError, match=r"stability is 0.5"):
        partial_graph(cells, rng=rng, n_resamples=2).false_edges(0.5)
