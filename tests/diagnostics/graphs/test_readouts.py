"""Read-outs of predictors whose effects are known by construction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from diagnostics.graphs.readouts import (
    READ_OUTS,
    all_but_one,
    invert_total,
    partial_from_coefficients,
    read_out,
    single_gene_response,
)
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Perturbation, Predictor
from simulators.graphs.families import erdos_renyi, simulated_vocab

Matrix = NDArray[np.float64]


@final
@dataclass(frozen=True)
class AffinePredictor:
    """``after_j = before_j + sum over told i of C[i, j] value_i``, and a note of all that it was asked."""

    effect_GG: Matrix
    asked: list[tuple[NDArray[np.float32], Perturbation, Mapping[str, NDArray[np.str_]] | None]] = field(
        default_factory=list
    )

    @property
    def vocab(self) -> GeneVocab:
        return simulated_vocab(len(self.effect_GG))

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        self.asked.append((control_BG, perturbation, covariates))
        return (control_BG + perturbation.target_BG @ self.effect_GG).astype(np.float32)


def drawn(n_genes: int, n_cells: int, seed: int) -> tuple[AffinePredictor, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return AffinePredictor(rng.normal(size=(n_genes, n_genes))), rng.normal(3, 1, (n_cells, n_genes)).astype(np.float32)


def test_affine_predictor_is_a_predictor() -> None:
    assert isinstance(AffinePredictor(np.eye(2)), Predictor)


# Slopes come from float32 predictions of size 10, so they err by about 10 * 6e-8 / step.
TOLERANCE = 2e-5


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 99), st.sampled_from([1, 7, 4096]))
def test_effects_of_an_affine_predictor_are_read_exactly(n_genes: int, n_cells: int, seed: int, rows: int) -> None:
    predictor, control_BG = drawn(n_genes, n_cells, seed)
    total_GG = single_gene_response(predictor, control_BG, dose=0.5, batch_size=rows)
    direct_GG = all_but_one(predictor, control_BG, step=0.5, batch_size=rows)
    off_GG = ~np.eye(n_genes, dtype=np.bool_)
    np.testing.assert_allclose(total_GG[off_GG], predictor.effect_GG[off_GG], atol=TOLERANCE)
    np.testing.assert_allclose(direct_GG[off_GG], predictor.effect_GG[off_GG], atol=TOLERANCE)
    np.testing.assert_array_equal(np.diag(total_GG), 1)
    np.testing.assert_array_equal(np.diag(direct_GG), 0)
    # A call holds no more rows than asked for, unless one variant of the cells alone is more.
    assert max(len(control) for control, _, _ in predictor.asked) <= max(rows, 2 * n_cells)


def test_single_gene_tells_one_gene_around_its_mean() -> None:
    predictor, control_BG = drawn(4, 3, 0)
    single_gene_response(predictor, control_BG, dose=0.25)
    ((asked_BG, perturbation, _),) = predictor.asked
    np.testing.assert_array_equal(perturbation.perturbed_BG.sum(axis=1), 1)
    cell_N, gene_N = np.nonzero(perturbation.perturbed_BG)
    gap_N = perturbation.target_BG[cell_N, gene_N] - control_BG.mean(axis=0)[gene_N]
    np.testing.assert_allclose(np.sort(gap_N), [-0.25] * 12 + [0.25] * 12, atol=1e-6)
    np.testing.assert_array_equal(asked_BG, np.tile(control_BG, (8, 1)))


def test_all_but_one_tells_the_values_of_the_next_cell() -> None:
    predictor, control_BG = drawn(3, 4, 1)
    all_but_one(predictor, control_BG, step=0.5)
    ((_, perturbation, _),) = predictor.asked
    np.testing.assert_array_equal(perturbation.perturbed_BG.sum(axis=1), 2)
    moved_BG = np.abs(perturbation.target_BG - np.tile(np.roll(control_BG, -1, axis=0), (12, 1)))
    moved_BG[~perturbation.perturbed_BG] = 0
    np.testing.assert_allclose(np.sort(moved_BG, axis=1)[:, -1], 0.5, atol=1e-6)
    np.testing.assert_array_equal(np.sort(moved_BG, axis=1)[:, :-1], 0)


def test_perturbed_values_and_covariates_reach_the_predictor_beside_their_cells() -> None:
    predictor, control_BG = drawn(3, 2, 2)
    perturbed_BG = np.array([[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]])
    kinds = {"cell_type": np.array(["first", "second"])}
    all_but_one(predictor, control_BG, step=1.0, perturbed_BG=perturbed_BG, covariates=kinds, batch_size=4)
    single_gene_response(predictor, control_BG, dose=1.0, covariates=kinds)
    for asked_BG, perturbation, covariates in predictor.asked:
        assert covariates is not None
        first_B = covariates["cell_type"] == "first"
        np.testing.assert_array_equal(asked_BG, np.where(first_B[:, None], control_BG[0], control_BG[1]))
        if perturbation.perturbed_BG.sum() > len(asked_BG):
            expected_BG = np.where(first_B[:, None], perturbed_BG[0], perturbed_BG[1])
            gap_BG = np.where(perturbation.perturbed_BG, np.abs(perturbation.target_BG - expected_BG), 0)
            np.testing.assert_array_equal(gap_BG.sum(axis=1), 1)


def test_unmeasured_genes_are_never_perturbed_nor_counted() -> None:
    predictor, control_BG = drawn(4, 5, 3)
    control_BG[0, 1] = control_BG[1, 2] = control_BG[2, 1] = np.nan
    total_GG = single_gene_response(predictor, control_BG, dose=1.0)
    direct_GG = all_but_one(predictor, control_BG, step=1.0)
    off_GG = ~np.eye(4, dtype=np.bool_)
    np.testing.assert_allclose(total_GG[off_GG], predictor.effect_GG[off_GG], atol=TOLERANCE)
    np.testing.assert_allclose(direct_GG[off_GG], predictor.effect_GG[off_GG], atol=TOLERANCE)
    for asked_BG, perturbation, _ in predictor.asked:
        assert not (perturbation.perturbed_BG & np.isnan(asked_BG)).any()


@pytest.mark.parametrize("name", sorted(set(READ_OUTS) - {"implied_partial"}))
def test_two_genes_that_no_cell_measures_together_are_named(name: str) -> None:
    predictor, control_BG = drawn(3, 2, 4)
    control_BG[0, 1] = control_BG[1, 2] = np.nan
    with pytest.raises(InputError, match="no control cell can perturb ENSSIMG00000000001 and see ENSSIMG00000000002"):
        read_out(name, predictor, control_BG, perturbed_BG=control_BG)


@given(st.integers(2, 12), st.integers(0, 99))
def test_inverting_total_effects_gives_the_weights(n_genes: int, seed: int) -> None:
    graph = erdos_renyi(n_genes, degree=min(3.0, n_genes - 1), rng=np.random.default_rng(seed))
    total_GG = np.linalg.inv(np.eye(n_genes) - graph.weight_GG).astype(np.float64)
    noisy_diagonal_GG = total_GG + np.diag(np.full(n_genes, 0.3))
    # Rounding of 1e-16 grows by the condition number, at most 1e10.
    for given_GG in (total_GG, noisy_diagonal_GG):
        np.testing.assert_allclose(invert_total(given_GG, max_condition=1e10), graph.weight_GG, atol=1e-5)


@pytest.mark.parametrize(
    ("total_GG", "summary"),
    [(np.ones((3, 3)), "condition number"), (np.array([[1.0, np.nan], [0.0, 1.0]]), "not finite")],
)
def test_total_effects_that_cannot_be_inverted_are_refused(total_GG: Matrix, summary: str) -> None:
    with pytest.raises(InputError, match=summary):
        invert_total(total_GG)


@given(st.integers(2, 8), st.integers(0, 99))
def test_coefficients_of_the_exact_law_give_its_partial_correlations(n_genes: int, seed: int) -> None:
    root_GG = np.random.default_rng(seed).normal(size=(n_genes, 2 * n_genes))
    precision_GG = root_GG @ root_GG.T
    precision_G = np.diag(precision_GG)
    coefficient_GG = -precision_GG / precision_G
    partial_GG = -precision_GG / np.sqrt(np.outer(precision_G, precision_G))
    np.fill_diagonal(partial_GG, 0)
    np.testing.assert_allclose(partial_from_coefficients(coefficient_GG), partial_GG, atol=1e-12)
    units_G = np.random.default_rng(seed).uniform(0.1, 10, n_genes)
    rescaled_GG = coefficient_GG / units_G[:, None] * units_G
    np.testing.assert_allclose(partial_from_coefficients(rescaled_GG), partial_GG, atol=1e-12)


def test_coefficients_that_contradict_each_other_in_sign_say_nothing() -> None:
    coefficient_GG = np.array([[0.0, 0.5, -0.2], [0.5, 0.0, 0.3], [-0.8, -0.3, 0.0]])
    expected_GG = np.array([[0.0, 0.5, -0.4], [0.5, 0.0, 0.0], [-0.4, 0.0, 0.0]])
    np.testing.assert_allclose(partial_from_coefficients(coefficient_GG), expected_GG, atol=1e-12)


def test_read_outs_by_name_are_the_functions() -> None:
    rng = np.random.default_rng(5)
    weight_GG = np.triu(rng.uniform(0.2, 0.8, (4, 4)), 1)
    predictor, control_BG = AffinePredictor(weight_GG), rng.normal(size=(3, 4)).astype(np.float32)
    total_GG = single_gene_response(predictor, control_BG, dose=0.7)
    direct_GG = all_but_one(predictor, control_BG, step=0.3)
    expected = {
        "single_gene": total_GG,
        "single_gene_inverted": invert_total(total_GG),
        "all_but_one": direct_GG,
        "all_but_one_partial": partial_from_coefficients(direct_GG),
    }
    assert set(expected) == set(READ_OUTS) - {"implied_partial"}
    for name, effect_GG in expected.items():
        np.testing.assert_array_equal(read_out(name, predictor, control_BG, dose=0.7, step=0.3), effect_GG)


@pytest.mark.parametrize(
    ("change", "summary"),
    [
        ({"name": "all_but_two"}, "nearest: all_but_one"),
        ({"control_BG": np.zeros((3, 5))}, r"control_BG has shape \(3, 5\), expected \(cells, 4\)"),
        ({"control_BG": np.zeros((0, 4))}, r"control_BG has shape \(0, 4\)"),
        ({"name": "all_but_one", "perturbed_BG": np.zeros((2, 4))}, "told_BG has shape"),
        ({"dose": 0.0}, "dose is 0.0"),
        ({"dose": np.inf}, "dose is inf"),
        ({"name": "all_but_one", "step": -1.0}, "step is -1.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"name": "implied_partial"}, "give rng"),
    ],
)
def test_bad_questions_are_refused(change: dict[str, object], summary: str) -> None:
    predictor, control_BG = drawn(4, 3, 0)
    asked: dict[str, object] = {"name": "single_gene", "predictor": predictor, "control_BG": control_BG}
    with pytest.raises(InputError, match=summary):
        read_out(**(asked | change))  # type: ignore[arg-type]
