"""The parts of the squared change: exact algebra first, then sources whose shares are known beforehand.

Tolerances of shares: 4,000 pairs of 12 genes put a standard error of .002 to .005 on a share, so .02 is four of them.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from diagnostics.audit.decomposition import (
    CHANGE,
    DEPTH,
    MOST_LABELS,
    REGRESSION,
    REMAINS,
    Parts,
    adjusted,
    decompose,
    indicators,
    sequential_squares,
)
from gpcp.core.errors import InputError
from gpcp.sources.index import Labels
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.diagnostics.audit.audit_cases import neighbours, sampled_cells

N_PAIRS, N_GENES = 4000, 12
TOLERANCE = 0.02


def parts_of(value_BG: NDArray[np.floating], **label_of: NDArray[np.integer]) -> Parts:
    return decompose(neighbours(sampled_cells(value_BG, label_of)), np.random.default_rng(7))


def shares(parts: Parts) -> dict[str, float]:
    return {name: share.value for name, share in parts.share_of.items()}


def latent(n_cells: int) -> NDArray[np.floating]:
    """Cells of a world with edges: correlated genes of different variances."""
    source = SimulatedCells(scm=world(f"scale_free/{N_GENES}/raw", seed=3).scm, n_cells=n_cells)
    (batch,) = source.cells(batch_size=n_cells, seed=0)
    return batch.expression_BG.astype(np.float64)


@given(
    hnp.arrays(np.float64, (9, 4), elements=st.integers(-3, 3).map(float)),
    hnp.arrays(np.float64, 9, elements=st.integers(-3, 3).map(float)),
)
def test_steps_are_those_of_least_squares(column_PL: NDArray[np.float64], target_P: NDArray[np.float64]):
    column_PQ = np.column_stack([np.ones(9), column_PL, target_P])
    step_Q = np.array([0, 1, 1, 2, 2])
    square_KS, df_KS = sequential_squares((column_PQ.T @ column_PQ)[None], step_Q, 3)
    left = []
    for n in (1, 3, 5):
        fit, _, _, _ = np.linalg.lstsq(column_PQ[:, :n], target_P, rcond=1e-6)
        left.append(((target_P - column_PQ[:, :n] @ fit) ** 2).sum())
    expected = [target_P @ target_P - left[0], left[0] - left[1], left[1] - left[2], left[2]]
    # Whole numbers are dependent or clearly not; elimination squares what is left of their condition number.
    assert square_KS[0] == pytest.approx(expected, abs=1e-6)
    assert square_KS[0].sum() == pytest.approx(target_P @ target_P, abs=1e-8)
    assert df_KS.sum() <= 5


def test_what_so_many_regressors_explain_of_noise_is_taken_back():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        column_PQ = rng.normal(size=(30, 11))
        square_KS, df_KS = sequential_squares((column_PQ.T @ column_PQ)[None], np.zeros(10, dtype=np.int64), 1)
        part_KS = adjusted(square_KS, df_KS, np.array([30.0]))
        assert part_KS.sum() == pytest.approx(square_KS.sum())
        found.append(part_KS[0, 0] / part_KS.sum())
    # Ten regressors of thirty rows explain a third of noise; the mean of 300 has a standard error of .007.
    assert np.mean(found) == pytest.approx(0.0, abs=0.03)


def test_a_gene_with_fewer_rows_than_regressors_says_nothing():
    part_KS = adjusted(np.array([[5.0, 0.0]]), np.array([[3.0]]), np.array([3.0]))
    assert part_KS.tolist() == [[0.0, 5.0]]


def test_half_is_free_for_independent_cells_of_one_law():
    parts = parts_of(latent(2 * N_PAIRS))
    assert parts.before_alone.value == pytest.approx(0.5, abs=TOLERANCE)
    assert parts.before_alone.low < 0.5 < parts.before_alone.high
    assert shares(parts) == pytest.approx({CHANGE: 0.0, REGRESSION: 0.5, REMAINS: 0.5}, abs=TOLERANCE)
    assert "there is no measure of depth" in parts.depth_summary


def test_shares_add_up_to_the_last_digit():
    rng = np.random.default_rng(0)
    labels = {"cell_type": rng.integers(4, size=600), "donor": rng.integers(50, size=600)}
    value_BG = np.abs(rng.normal(size=(600, 5)))
    parts = parts_of(value_BG, **labels)
    assert list(parts.share_of) == [CHANGE, "cell_type", "donor", DEPTH, REGRESSION, REMAINS]
    assert sum(shares(parts).values()) == pytest.approx(1.0, abs=1e-12)
    change_PG = value_BG[1::2].astype(np.float32) - value_BG[::2].astype(np.float32)
    assert parts.mean_square.value == pytest.approx(np.mean(change_PG**2), rel=1e-6)


@pytest.mark.parametrize("matched", [False, True])
def test_planted_types_and_datasets_have_their_own_variance(matched: bool):
    """With type variance V, dataset variance D and W within: 2V, 2D, W and W of 2 (V + D + W); matching empties V."""
    rng = np.random.default_rng(1)
    own_BG = latent(2 * N_PAIRS)
    type_TG, dataset_SG = rng.normal(size=(4, N_GENES)), 0.7 * rng.normal(size=(3, N_GENES))
    type_B, dataset_B = rng.integers(4, size=2 * N_PAIRS), rng.integers(3, size=2 * N_PAIRS)
    if matched:
        type_B[1::2] = type_B[::2]
    parts = parts_of(own_BG + type_TG[type_B] + dataset_SG[dataset_B], cell_type=type_B, dataset=dataset_B)
    within, of_types, of_datasets = own_BG.var(axis=0).sum(), type_TG.var(axis=0).sum(), dataset_SG.var(axis=0).sum()
    of_types = 0.0 if matched else of_types
    total = of_types + of_datasets + within
    expected = {
        CHANGE: 0.0,
        "cell_type": of_types / total,
        "dataset": of_datasets / total,
        REGRESSION: within / total / 2,
        REMAINS: within / total / 2,
    }
    assert shares(parts) == pytest.approx(expected, abs=TOLERANCE)
    for name, share in expected.items():
        # A jackknife's 95 % interval, doubled: five parts at once, two settings.
        part = parts.share_of[name]
        assert 2 * part.low - part.value - 1e-9 <= share <= 2 * part.high - part.value + 1e-9


def test_partners_that_are_alike_leave_less_to_regress():
    """With correlation r between partners before alone predicts (1 - r) / 2."""
    rng = np.random.default_rng(2)
    shared_PG = np.repeat(rng.normal(size=(N_PAIRS, N_GENES)), 2, axis=0)
    value_BG = np.sqrt(0.6) * shared_PG + np.sqrt(0.4) * rng.normal(size=(2 * N_PAIRS, N_GENES))
    parts = parts_of(value_BG)
    assert parts.before_alone.value == pytest.approx(0.2, abs=TOLERANCE)
    assert parts.mean_square.value == pytest.approx(0.8, rel=0.02)


def test_labels_that_mean_nothing_explain_nothing():
    rng = np.random.default_rng(3)
    labels = {name: rng.integers(15, size=2 * N_PAIRS) for name in ("cell_type", "dataset", "donor")}
    parts = parts_of(latent(2 * N_PAIRS), **labels)
    for name in labels:
        assert parts.share_of[name].value == pytest.approx(0.0, abs=0.005)


def test_a_planted_depth_is_found_by_totals_and_by_genes_expressed():
    """``x = a d + e`` with d the log depth: 2 a^2 Var d of 2 (a^2 Var d + Var e)."""
    rng = np.random.default_rng(4)
    depth_B = rng.normal(0.0, 0.5, size=2 * N_PAIRS)
    value_BG = 10 + depth_B[:, None] + rng.normal(size=(2 * N_PAIRS, N_GENES))
    cells = sampled_cells(value_BG, total_B=np.exp(8 + depth_B))
    parts = decompose(neighbours(cells), np.random.default_rng(0))
    assert parts.depth_summary == "depth is the log total of counts"
    assert parts.share_of[DEPTH].value == pytest.approx(0.25 / 1.25, abs=TOLERANCE)
    # Genes that are expressed the more often, the deeper the cell: none of them by itself determines how deep.
    shown_BG = rng.random((2 * N_PAIRS, 400)) < 1 / (1 + np.exp(-2 * depth_B))[:, None]
    cells = sampled_cells(np.hstack([value_BG, shown_BG.astype(np.float64)]))
    parts = decompose(neighbours(cells.genes(cells.vocab.feature_id[:N_GENES])), np.random.default_rng(0))
    assert "the other genes expressed" in parts.depth_summary
    assert parts.share_of[DEPTH].value == pytest.approx(0.25 / 1.25, abs=2 * TOLERANCE)


def test_a_gene_s_own_zeros_are_no_depth():
    """Independent genes that are expressed in half the cells: the number expressed must not explain its own parts."""
    rng = np.random.default_rng(5)
    value_BG = rng.integers(2, size=(2 * N_PAIRS, 3)) * 2.0
    assert parts_of(value_BG).share_of[DEPTH].value == pytest.approx(0.0, abs=0.005)


def test_perturbed_genes_are_not_looked_at():
    rng = np.random.default_rng(6)
    value_BG = rng.normal(size=(200, 4))
    value_BG[:, 0] *= 100
    perturbed_PG = np.zeros((100, 4), dtype=np.bool_)
    perturbed_PG[:, 0] = True
    sampled = neighbours(sampled_cells(value_BG), perturbed_PG=perturbed_PG)
    parts = decompose(sampled, np.random.default_rng(0))
    change_PG = sampled.pairs.delta_BG[:, 1:].astype(np.float64)
    assert parts.mean_square.value == pytest.approx((change_PG**2).mean())


def test_the_order_of_pairs_within_a_contrast_is_the_mean_change():
    """After is always 1 above before: with unit noise, 1 of 1 + 2."""
    rng = np.random.default_rng(8)
    value_BG = rng.normal(size=(2 * N_PAIRS, N_GENES))
    value_BG[1::2] += 1
    assert parts_of(value_BG).share_of[CHANGE].value == pytest.approx(1 / 3, abs=TOLERANCE)


def test_rare_labels_share_a_regressor():
    code_B = np.concatenate([np.repeat(np.arange(MOST_LABELS), 5), np.arange(MOST_LABELS, MOST_LABELS + 9)])
    indicator_BL = indicators(Labels.of(np.array([f"d{code:03d}" for code in code_B.tolist()])))
    assert indicator_BL.shape == (len(code_B), MOST_LABELS + 1)
    assert indicator_BL.sum(axis=0).tolist() == [5.0] * MOST_LABELS + [9.0]


def test_pairs_without_a_change_are_refused():
    with pytest.raises(InputError, match="no scored entry"):
        parts_of(np.ones((80, 3)))
