import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES, simulated_vocab
from simulators.graphs.gene_graph import MOST_DENSE, GeneGraph
from simulators.scm.constants import SCALINGS, Scaling, by_covariance, by_loadings
from simulators.scm.scm import build_scm
from tests.simulators.graphs.test_families import drawn


@given(
    st.sampled_from(sorted(DENSE_FAMILIES)),
    st.integers(2, 60),
    st.sampled_from(SCALINGS),
    st.integers(0, 2**32),
)
def test_covariance_and_loadings_give_the_same_spreads(family: str, n_genes: int, scaling: Scaling, seed: int):
    graph = drawn(family, n_genes, seed)
    noise_scale_G = generator("noise scale", seed).uniform(0.1, 2, n_genes)
    one, other = (exact(graph, noise_scale_G, scaling) for exact in (by_covariance, by_loadings))
    # Sums of positive squares in by_loadings, of products of either sign in by_covariance: a little cancels.
    np.testing.assert_allclose(one, other, rtol=1e-9)


def long_chain(n_genes: int) -> GeneGraph:
    return GeneGraph.of_edges(
        vocab=simulated_vocab(n_genes),
        regulator_E=np.arange(n_genes - 1),
        target_E=np.arange(1, n_genes),
        weight_E=np.ones(n_genes - 1),
    )


def test_a_chain_of_more_genes_than_an_array_of_pairs_holds_has_its_spreads():
    # x_j = (x_(j-1) + e) / sqrt 2 from the second gene on; raw, the variance grows by 1 a gene.
    n_genes = MOST_DENSE + 1
    scm = build_scm(long_chain(n_genes), rng=generator(0))
    np.testing.assert_allclose(scm.spread_G, np.r_[1.0, np.full(n_genes - 1, np.sqrt(2))], rtol=1e-12)
    np.testing.assert_allclose(
        by_loadings(long_chain(300), np.ones(300), "standardised"), np.sqrt(np.arange(1, 301)), rtol=1e-12
    )
