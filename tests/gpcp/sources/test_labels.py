"""Labels: each name once, the smallest codes that name them all, and no memory that grows with cells times length."""

import tracemalloc
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.index import Labels, concatenate_labels
from gpcp.sources.subsets import split_cells


@pytest.mark.parametrize(("n_names", "dtype"), [(1, "i1"), (128, "i1"), (129, "i2"), (32_768, "i2"), (32_769, "i4")])
def test_codes_take_the_smallest_type(n_names: int, dtype: str):
    names = np.arange(n_names).astype(np.str_)
    labels = Labels(names=names, code_B=np.arange(n_names))
    assert labels.code_B.dtype == np.dtype(dtype)
    assert labels.text_B.tolist() == names.tolist()
    assert concatenate_labels([labels, Labels.of(np.array(["another"]))]).text_B.tolist() == [*names, "another"]


@given(st.lists(st.text("abc", max_size=2), min_size=1), st.data())
def test_coded_labels_are_those_of_the_texts(names: list[str], data: st.DataObject):
    code_B = np.array(data.draw(st.lists(st.integers(0, len(names) - 1))), dtype=np.int64)
    text_B = np.array(names)[code_B]
    found, expected = Labels.coded(np.array(names), code_B), Labels.of(text_B)
    assert found.names.tolist() == expected.names.tolist()
    assert found.code_B.tolist() == expected.code_B.tolist()
    assert found.text_B.tolist() == text_B.tolist()


@pytest.mark.parametrize("code_B", [np.zeros(2), np.zeros((2, 1), dtype=np.int8), np.array([0, 1]), np.array([-1])])
def test_codes_that_name_nothing_are_refused(code_B: np.ndarray):
    with pytest.raises(InputError, match=r"Labels\.code_B"):
        Labels(names=np.array(["a"]), code_B=code_B)


def test_a_column_of_any_kind_is_read_as_its_texts(tmp_path: Path):
    columns = {
        "text": ["b", "", None, "a", "b"],
        "category": pd.Categorical(["b", None, "", "a", "b"], categories=["unused", "b", "a", ""]),
        "number": [2.0, np.nan, np.nan, 10.0, 2.0],
        "whole": pd.array([2, None, None, 10, 2], dtype="Int64"),
        "truth": pd.array([True, None, None, False, True], dtype="boolean"),
    }
    obs = pd.DataFrame(columns, index=[f"c{cell}" for cell in range(5)])
    var = pd.DataFrame(index=["ENSG00000000001", "ENSG00000000002"])
    ad.AnnData(np.ones((5, 2), dtype=np.float32), obs=obs, var=var).write_h5ad(tmp_path / "kinds.h5ad")
    for column, texts in {
        "text": ["b", "a", "b"],
        "category": ["b", "a", "b"],
        "number": ["2.0", "10.0", "2.0"],
        "whole": ["2", "10", "2"],
        "truth": ["True", "False", "True"],
    }.items():
        cells = H5adCells(tmp_path / "kinds.h5ad", cell_type=column, missing_label="drop")
        assert cells.index.labels("cell_type").text_B.tolist() == texts
        assert cells.index.labels("cell_type").names.tolist() == sorted(set(texts))


def test_long_labels_are_held_once(tmp_path: Path):
    """2,000 cells x 6 columns x 4,000 characters would be 190 MB as fixed-width text."""
    covariates = ("cell_type", "dataset", "assay", "donor", "tissue", "disease")
    n_cells, names = 2_000, [f"{code} {'long ' * 800}" for code in range(5)]
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {name: pd.Categorical(np.array(names)[rng.integers(5, size=n_cells)]) for name in covariates},
        index=np.arange(n_cells).astype(str),
    )
    var = pd.DataFrame(index=[f"ENSG{gene:011d}" for gene in range(20)])
    values = sp.csr_matrix(rng.poisson(1, (n_cells, 20)).astype(np.float32))
    ad.AnnData(values, obs=obs, var=var).write_h5ad(tmp_path / "long.h5ad")
    tracemalloc.start()
    columns: dict[str, Any] = {name: name for name in covariates}
    cells = H5adCells(tmp_path / "long.h5ad", **columns)
    split_cells(cells, 0.2, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    for name in covariates:
        labels = cells.index.labels(name)
        assert labels.code_B.nbytes == n_cells
        assert labels.names.nbytes < 6 * 5_000 * 4
