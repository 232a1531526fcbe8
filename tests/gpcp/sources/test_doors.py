"""The same cells through every door: a Census, and AnnData files of its raw counts."""

from pathlib import Path
from typing import Any

import cellxgene_census
import numpy as np
import pytest

from gpcp.sources.assays import FULL_LENGTH, full_length
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.census.store import soma_context
from gpcp.sources.h5ad.cells import H5adCells
from simulators.census.embedded import embedded_census
from tests.gpcp.sources.h5ad.anndata_files import in_file_order, log1p_cpm


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Transforming to str index")  # anndata, of the tables that the Census gives
def test_a_census_and_a_file_of_its_counts_give_the_same_values(tmp_path: Path):
    embedded_census(tmp_path / "census", n_cells=60, n_genes=30, seed=1)
    with cellxgene_census.open_soma(uri=str(tmp_path / "census"), context=soma_context()) as census:
        adata: Any = cellxgene_census.get_anndata(census, "homo_sapiens", X_name="raw")  # pyright: ignore
    adata.var.index = adata.var["feature_id"].astype(str).to_numpy()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    by_census = in_file_order(CensusCells(uri=tmp_path / "census", is_primary_data=None))
    by_file = H5adCells(tmp_path / "cells.h5ad", genes=by_census.vocab.feature_id)
    found_BG = in_file_order(by_file).expression_BG
    full_B = adata.obs["assay"].isin(full_length(adata.obs["assay"])).to_numpy()
    assert 0 < full_B.sum() < 60
    np.testing.assert_allclose(found_BG[~full_B], by_census.expression_BG[~full_B], rtol=1e-6)
    ordered = adata[:, list(by_census.vocab.feature_id)]
    rate_BG = np.asarray(ordered.X.todense()) / ordered.var["feature_length"].to_numpy()
    np.testing.assert_allclose(found_BG[full_B], log1p_cpm(rate_BG[full_B]), rtol=1e-6)
    # The store's own values of these cells are from before its counts were rounded.
    assert np.median(np.abs(found_BG - by_census.expression_BG)[full_B]) < 0.005


@pytest.mark.parametrize("term", sorted(FULL_LENGTH))
def test_full_length_assays_go_by_name_or_term(term: str):
    name = FULL_LENGTH[term]
    assert full_length([name, term, name.upper(), "10x 3' v3"]) == sorted({name, term, name.upper()})
