"""Which matrix of a file is read where none is named."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

import gpcp.sources.h5ad.files.reader
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
    assert "layer 'counts' looks like counts (not used: 'X', log values, 'binary', 0 and 1 alone)" in source.provenance
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
    with pytest.raises(InputError, match=r"holds fractions that may be .*pass values='counts' or values='log'"):
        H5adCells(file_of(tmp_path, corrected))
    said = in_file_order(H5adCells(file_of(tmp_path, corrected), values="counts"))
    np.testing.assert_allclose(said.expression_BG, log1p_cpm(corrected), rtol=1e-5)


def test_rivals_by_name_that_hold_other_counts_are_refused(tmp_path: Path):
    raw = anndata.AnnData(X=COUNTS, obs=pd.DataFrame(index=[f"c{i}" for i in range(40)]))
    raw.var_names = [f"ENSG{i:011d}" for i in range(6)]
    with pytest.raises(InputError, match=r"layers 'X', 'raw' of .* all look like counts and hold different ones"):
        values(file_of(tmp_path, np.rint(TENTH), raw=raw))
    with pytest.raises(InputError, match=r"layers 'X', 'counts' of .* hold different ones: name .* layer="):
        values(file_of(tmp_path, np.maximum(COUNTS - 1, 0), layers={"counts": COUNTS}))
    # A mask is no rival, whatever it is called and wherever it lies.
    np.testing.assert_allclose(values(file_of(tmp_path, (COUNTS > 2) * 1.0, raw=raw)), LOG, rtol=1e-5)
    masked = file_of(tmp_path, TENTH, layers={"counts": (COUNTS > 2) * 1.0}, raw=raw)
    np.testing.assert_allclose(values(masked), LOG, rtol=1e-5)


@pytest.mark.parametrize("base", [2.0, 10.0])
def test_logarithms_of_another_base_become_natural_ones(tmp_path: Path, base: float):
    source = H5adCells(file_of(tmp_path, (TENTH / np.log(base)).astype(np.float32)), layer="auto")
    np.testing.assert_allclose(in_file_order(source).expression_BG, TENTH, rtol=1e-5)
    assert f"log values (decided from the values), of base {base:g}, turned into natural ones" in source.provenance


@pytest.mark.parametrize(
    ("done", "name"), [(np.log1p, "log values"), (np.log2, "log values"), (np.sqrt, "square roots")]
)
def test_what_was_done_to_counts_themselves_is_undone(tmp_path: Path, done: Any, name: str):
    value_BG = done(1 + COUNTS) if done is np.log2 else done(COUNTS)
    source = H5adCells(file_of(tmp_path, value_BG), layer="auto")
    np.testing.assert_allclose(in_file_order(source).expression_BG, LOG, rtol=1e-5)
    assert f"as {name} of counts, undone (decided from the values)" in source.provenance
    # Unless they are said to be log values: then they are used as they are.
    asked = H5adCells(file_of(tmp_path, np.log1p(COUNTS)), values="log")
    np.testing.assert_array_equal(in_file_order(asked).expression_BG, np.log1p(COUNTS))
    assert "a cell's depth is in every value" in asked.provenance
    with pytest.raises(InputError, match="'X' square roots"):
        values(file_of(tmp_path, np.sqrt(COUNTS / 7.3)))


def test_two_kinds_of_values_in_one_matrix_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    both = np.vstack([COUNTS, LOG[:10]])
    with pytest.raises(InputError, match="whole numbers in some cells and fractions in others"):
        H5adCells(file_of(tmp_path, both))
    # Beyond the cells by which a matrix is judged, too.
    monkeypatch.setattr(gpcp.sources.h5ad.files.reader, "SAMPLE_CELLS", 2)
    monkeypatch.setattr(gpcp.sources.h5ad.files.reader, "SAMPLE_WINDOWS", 2)
    with pytest.raises(InputError, match="two kinds of values in one matrix"):
        H5adCells(file_of(tmp_path, np.vstack([both, COUNTS])))


def test_whole_counts_come_before_corrected_ones_which_are_named(tmp_path: Path):
    corrected = np.where(COUNTS > 4, COUNTS - 0.5, COUNTS)
    source = H5adCells(file_of(tmp_path, corrected, layers={"counts": COUNTS}), layer="auto")
    np.testing.assert_allclose(in_file_order(source).expression_BG, LOG, rtol=1e-5)
    assert "(not used: 'X', counts that are not all whole)" in source.provenance
    asked = in_file_order(H5adCells(tmp_path / "cells.h5ad", layer="X"))
    np.testing.assert_allclose(asked.expression_BG, log1p_cpm(corrected), rtol=1e-5)


def test_empty_cells_at_the_start_decide_nothing(tmp_path: Path):
    empty = np.zeros((3000, 6), dtype=np.float32)
    path = file_of(tmp_path, sp.csr_matrix(np.vstack([empty, LOG, empty])))
    found = values(path)
    np.testing.assert_array_equal(found[3000:3040], LOG)
    assert not found[:3000].any()
