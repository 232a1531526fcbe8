"""Laws of linear worlds against closed forms, brute force and each other; samples are held to them in verification."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.exact.laws import Law, law_of, total_effect_GG
from simulators.graphs.families import erdos_renyi, simulated_vocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.constants import SCALINGS, Scaling
from simulators.scm.interventions import Do, DoCells, Intervention, KnockDown, Shift
from simulators.scm.scm import Scm, build_scm
from simulators.worlds import world


def linear_worlds() -> st.SearchStrategy[Scm]:
    """Linear Gaussian worlds of 2 to 8 genes, of every scaling."""

    def build(n_genes: int, scaling: Scaling, seed: int) -> Scm:
        rng = np.random.default_rng(seed)
        graph = erdos_renyi(n_genes, degree=min(3.0, n_genes - 1), rng=rng)
        scm = build_scm(graph, scaling=scaling, rng=rng)
        return replace(scm, centre_G=rng.standard_normal(n_genes))  # means other than 0

    return st.builds(build, st.integers(2, 8), st.sampled_from(SCALINGS), st.integers(0, 2**32 - 1))


def chain_abc() -> Scm:
    """a -> b -> c with weights 2 and -3, raw: every number below follows by hand."""
    weight_GG = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, -3.0], [0.0, 0.0, 0.0]])
    graph = GeneGraph(vocab=simulated_vocab(3), weight_GG=weight_GG)
    return build_scm(graph, scaling="raw", rng=np.random.default_rng(0))


A, B, C = simulated_vocab(3).feature_id


def test_the_law_of_a_chain_by_hand():
    law = law_of(chain_abc())
    assert np.allclose(law.mean_G, 0)
    # b = 2 a + e, c = -3 b + e: var b = 5, var c = 46.
    assert np.allclose(law.cov_GG, [[1, 2, -6], [2, 5, -15], [-6, -15, 46]])
    assert np.allclose(total_effect_GG(chain_abc()), [[1, 2, -6], [0, 1, -3], [0, 0, 1]])


@pytest.mark.parametrize(
    ("intervention", "mean_G", "variance_G"),
    [
        (Do((B,), 4.0), [0, 4, -12], [1, 0, 1]),
        (Do((A, B), (1.0, 4.0)), [1, 4, -12], [0, 0, 1]),
        (Shift((A,), 1.0), [1, 2, -6], [1, 5, 46]),
        (Shift((A, C), (1.0, 10.0)), [1, 2, 4], [1, 5, 46]),
        # b halved around 0: var b = 5 / 4, var c = 9 * 5 / 4 + 1.
        (KnockDown(genes=(B,), keep=0.5, off=0.0), [0, 0, 0], [1, 1.25, 12.25]),
        # The same around -2: b = -1 + natural / 2.
        (KnockDown(genes=(B,), keep=0.5, off=-2.0), [0, -1, 3], [1, 1.25, 12.25]),
        (KnockDown(genes=(B,), keep=0.0, off=-2.0), [0, -2, 6], [1, 0, 1]),
        (Do((), ()), [0, 0, 0], [1, 5, 46]),
    ],
)
def test_interventions_on_a_chain_by_hand(intervention: Intervention, mean_G: list[float], variance_G: list[float]):
    law = law_of(chain_abc(), intervention)
    assert np.allclose(law.mean_G, mean_G)
    assert np.allclose(np.diagonal(law.cov_GG), variance_G)


def test_conditioning_a_chain_by_hand():
    given_b = law_of(chain_abc()).condition([1], [5.0])
    # a and c are independent given b; E[a | b] = 2/5 b, var(a | b) = 1 - 4/5.
    assert given_b.vocab.feature_id == (A, C)
    assert np.allclose(given_b.mean_G, [2, -15])
    assert np.allclose(given_b.cov_GG, [[0.2, 0], [0, 1]])


@given(scm=linear_worlds(), data=st.data())
def test_conditioning_is_regression(scm: Scm, data: st.DataObject):
    law = law_of(scm, Shift((scm.graph.vocab.feature_id[0],), 0.7))
    n_genes = scm.graph.n_genes
    seen = data.draw(st.lists(st.integers(0, n_genes - 1), min_size=1, max_size=n_genes - 1, unique=True))
    rest = [gene for gene in range(n_genes) if gene not in seen]
    # Cells whose sample moments are the law's exactly: least squares over them is the population's regression.
    # The first column takes the mean away from the others.
    random_NK = np.column_stack([np.ones(50), np.random.default_rng(1).standard_normal((50, n_genes))])
    white_NG = np.linalg.qr(random_NK)[0][:, 1:] * np.sqrt(50)
    cell_NG = law.mean_G + white_NG @ np.linalg.cholesky(law.cov_GG).T
    design_N_known = np.column_stack([np.ones(50), cell_NG[:, seen]])
    coefficient, *_ = np.linalg.lstsq(design_N_known, cell_NG[:, rest], rcond=None)
    residual_NQ = cell_NG[:, rest] - design_N_known @ coefficient
    regression = law.regress(rest, seen)
    assert np.allclose(regression.intercept_Q, coefficient[0], atol=1e-7)
    assert np.allclose(regression.coefficient_known_Q, coefficient[1:], atol=1e-7)
    assert np.allclose(regression.residual_cov_QQ, residual_NQ.T @ residual_NQ / 50, atol=1e-7)
    values = np.linspace(-2, 2, len(seen))
    conditional = law.condition(seen, values)
    assert np.allclose(conditional.mean_G, coefficient[0] + values @ coefficient[1:], atol=1e-6)
    assert np.allclose(conditional.cov_GG, regression.residual_cov_QQ)


@given(scm=linear_worlds().filter(lambda scm: scm.graph.n_genes > 2))
def test_conditioning_in_two_steps_is_conditioning_once(scm: Scm):
    law = law_of(scm)
    once = law.condition([0, 1], [0.3, -1.1])
    twice = law.condition([1], [-1.1]).condition([0], [0.3])
    assert once.vocab == twice.vocab
    assert np.allclose(once.mean_G, twice.mean_G, atol=1e-8)
    assert np.allclose(once.cov_GG, twice.cov_GG, atol=1e-8)


@given(scm=linear_worlds())
def test_the_total_variance_is_that_of_the_mean_and_the_mean_variance(scm: Scm):
    law = law_of(scm)
    regression = law.regress(range(1, scm.graph.n_genes), [0])
    explained_QQ = regression.coefficient_known_Q.T @ law.marginal([0]).cov_GG @ regression.coefficient_known_Q
    rest = law.marginal(range(1, scm.graph.n_genes))
    assert np.allclose(explained_QQ + regression.residual_cov_QQ, rest.cov_GG)


@given(scm=linear_worlds(), value=st.floats(-5, 5))
def test_an_intervention_leaves_the_law_of_non_descendants(scm: Scm, value: float):
    untouched = law_of(scm)
    for gene, name in enumerate(scm.graph.vocab.feature_id):
        apart = np.flatnonzero(~scm.graph.ancestors_GG()[gene] & (np.arange(scm.graph.n_genes) != gene))
        for intervention in (Do((name,), value), Shift((name,), value), KnockDown(genes=(name,), keep=0.3)):
            law = law_of(scm, intervention)
            assert np.allclose(law.mean_G[apart], untouched.mean_G[apart], atol=1e-10)
            assert np.allclose(law.cov_GG[np.ix_(apart, apart)], untouched.cov_GG[np.ix_(apart, apart)], atol=1e-10)
        held = law_of(scm, Do((name,), value))
        assert held.mean_G[gene] == pytest.approx(value)
        assert np.allclose(held.cov_GG[gene], 0, atol=1e-12)


@given(scm=linear_worlds(), dose=st.floats(-5, 5))
def test_a_unit_of_shift_moves_the_means_by_the_total_effects(scm: Scm, dose: float):
    total_GG = total_effect_GG(scm)
    for gene, name in enumerate(scm.graph.vocab.feature_id):
        law = law_of(scm, Shift((name,), dose))
        assert np.allclose(law.mean_G, law_of(scm).mean_G + dose * total_GG[gene])
        assert np.allclose(law.cov_GG, law_of(scm).cov_GG)


@given(scm=linear_worlds())
def test_the_precision_of_a_law_has_the_moral_graph(scm: Scm):
    precision_GG = np.linalg.inv(law_of(scm).cov_GG)
    scale_G = np.sqrt(np.diagonal(precision_GG))
    apart_GG = ~scm.graph.moral_GG() & ~np.eye(scm.graph.n_genes, dtype=np.bool_)
    assert np.allclose((precision_GG / np.outer(scale_G, scale_G))[apart_GG], 0, atol=1e-8)


@pytest.mark.parametrize("scaling", ["iscm", "standardised"])
def test_standardised_worlds_have_unit_variance(scaling: str):
    law = law_of(world(f"scale_free/20/{scaling}").scm)
    assert np.allclose(law.mean_G, 0)
    assert np.allclose(np.diagonal(law.cov_GG), 1)


def test_a_marginal_is_a_part():
    law = law_of(chain_abc(), Shift((A,), 1.0))
    part = law.marginal([2, 0])
    assert part.vocab == GeneVocab(feature_id=(C, A))
    assert np.allclose(part.mean_G, [-6, 1])
    assert np.allclose(part.cov_GG, [[46, -6], [-6, 1]])


def test_other_noises_have_the_same_moments_and_no_condition():
    law = law_of(world("scale_free/20/laplace").scm)
    assert np.allclose(law.cov_GG, law_of(world("scale_free/20").scm).cov_GG)
    assert not law.gaussian
    assert not law.marginal([0, 1]).gaussian
    with pytest.raises(InputError, match=r"regress.*bayes"):
        law.condition([0], [1.0])
    assert law.regress([1], [0]).coefficient_known_Q.shape == (1, 1)


def test_what_cannot_be_answered_is_refused():
    law = law_of(chain_abc(), Do((B,), 1.0))
    with pytest.raises(InputError, match=rf"gene {B} is constant under this law"):
        law.condition([1], [1.0])
    twins = Law(vocab=simulated_vocab(3), mean_G=np.zeros(3), cov_GG=np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    with pytest.raises(InputError, match="linearly dependent"):
        twins.regress([2], [0, 1])
    with pytest.raises(InputError, match=rf"names gene {A} twice"):
        law.marginal([0, 0])
    with pytest.raises(InputError, match="token 7 is outside"):
        law.marginal([7])
    with pytest.raises(InputError, match="on is empty"):
        law.regress([0], [])
    with pytest.raises(InputError, match="one finite value for each token"):
        law.condition([0], [1.0, 2.0])
    with pytest.raises(InputError, match="given every gene"):
        law_of(chain_abc()).condition([0, 1, 2], [0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="DoCells does something else to every cell"):
        law_of(chain_abc(), DoCells(np.ones((1, 3), dtype=np.bool_), np.zeros((1, 3))))
    with pytest.raises(InputError, match="linear_form needs the linear mechanism"):
        law_of(world("scale_free/20/hill").scm)
    with pytest.raises(InputError, match="nearest"):
        law_of(chain_abc(), Do(("ENSSIMG00000000009",), 1.0))


@pytest.mark.parametrize(
    ("mean_G", "cov_GG", "match"),
    [
        (np.zeros(3), np.eye(2), "mean_G has shape"),
        (np.zeros(2), np.eye(2, dtype=np.float32), "cov_GG has dtype float32"),
        (np.array([0.0, np.nan]), np.eye(2), "not finite"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), "not symmetric at genes ENSSIMG00000000000 and"),
    ],
)
def test_a_wrong_law_does_not_exist(mean_G: np.ndarray, cov_GG: np.ndarray, match: str):
    with pytest.raises(InputError, match=match):
        Law(vocab=simulated_vocab(2), mean_G=mean_G, cov_GG=cov_GG)
