import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.families import erdos_renyi, simulated_vocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.graphs.sortability import r2_sortability, sortability, var_sortability


def of(edges: list[tuple[int, int]], n_genes: int) -> GeneGraph:
    weight_GG = np.zeros((n_genes, n_genes))
    weight_GG[tuple(np.array(edges, dtype=int).reshape(-1, 2).T)] = 1.0
    return GeneGraph(vocab=simulated_vocab(n_genes), weight_GG=weight_GG)


def cells_of_sd(sd_G: list[float]) -> np.ndarray:
    return np.array([[-1.0], [1.0]]) * np.array(sd_G)


@pytest.mark.parametrize(
    ("sd_G", "expected"),
    [([1, 2, 3], 1.0), ([3, 2, 1], 0.0), ([1, 1, 1], 0.5), ([1, 3, 2], 2 / 3), ([2, 1, 3], 2 / 3)],
)
def test_variances_along_a_chain(sd_G: list[float], expected: float):
    # Paths 0 -> 1, 1 -> 2 and 0 -> 2.
    assert var_sortability(cells_of_sd(sd_G), of([(0, 1), (1, 2)], 3)) == pytest.approx(expected)


def test_a_pair_counts_once_for_each_length_of_path():
    # 0 -> 2 directly and by 1: four paths, of which only 1 -> 2 falls.
    assert var_sortability(cells_of_sd([1, 3, 2]), of([(0, 1), (1, 2), (0, 2)], 3)) == pytest.approx(3 / 4)


@given(st.integers(0, 1000))
def test_both_are_shares_and_reversing_the_score_reverses_them(seed: int):
    rng = generator("sortability", seed)
    graph = erdos_renyi(6, degree=3.0, rng=rng)
    cells_BG = rng.normal(size=(50, 6)) * rng.uniform(0.5, 2, 6)
    both = sortability(cells_BG, graph)
    if graph.n_edges:
        assert 0 <= both.var <= 1
        assert 0 <= both.r2 <= 1
        assert var_sortability(cells_BG / cells_BG.var(axis=0), graph) == pytest.approx(1 - both.var)
        assert r2_sortability(cells_BG * rng.uniform(0.5, 2, 6) + 1, graph) == pytest.approx(both.r2)


def test_r2_is_that_of_regressing_on_all_others():
    rng = generator("r2", 0)
    graph = of([(0, 1), (2, 1), (1, 3)], 4)
    cells_BG = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))
    centred_BG = cells_BG - cells_BG.mean(axis=0)
    r2_G = []
    for gene in range(4):
        others_BG = np.delete(centred_BG, gene, axis=1)
        residual_B = centred_BG[:, gene] - others_BG @ np.linalg.lstsq(others_BG, centred_BG[:, gene], rcond=None)[0]
        r2_G.append(1 - residual_B.var() / centred_BG[:, gene].var())
    paths = [(0, 1), (2, 1), (1, 3), (0, 3), (2, 3)]
    expected = np.mean([r2_G[end] > r2_G[start] for start, end in paths])
    assert r2_sortability(cells_BG, graph) == pytest.approx(expected)


def test_without_an_edge_there_is_nothing_to_sort():
    assert np.isnan(var_sortability(cells_of_sd([1, 2]), of([], 2)))


def test_too_few_cells_or_other_genes_are_refused():
    graph = of([(0, 1)], 2)
    with pytest.raises(InputError, match="expected \\(cells, 2\\)"):
        var_sortability(np.zeros((5, 3)), graph)
    with pytest.raises(InputError, match="at least 4"):
        r2_sortability(np.zeros((3, 2)), graph)
