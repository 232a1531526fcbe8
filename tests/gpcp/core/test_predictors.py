"""What a predictor is given: values of perturbed genes, and controls whose unmeasured genes are no zeros."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation, Predictor, control_of, perturbation_of
from tests.strategies import pair_batches, perturbations

N_GENES = 3


@given(pair_batches())
def test_controls_are_the_cells_before_with_nan_where_unmeasured(pairs: PairBatch):
    control_BG = control_of(pairs)
    assert control_BG.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(control_BG), ~pairs.measured_BG)
    np.testing.assert_array_equal(control_BG[pairs.measured_BG], pairs.before_BG[pairs.measured_BG])


@given(pair_batches())
def test_only_what_is_perturbed_is_perturbed(pairs: PairBatch):
    perturbation = perturbation_of(pairs)
    assert len(perturbation) == len(pairs)
    np.testing.assert_array_equal(perturbation.perturbed_BG, pairs.perturbed_BG)
    np.testing.assert_array_equal(perturbation.target_BG[pairs.perturbed_BG], pairs.after_BG[pairs.perturbed_BG])
    assert not perturbation.target_BG[~pairs.perturbed_BG].any()


@given(pair_batches(min_pairs=1), st.data())
def test_what_is_scored_cannot_leak_to_a_predictor(pairs: PairBatch, data: st.DataObject):
    """Other answers at the scored entries: the same question."""
    other_BG = np.where(pairs.scored_BG, data.draw(st.floats(-9, 9, width=32)), pairs.after_BG).astype(np.float32)
    changed = replace(pairs, after_BG=other_BG)
    np.testing.assert_array_equal(control_of(changed), control_of(pairs))
    np.testing.assert_array_equal(perturbation_of(changed).target_BG, perturbation_of(pairs).target_BG)


@given(perturbations(n_genes=N_GENES, min_cells=1), st.sampled_from([np.nan, np.inf]), st.data())
def test_perturbed_values_are_finite(perturbation: Perturbation, value: float, data: st.DataObject):
    cell, gene = data.draw(st.integers(0, len(perturbation) - 1)), data.draw(st.integers(0, N_GENES - 1))
    perturbed_BG, target_BG = perturbation.perturbed_BG.copy(), perturbation.target_BG.copy()
    perturbed_BG[cell, gene], target_BG[cell, gene] = True, value
    with pytest.raises(InputError, match=r"Perturbation\.target_BG is not finite at a perturbed gene"):
        Perturbation(perturbed_BG=perturbed_BG, target_BG=target_BG)


@given(perturbations(n_genes=N_GENES, min_cells=1), st.sampled_from([np.nan, 1.0]), st.data())
def test_unperturbed_values_are_zero(perturbation: Perturbation, value: float, data: st.DataObject):
    cell, gene = data.draw(st.integers(0, len(perturbation) - 1)), data.draw(st.integers(0, N_GENES - 1))
    perturbed_BG, target_BG = perturbation.perturbed_BG.copy(), perturbation.target_BG.copy()
    perturbed_BG[cell, gene], target_BG[cell, gene] = False, value
    with pytest.raises(InputError, match=r"Perturbation\.target_BG is not 0 at a gene that is not perturbed: store 0"):
        Perturbation(perturbed_BG=perturbed_BG, target_BG=target_BG)


@given(perturbations(n_genes=N_GENES))
def test_shape_and_dtype_are_refused_by_name(perturbation: Perturbation):
    with pytest.raises(InputError, match=r"Perturbation\.target_BG has shape"):
        replace(perturbation, target_BG=np.zeros((len(perturbation), N_GENES + 1), dtype=np.float32))
    with pytest.raises(InputError, match=r"Perturbation\.target_BG has dtype float64, expected float32"):
        replace(perturbation, target_BG=perturbation.target_BG.astype(np.float64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"Perturbation\.perturbed_BG has dtype int64, expected bool"):
        replace(perturbation, perturbed_BG=perturbation.perturbed_BG.astype(np.int64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"Perturbation\.perturbed_BG has shape \(3,\), expected \(cells, genes\)"):
        Perturbation(perturbed_BG=np.zeros(3, dtype=np.bool_), target_BG=np.zeros(3, dtype=np.float32))


@given(perturbations(n_genes=N_GENES, min_cells=1))
def test_what_exists_cannot_be_changed(perturbation: Perturbation):
    own_BG = perturbation.target_BG.copy()
    again = replace(perturbation, target_BG=own_BG)
    assert own_BG.flags.writeable
    for array in (again.target_BG, again.perturbed_BG):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_anything_with_genes_and_an_answer_is_a_predictor():
    class NoChange:
        vocab = GeneVocab(feature_id=("ENSG00000000001",))

        def predict(
            self,
            control_BG: np.ndarray,
            perturbation: Perturbation,
            covariates: Mapping[str, np.ndarray] | None = None,
        ) -> np.ndarray:
            return control_BG

    assert isinstance(NoChange(), Predictor)
    assert not isinstance(NoChange.vocab, Predictor)
