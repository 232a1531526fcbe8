"""Cells: every way of being wrong is refused by name, and what exists cannot be changed."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.cells import CellBatch, CellSource, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from tests.strategies import cell_batches

ARRAYS = ("expression_BG", "measured_BG", "cell_id_B")


def three_genes(**changed: object) -> CellBatch:
    """Two cells of three genes, the last gene unmeasured in the second cell; with some fields changed."""
    perturbed = {
        "vocab": GeneVocab(feature_id=("ENSG00000000001", "ENSG00000000002", "ENSG00000000003")),
        "expression_BG": np.array([[1, 2, 3], [4, 5, 0]], dtype=np.float32),
        "measured_BG": np.array([[True, True, True], [True, True, False]]),
        "cell_id_B": np.array([70, 71]),
    }
    return CellBatch(**(perturbed | changed))  # pyright: ignore[reportArgumentType]


@given(cell_batches(), st.sampled_from(["expression_BG", "measured_BG"]), st.sampled_from([0, 1]))
def test_a_shape_that_disagrees_is_refused(cells: CellBatch, name: str, axis: int):
    longer = np.pad(getattr(cells, name), [(0, int(axis == 0)), (0, int(axis == 1))])
    expected = rf"CellBatch\.{name} has shape .*, expected \({len(cells)}, {len(cells.vocab)}\)"
    with pytest.raises(InputError, match=expected):
        replace(cells, **{name: longer})


@given(cell_batches(), st.sampled_from(ARRAYS))
def test_another_dtype_is_refused(cells: CellBatch, name: str):
    with pytest.raises(InputError, match=rf"CellBatch\.{name} has dtype complex128, expected"):
        replace(cells, **{name: getattr(cells, name).astype(np.complex128)})


@given(cell_batches(min_cells=1), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_a_measured_value_that_is_not_finite_is_refused(cells: CellBatch, value: float, data: st.DataObject):
    cell = data.draw(st.integers(0, len(cells) - 1))
    gene = data.draw(st.integers(0, len(cells.vocab) - 1))
    expression_BG, measured_BG = cells.expression_BG.copy(), cells.measured_BG.copy()
    expression_BG[cell, gene], measured_BG[cell, gene] = value, True
    with pytest.raises(InputError) as caught:
        replace(cells, expression_BG=expression_BG, measured_BG=measured_BG)
    assert str(caught.value) == (
        f"CellBatch.expression_BG of gene {cells.vocab.feature_id[gene]} in cell {cells.cell_id_B[cell]} is {value}: "
        "it is not finite but measured; mark it unmeasured or mend the value"
    )


@given(cell_batches(min_cells=1), st.sampled_from([1.5, -2.0, np.nan, np.inf]), st.data())
def test_an_unmeasured_value_that_is_not_zero_is_refused(cells: CellBatch, value: float, data: st.DataObject):
    cell = data.draw(st.integers(0, len(cells) - 1))
    gene = data.draw(st.integers(0, len(cells.vocab) - 1))
    expression_BG, measured_BG = cells.expression_BG.copy(), cells.measured_BG.copy()
    expression_BG[cell, gene], measured_BG[cell, gene] = value, False
    with pytest.raises(InputError) as caught:
        replace(cells, expression_BG=expression_BG, measured_BG=measured_BG)
    assert str(caught.value) == (
        f"CellBatch.expression_BG of gene {cells.vocab.feature_id[gene]} in cell {cells.cell_id_B[cell]} is {value}: "
        "it is unmeasured but not 0; store 0 where a gene is unmeasured"
    )


def test_an_unknown_covariate_is_refused_by_name():
    with pytest.raises(InputError, match=r"covariates\['celltype'\] is none of cell_type, dataset, assay, donor"):
        three_genes(covariates={"celltype": np.array(["a", "b"])})


@pytest.mark.parametrize(
    "values_B", [np.array(["a"]), np.array([["a", "b"]]), np.array([1, 2]), np.array(["a", "b"], dtype=object)]
)
def test_a_covariate_is_one_word_for_each_cell(values_B: np.ndarray):
    with pytest.raises(InputError, match=r"covariates\['donor'\] has shape .* and dtype .*, expected \(2,\) of str"):
        three_genes(covariates={"donor": values_B})


@given(cell_batches())
def test_a_batch_keeps_what_it_was_given(cells: CellBatch):
    again = CellBatch(**{field.name: getattr(cells, field.name) for field in fields(cells)})
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(cells, name))
    assert len(again) == len(cells.cell_id_B)
    assert set(again.covariates) == set(cells.covariates)


@given(cell_batches(min_cells=1))
def test_what_exists_cannot_be_changed(cells: CellBatch):
    for array in (*(getattr(cells, name) for name in ARRAYS), *cells.covariates.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]
    with pytest.raises(FrozenInstanceError):
        cells.cell_id_B = np.arange(len(cells))  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        cells.covariates["donor"] = np.array(["a"])  # pyright: ignore[reportIndexIssue]


def test_the_callers_arrays_and_mapping_stay_their_own():
    expression_BG = np.ones((2, 3), dtype=np.float32)
    measured_BG = np.ones((2, 3), dtype=np.bool_)
    covariates = {"donor": np.array(["a", "b"])}
    cells = three_genes(expression_BG=expression_BG, measured_BG=measured_BG, covariates=covariates)
    covariates["assay"] = np.array(["c", "d"])
    assert expression_BG.flags.writeable
    assert measured_BG.flags.writeable
    assert covariates["donor"].flags.writeable
    assert list(cells.covariates) == ["donor"]


def test_read_only_is_a_view():
    array = np.arange(3)
    view = read_only(array)
    assert np.shares_memory(array, view)
    assert array.flags.writeable
    assert not view.flags.writeable


def test_a_source_is_known_by_its_vocab_and_cells():
    class OneBatch:
        vocab = three_genes().vocab

        def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
            yield three_genes()

    assert isinstance(OneBatch(), CellSource)
    assert not isinstance(three_genes(), CellSource)
