"""Cells of a simulated screen: seeds decide them, whatever is asked for; guides, escapers and contexts do as stated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from simulators.screens.contexts import context_scm, overlap
from simulators.screens.design import PRESETS, ScreenDesign, design_named
from simulators.screens.guides import CONTROL
from simulators.screens.simulated import SimulatedScreen, simulated_screen
from simulators.worlds import world

WORLD = world("scale_free/20", seed=3)


def screen(name: str = "plain", *, seed: int = 0, **changes: object) -> SimulatedScreen:
    return simulated_screen(WORLD, design_named(name, **({"n_targets": 5} | changes)), seed=seed)


@settings(max_examples=20)
@given(n=st.integers(1, 1500), seed=st.integers(0, 5), place=st.integers(0, 5))
def test_a_cell_does_not_depend_on_how_many_are_asked_for(n: int, seed: int, place: int):
    one = screen()
    label = one.labels[place]
    few, many = (one.sampler(label, "context_0", size, seed) for size in (n, 1500))
    for name in ("latent_BG", "count_BG", "guide_B", "batch_B", "escaped_B"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:n])


def test_seeds_contexts_and_labels_are_independent():
    one = screen(n_contexts=2)
    first = one.sampler(one.labels[1], "context_0", 50, 0).count_BG
    for label, context, seed in (
        (one.labels[1], "context_0", 1),
        (one.labels[1], "context_1", 0),
        (one.labels[2], "context_0", 0),
    ):
        assert (first != one.sampler(label, context, 50, seed).count_BG).any()


def test_a_screen_is_what_its_seed_makes():
    one, same, other = screen(seed=1), screen(seed=1), screen(seed=2)
    assert one.perturbations == same.perturbations != other.perturbations
    drawn = [each.sampler(CONTROL, "context_0", 20, 0).count_BG for each in (one, same, other)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_a_knockdown_of_full_strength_sets_the_gene_and_escapers_keep_theirs():
    one = screen("ideal", escapers=0.3, n_batches=2)
    label = one.targets[0]
    cells = one.sampler(label, "context_0", 4000, 0)
    value_B = cells.latent_BG[:, WORLD.graph.vocab.token(label)]
    np.testing.assert_allclose(value_B[~cells.escaped_B], -3.0)
    assert abs(value_B[cells.escaped_B].mean()) < 0.2
    assert abs(cells.escaped_B.mean() - 0.3) < 0.03
    assert not one.sampler(CONTROL, "context_0", 100, 0).escaped_B.any()


def test_weaker_guides_leave_more_of_a_gene():
    one = screen(n_guides=4, guide_spread=0.9, escapers=0.0)
    guides = one.perturbations[1]
    cells = one.sampler(guides.label, "context_0", 8000, 0)
    value_B = cells.latent_BG[:, WORLD.graph.vocab.token(guides.label)]
    left = [value_B[cells.guide_B == guide].mean() for guide in np.argsort(guides.strengths)]
    assert left == sorted(left, reverse=True)


def test_hidden_targets_are_no_measured_genes():
    one = screen(hidden_targets=0.4)
    assert len(one.vocab) == 18
    assert sum(gene not in one.vocab for gene in one.targets) == 2
    assert one.sampler(CONTROL, "context_0", 3, 0).count_BG.shape == (3, 18)
    with pytest.raises(InputError, match="every gene is a target that is not measured"):
        screen(n_targets=20, hidden_targets=1.0)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), rewired=st.floats(0, 0.5))
def test_a_context_keeps_the_share_of_edges_that_is_asked_for_and_their_effects(seed: int, rewired: float):
    scm = context_scm(WORLD, 1, seed=seed, rewired=rewired, rescaled_sd=0.0)
    n = WORLD.graph.n_edges
    assert overlap(WORLD.graph, scm.graph) == pytest.approx(1 - round(rewired * n) / n)
    both_GG = (WORLD.graph.weight_GG != 0) & (scm.graph.weight_GG != 0)
    np.testing.assert_array_equal(scm.effective_weight_GG[both_GG], WORLD.scm.effective_weight_GG[both_GG])


def test_rescaled_edges_keep_their_sign():
    scm = context_scm(WORLD, 1, seed=0, rewired=0.0, rescaled_sd=0.5)
    assert overlap(WORLD.graph, scm.graph) == 1
    assert (np.sign(scm.graph.weight_GG) == np.sign(WORLD.graph.weight_GG)).all()
    assert (scm.graph.weight_GG != WORLD.graph.weight_GG).any()


def test_depth_is_the_mean_of_controls():
    one = screen(depth=5000.0, n_batches=2, batch_offset_sd=0.0)
    depth = one.sampler(CONTROL, "context_0", 8000, 0).count_BG.sum(axis=1).mean()
    assert depth == pytest.approx(5000, rel=0.03)


def test_targets_act_on_as_many_genes_as_asked_for():
    one = screen(n_targets=4, least_descendants=3)
    n_descendants_G = WORLD.graph.ancestors_GG().sum(axis=1)
    assert (n_descendants_G[WORLD.graph.vocab.tokens(one.targets)] >= 3).all()
    with pytest.raises(InputError, match="genes that act on 19 others or more"):
        screen(n_targets=4, least_descendants=19)


def test_combinations_are_pairs_of_targets():
    one = screen(n_combinations=4)
    pairs = [guides.genes for guides in one.perturbations if len(guides.genes) == 2]
    assert len(set(pairs)) == 4
    assert {gene for pair in pairs for gene in pair} <= set(one.targets)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_targets": 0}, "n_targets is 0"),
        ({"escapers": 1.5}, "escapers is 1.5"),
        ({"depth": 0.0}, "depth is 0.0"),
        ({"kind": "knockdwn"}, "kind is 'knockdwn'; nearest: knockdown"),
        ({"values": "lgo"}, "values is 'lgo'"),
        ({"n_targets": 3, "n_combinations": 4}, "3 targets have 3 pairs"),
    ],
)
def test_a_wrong_design_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        ScreenDesign(**changes)  # pyright: ignore[reportArgumentType]


def test_unknown_names_are_refused():
    one = screen()
    with pytest.raises(InputError, match="nearest: challenge2026"):
        design_named("chalenge2026")
    with pytest.raises(InputError, match="no context 'context_7'"):
        one.sampler(CONTROL, "context_7", 1, 0)
    with pytest.raises(InputError, match="no perturbation 'contrl'; nearest: control"):
        one.sampler("contrl", "context_0", 1, 0)
    with pytest.raises(InputError, match="20 genes"):
        simulated_screen(WORLD, PRESETS["challenge2026"])
