from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES, SHAPES, simulated_vocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.constants import SCALINGS, Scaling
from simulators.scm.interventions import Do, DoCells, Intervention, KnockDown, Shift
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.noises import NOISES
from simulators.scm.scm import Scm, build_scm

N_CELLS = 30


def drawn(
    family: str, n_genes: int, mechanism: str, noise: str, scaling: Scaling, noise_scale: float, seed: int
) -> Scm:
    rng = generator("test scm", seed)
    if family in SHAPES:
        graph = SHAPES[family](n_genes, rng=rng)
    else:
        graph = DENSE_FAMILIES[family](n_genes, degree=min(4.0, n_genes - 1), rng=rng)
    return build_scm(
        graph,
        mechanism=mechanism,
        noise=noise,
        scaling=scaling,
        noise_scale=noise_scale,
        n_calibration=500,
        rng=rng,
    )


def scms(*, mechanisms: tuple[str, ...] = tuple(MECHANISMS)) -> st.SearchStrategy[Scm]:
    return st.builds(
        drawn,
        st.sampled_from([*DENSE_FAMILIES, *SHAPES]),
        st.integers(2, 8),
        st.sampled_from(mechanisms),
        st.sampled_from(sorted(NOISES)),
        st.sampled_from(SCALINGS),
        st.sampled_from([0.3, 1.0]),
        st.integers(0, 2**32),
    )


KINDS = ("do", "shift", "knock_down", "do_cells")


def intervened(kind: str, scm: Scm, perturbed: list[int], seed: int, n_cells: int = N_CELLS) -> Intervention:
    """An intervention that really moves the perturbed genes."""
    rng = generator("intervention", seed)
    genes = scm.graph.vocab.genes(perturbed)
    values = rng.uniform(3, 5, len(perturbed))
    if kind == "do":
        return Do(genes, values)
    if kind == "shift":
        return Shift(genes, values)
    if kind == "knock_down":
        return KnockDown(genes=genes, keep=rng.uniform(0.1, 0.9, len(perturbed)), off=-4.0)
    perturbed_BG = np.zeros((n_cells, scm.graph.n_genes), dtype=bool)
    perturbed_BG[:, perturbed] = rng.random((n_cells, len(perturbed))) < 0.7
    return DoCells(perturbed_BG, rng.uniform(3, 5, perturbed_BG.shape))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Scm, NDArray[np.float64], list[int], Intervention]:
    scm = draw(scms())
    perturbed = draw(st.lists(st.integers(0, scm.graph.n_genes - 1), unique=True))
    seed = draw(st.integers(0, 1000))
    intervention = intervened(draw(st.sampled_from(KINDS)), scm, perturbed, seed)
    return scm, scm.draw(N_CELLS, generator("cells", seed)), perturbed, intervention


def downstream(graph: GeneGraph, perturbed: list[int]) -> NDArray[np.bool_]:
    """The perturbed genes and their descendants."""
    reached_G = np.zeros(graph.n_genes, dtype=bool)
    reached_G[perturbed] = True
    return reached_G | graph.ancestors_GG()[perturbed].any(axis=0)


@given(cases())
def test_what_is_not_downstream_changes_by_exactly_0(case):
    scm, noise_BG, perturbed, intervention = case
    calm_G = ~downstream(scm.graph, perturbed)
    before_BG, after_BG = scm.expression(noise_BG), scm.expression(noise_BG, intervention)
    assert before_BG[:, calm_G].tobytes() == after_BG[:, calm_G].tobytes()


@given(scms(), st.integers(0, 1000))
def test_cells_that_are_not_perturbed_change_by_exactly_0(scm: Scm, seed: int):
    intervention = intervened("do_cells", scm, [0], seed)
    assert isinstance(intervention, DoCells)
    noise_BG = scm.draw(N_CELLS, generator("cells", seed))
    perturbed_B = intervention.perturbed_BG.any(axis=1)
    before_BG, after_BG = scm.expression(noise_BG), scm.expression(noise_BG, intervention)
    assert before_BG[~perturbed_B].tobytes() == after_BG[~perturbed_B].tobytes()
    np.testing.assert_array_equal(after_BG[perturbed_B, 0], intervention.value_BG[perturbed_B, 0])


@given(scms(), st.integers(0, 1000), st.data())
def test_a_no_op_changes_nothing_bit_for_bit(scm: Scm, seed: int, data: st.DataObject):
    noise_BG = scm.draw(N_CELLS, generator("cells", seed))
    before_BG = scm.expression(noise_BG)
    perturbed = data.draw(st.lists(st.integers(0, scm.graph.n_genes - 1), unique=True))
    genes = scm.graph.vocab.genes(perturbed)
    perturbed_BG = generator("told", seed).random(before_BG.shape) < 0.5
    for nothing in (
        Do([], []),
        Shift([], []),
        KnockDown(genes=[], keep=0.0),
        DoCells(np.zeros_like(perturbed_BG), before_BG),
        Shift(genes, 0.0),
        KnockDown(genes=genes, keep=1.0),
        DoCells(perturbed_BG, before_BG),
    ):
        assert scm.expression(noise_BG, nothing).tobytes() == before_BG.tobytes()
    stay = Do(genes, before_BG[3, perturbed])
    assert scm.expression(noise_BG[3:4], stay).tobytes() == before_BG[3:4].tobytes()


@given(scms(), st.data())
def test_every_descendant_responds(scm: Scm, data: st.DataObject):
    # A raw Hill or tanh world may saturate until nothing is left in 53 bits; there only children must respond.
    saturates = scm.scaling == "raw" and scm.mechanism.name in ("hill", "tanh")
    gene = data.draw(st.integers(0, scm.graph.n_genes - 1))
    kind = data.draw(st.sampled_from(KINDS))
    noise_BG = scm.draw(N_CELLS, generator("cells", 5))
    before_BG = scm.expression(noise_BG)
    change_BG = scm.expression(noise_BG, intervened(kind, scm, [gene], 7)) - before_BG
    reached_G = scm.graph.adjacency_GG[gene] if saturates else scm.graph.ancestors_GG()[gene]
    assert (change_BG[:, reached_G] != 0).any(axis=0).all()
    assert (change_BG[:, gene] != 0).any()


@given(scms(mechanisms=("linear",)), st.data())
def test_counterfactual_cells_follow_the_total_effects(scm: Scm, data: st.DataObject):
    gene = data.draw(st.integers(0, scm.graph.n_genes - 1))
    level = data.draw(st.floats(-5, 5))
    total_GG = np.linalg.inv(np.eye(scm.graph.n_genes) - scm.effective_weight_GG)
    before_BG = scm.sample(N_CELLS, generator("cells", 6))
    noise_BG = scm.noise_of(before_BG)
    expected_BG = before_BG + (level - before_BG[:, [gene]]) * total_GG[gene]
    found_BG = scm.expression(noise_BG, Do(scm.graph.vocab.genes([gene]), level))
    # Rounding only: a few hundred operations on numbers of this size.
    size = 1 + np.abs(before_BG).max() + np.abs(expected_BG).max()
    np.testing.assert_allclose(found_BG, expected_BG, rtol=0, atol=1e-12 * size)
    effect_G = total_GG[gene]
    assert ((effect_G != 0) | ~downstream(scm.graph, [gene])).all()


@given(cases())
def test_noise_to_expression_to_noise(case):
    scm, noise_BG, perturbed, intervention = case
    for given_one in (None, intervention):
        expression_BG = scm.expression(noise_BG, given_one)
        found_BG = scm.noise_of(expression_BG, given_one)
        erased_BG = np.zeros(noise_BG.shape, dtype=bool)
        if isinstance(given_one, DoCells):
            erased_BG = given_one.perturbed_BG
        elif isinstance(given_one, Do):
            erased_BG[:, perturbed] = True
        np.testing.assert_array_equal(np.isnan(found_BG), erased_BG)
        # Rounding of x, divided by the smallest noise_sd (and keep, .1): 2^-53 of the largest value in each step.
        size = (1 + np.abs(expression_BG * scm.spread_G).max()) / scm.noise_scale_G.min()
        np.testing.assert_allclose(found_BG[~erased_BG], noise_BG[~erased_BG], rtol=0, atol=1e-13 * size)
        again_BG = scm.expression(found_BG, given_one)
        np.testing.assert_allclose(again_BG, expression_BG, rtol=0, atol=1e-12 * (1 + np.abs(expression_BG).max()))


@given(scms(mechanisms=("linear",)))
def test_linear_form_is_the_world(scm: Scm):
    weight_GG, offset_G, noise_sd_G = scm.linear_form()
    noise_BG = scm.draw(N_CELLS, generator("cells", 1))
    expression_BG = scm.expression(noise_BG)
    expected_BG = offset_G + expression_BG @ weight_GG + noise_sd_G * noise_BG
    size = 1 + np.abs(expression_BG).max() * (1 + np.abs(weight_GG).max())
    np.testing.assert_allclose(expression_BG, expected_BG, rtol=0, atol=1e-13 * size)
    np.testing.assert_array_equal(weight_GG != 0, scm.graph.adjacency_GG)
    np.testing.assert_array_equal(scm.effective_weight_GG, weight_GG)


@given(scms(mechanisms=("linear",)))
def test_scaled_linear_worlds_have_variance_exactly_1(scm: Scm):
    weight_GG, offset_G, noise_sd_G = scm.linear_form()
    total_GG = np.linalg.inv(np.eye(len(offset_G)) - weight_GG)
    variance_G = ((noise_sd_G[:, None] * total_GG) ** 2).sum(axis=0)
    if scm.scaling != "raw":
        np.testing.assert_allclose(variance_G, 1, rtol=1e-9)
    np.testing.assert_allclose(offset_G @ total_GG, 0, atol=1e-12)


@given(scms(mechanisms=("tanh", "hill", "interaction")))
def test_non_linear_worlds_have_no_linear_form(scm: Scm):
    with pytest.raises(InputError, match=f"{scm.mechanism.name}, which has no matrix of effects"):
        scm.linear_form()


@given(scms())
def test_standardised_is_the_raw_world_scaled(scm: Scm):
    assume(scm.scaling == "standardised")
    raw = replace(scm, scaling="raw", centre_G=np.zeros(scm.graph.n_genes), spread_G=np.ones(scm.graph.n_genes))
    noise_BG = scm.draw(N_CELLS, generator("cells", 2))
    raw_BG = raw.expression(noise_BG)
    np.testing.assert_allclose(
        scm.expression(noise_BG), (raw_BG - scm.centre_G) / scm.spread_G, atol=1e-12 * (1 + np.abs(raw_BG).max())
    )
    # A Do in standardised units is the Do of the raw world at the raw value.
    gene = int(scm.graph.order[0])
    genes = scm.graph.vocab.genes([gene])
    in_raw = Do(genes, 2.0 * scm.spread_G[gene] + scm.centre_G[gene])
    np.testing.assert_allclose(
        scm.expression(noise_BG, Do(genes, 2.0)),
        (raw.expression(noise_BG, in_raw) - scm.centre_G) / scm.spread_G,
        atol=1e-12 * (1 + np.abs(raw_BG).max()),
    )


@given(scms(), st.integers(0, 1000))
def test_a_cell_is_the_same_whatever_its_company_and_memory_order(scm: Scm, seed: int):
    n_cells = 4_200  # three blocks, the last one short
    noise_BG = scm.draw(n_cells, generator("cells", seed))
    intervention = intervened("do_cells", scm, [0, 1], seed, n_cells)
    assert isinstance(intervention, DoCells)
    all_BG = scm.expression(noise_BG, intervention)
    rows = np.array([4_199, 0, 2_047, 2_048, 17])
    some = DoCells(intervention.perturbed_BG[rows], intervention.value_BG[rows])
    assert scm.expression(noise_BG[rows], some).tobytes() == all_BG[rows].tobytes()
    assert scm.expression(np.ascontiguousarray(noise_BG), intervention).tobytes() == all_BG.tobytes()


@given(scms(), st.integers(0, 1000))
def test_same_seed_same_bytes_other_seed_other(scm: Scm, seed: int):
    one, again, other = (scm.draw(N_CELLS, generator("cells", s)).tobytes() for s in (seed, seed, seed + 1))
    assert one == again != other
    sampled = scm.sample(N_CELLS, generator("cells", seed))
    assert sampled.tobytes() == scm.expression(scm.draw(N_CELLS, generator("cells", seed))).tobytes()
    assert len({row_B.tobytes() for row_B in sampled}) == N_CELLS


def test_the_world_does_not_write_to_the_callers_noise_nor_keep_the_callers_constants():
    scm = drawn("erdos_renyi", 6, "hill", "gaussian", "standardised", 1.0, 0)
    noise_BG = scm.draw(N_CELLS, generator("cells", 3))
    kept_BG = noise_BG.copy()
    scm.expression(noise_BG, Do(scm.graph.vocab.genes([0]), 1.0))
    np.testing.assert_array_equal(noise_BG, kept_BG)
    with pytest.raises(ValueError, match="read-only"):
        scm.spread_G[0] = 2.0


def test_no_cell_gives_no_expression():
    scm = drawn("chain", 3, "tanh", "laplace", "iscm", 1.0, 0)
    assert scm.expression(np.empty((0, 3))).shape == scm.noise_of(np.empty((0, 3))).shape == (0, 3)


def test_bad_input_is_refused():
    scm = drawn("chain", 3, "linear", "gaussian", "iscm", 1.0, 0)
    graph, rng = scm.graph, generator(0)
    with pytest.raises(InputError, match=r"noise_BG has shape \(5, 4\), expected \(cells, 3\)"):
        scm.expression(np.zeros((5, 4)))
    with pytest.raises(InputError, match="expression_BG has shape"):
        scm.noise_of(np.zeros(3))
    with pytest.raises(InputError, match="nearest: ENSSIMG"):
        scm.expression(np.zeros((5, 3)), Do(["ENSSIMG00000000007"], 1.0))
    with pytest.raises(InputError, match="nearest: standardised"):
        build_scm(graph, scaling="standardized", rng=rng)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="nearest: laplace"):
        build_scm(graph, noise="laplas", rng=rng)
    with pytest.raises(InputError, match=r"noise_scale_G of gene ENSSIMG00000000000 is 0\.0"):
        build_scm(graph, noise_scale=0.0, rng=rng)
    with pytest.raises(InputError, match="n_calibration"):
        build_scm(graph, n_calibration=1, rng=rng)
    with pytest.raises(InputError, match="shape"):
        replace(scm, spread_G=np.ones(2))


def test_one_gene_without_edges_is_its_noise():
    graph = GeneGraph(vocab=simulated_vocab(1), weight_GG=np.zeros((1, 1)))
    scm = build_scm(graph, rng=generator(0))
    noise_BG = scm.draw(5, generator(1))
    np.testing.assert_array_equal(scm.expression(noise_BG), noise_BG)
