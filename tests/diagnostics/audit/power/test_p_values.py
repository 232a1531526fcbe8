"""Weights give the p-values of scipy's tests, and the rejected level is Benjamini and Hochberg's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from diagnostics.audit.power.p_values import moments, placements, rejected_levels, welch_p, wilcoxon_p
from diagnostics.audit.power.planted_values import PlantedValues
from gpcp.core.random import generator


@settings(max_examples=25)
@given(seed=st.integers(0, 100), n=st.integers(3, 60))
def test_welch_is_scipys(seed: int, n: int):
    rng = generator("test welch", seed)
    value_NG = rng.gamma(2.0, 1.0, size=(80, 4)).astype(np.float32)
    rows, others = rng.integers(80, size=n), rng.integers(80, size=70)
    weights = [np.bincount(one, minlength=80)[None].astype(np.float32) for one in (rows, others)]
    found = welch_p(moments(weights[0], value_NG, n), moments(weights[1], value_NG, 70))
    wide = value_NG.astype(np.float64)
    wanted = stats.ttest_ind(wide[rows], wide[others], equal_var=False).pvalue
    np.testing.assert_allclose(found[0], wanted, rtol=2e-3, atol=1e-6)


def test_wilcoxon_is_scipys_up_to_what_the_projection_leaves_out():
    """z of 40 experiments of 60 and 600 cells within .25 of scipy's, most of them far closer."""
    rng = generator("test wilcoxon")
    control_NG = (rng.gamma(2.0, 1.0, size=(600, 5)) * (rng.random((600, 5)) < 0.6)).astype(np.float32)
    values = PlantedValues(control_NG=control_NG, perturbed_NG=np.where(control_NG > 0, 0.8 * control_NG, 0))
    placed = placements(values)
    for _ in range(8):
        rows, others = rng.integers(600, size=60), rng.integers(600, size=600)
        weights = [np.bincount(one, minlength=600)[None].astype(np.float32) for one in (rows, others)]
        found = wilcoxon_p(weights[0], weights[1], placed, 60, 600)[0]
        wanted = stats.mannwhitneyu(
            values.perturbed_NG[rows], values.control_NG[others], axis=0, method="asymptotic", use_continuity=False
        ).pvalue
        assert np.abs(stats.norm.isf(found / 2) - stats.norm.isf(wanted / 2)).max() < 0.25


@given(seed=st.integers(0, 50), n=st.integers(1, 6), fdr=st.floats(0.01, 0.3))
def test_a_gene_below_the_level_is_one_that_benjamini_and_hochberg_reject(seed: int, n: int, fdr: float):
    rng = generator("test bh", seed)
    null_RG, affected_RG = rng.random((5, 12)), rng.random((5, 12)) ** 4
    order_RG = rng.permuted(np.tile(np.arange(12), (5, 1)), axis=1)
    level_R = rejected_levels(null_RG, affected_RG, order_RG, n=n, fdr=fdr)
    for null_G, affected_G, order_G, level in zip(null_RG, affected_RG, order_RG, level_R, strict=True):
        p_G = null_G.copy()
        p_G[order_G[:n]] = affected_G[order_G[:n]]
        rejected_G = stats.false_discovery_control(p_G) <= fdr
        assert rejected_G[order_G[n - 1]] == (affected_G[order_G[n - 1]] <= level)


def test_genes_without_spread_are_never_found():
    flat_NG = np.zeros((30, 2), dtype=np.float32)
    weight = np.ones((1, 30), dtype=np.float32)
    assert (welch_p(moments(weight, flat_NG, 30), moments(weight, flat_NG, 30)) == 1).all()
    placed = placements(PlantedValues(control_NG=flat_NG, perturbed_NG=flat_NG))
    assert wilcoxon_p(weight, weight, placed, 30, 30) == pytest.approx(1)
