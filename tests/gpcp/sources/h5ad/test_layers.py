"""Which matrix of a file is read where none is named."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells
from tests.gpcp.sources.h5ad.anndata_files import file_of, in_file_order, log1p_cpm

COUNTS = np.random.default_rng(0).poisson(3, (40, 6)).astype(np.float32)
LOG = log1p_cpm(COUNTS).astype(np.float32)
TENTH = np.log1p(1e4 * COUNTS / COUNTS.sum(axis=1, keepdims=True)).astype(np.float32)
SCALED = COUNTS - COUNTS.mean(axis=0)


def values(path: Path) -> NDArray[np.float32]:
    return in_file_order(H5adCells(path, layer="auto")).expression_BG


@pytest.mark.parametrize(
    "other",
    [COUNTS // 3, COUNTS == 0, sp.csr_matrix(np.eye(40, 6) > 0), (COUNTS % 3).astype(int), 7 - COUNTS // 2],
    ids=["ambiguous", "mask", "outlier", "votes", "ranks"],
)
@pytest.mark.parametrize("name", ["ambiguous", "aaa", "spliced", "is_outlier"])
def test_whole_numbers_of_another_name_are_never_taken(tmp_path: Path, other: Any, name: str):
    path = file_of(tmp_path, LOG, layers={name: other})
    np.testing.assert_allclose(values(path), LOG, rtol=1e-5)
    with pytest.raises(InputError, match=rf"known by its name .*'{name}' counts.*name the one meant with layer="):
        values(file_of(tmp_path, SCALED, layers={name: np.abs(sp.csr_matrix(other).toarray().astype(int)) + 1}))


def test_counts_by_name_come_before_log_values_and_the_rivals_are_named(tmp_path: Path):
    path = file_of(tmp_path, TENTH, layers={"binary": (COUNTS > 0).astype(float), "counts": COUNTS})
    source = H5adCells(path, layer="auto")
    np.testing.assert_allclose(in_file_order(source).expression_BG, LOG, rtol=1e-5)
    assert "layer 'counts' looks like counts (not used: 'X', log values, 'binary', counts)" in source.provenance
    # Unless log values are asked for.
    asked = in_file_order(H5adCells(path, layer="auto", values="log"))
    np.testing.assert_array_equal(asked.expression_BG, TENTH)


@pytest.mark.parametrize(("x", "expected"), [(COUNTS, LOG), (TENTH, LOG), (SCALED, LOG)])
def test_raw_is_counts_by_name_but_after_x(tmp_path: Path, x: NDArray[np.float32], expected: NDArray[np.float32]):
    raw = anndata.AnnData(X=COUNTS, obs=pd.DataFrame(index=[f"c{i}" for i in range(40)]))
    raw.var_names = [f"ENSG{i:011d}" for i in range(6)]
    np.testing.assert_allclose(values(file_of(tmp_path, x, raw=raw)), expected, rtol=1e-5)


def test_corrected_counts_in_a_layer_that_is_called_counts(tmp_path: Path):
    corrected = COUNTS * np.random.default_rng(1).uniform(0.7, 1, COUNTS.shape)
    path = file_of(tmp_path, TENTH, layers={"counts": corrected})
    np.testing.assert_allclose(values(path), log1p_cpm(corrected), rtol=1e-5)
    with pytest.raises(InputError, match=r"may be corrected counts or log values\): name one with layer= and values="):
        values(file_of(tmp_path, corrected))
    with pytest.raises(InputError, match=r"fractions up to 20 that may be .*pass values='counts' or values='log'"):
        H5adCells(file_of(tmp_path, corrected))
    said = in_file_order(H5adCells(file_of(tmp_path, corrected), values="counts"))
    np.testing.assert_allclose(said.expression_BG, log1p_cpm(corrected), rtol=1e-5)


def test_empty_cells_at_the_start_decide_nothing(tmp_path: Path):
    empty = np.zeros((3000, 6), dtype=np.float32)
    path = file_of(tmp_path, sp.csr_matrix(np.vstack([empty, LOG, empty])))
    found = values(path)
    np.testing.assert_array_equal(found[3000:3040], LOG)
    assert not found[:3000].any()
