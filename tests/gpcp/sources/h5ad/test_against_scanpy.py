"""Any layout of a file gives what scanpy's ``normalize_total`` and ``log1p`` give of its counts."""

import tempfile
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.sources.h5ad.cells import H5adCells
from tests.gpcp.sources.h5ad.anndata_files import in_file_order

STORED = {"dense": np.asarray, "fortran": np.asfortranarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix}
DTYPES = ["float32", "float64", "int32", "int64", "uint16"]
SYMBOLS = [f"GENE{i}" for i in range(8)]


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Counts, and where and how they are stored."""
    n_cells, n_genes = draw(st.integers(2, 12)), draw(st.integers(2, 8))
    counts = np.random.default_rng(draw(st.integers(0, 99))).poisson(2.0, (n_cells, n_genes))
    counts[:, 0] += 1  # scanpy warns of empty cells
    return {
        "counts": counts.astype(np.int64),
        "place": draw(st.sampled_from(["X", "raw", "counts", "umi_counts"])),
        "stored": draw(st.sampled_from(sorted(STORED))),
        "dtype": draw(st.sampled_from(DTYPES)),
        "x": draw(st.sampled_from(["log", "scaled", "none"])),  # beside counts that are elsewhere
        "ids": draw(st.sampled_from(["index", "versions", "column", "symbols"])),
        "no_genes": draw(st.integers(0, 2)),
        "mask": draw(st.booleans()),
        "full_length": draw(st.booleans()),
    }


def by_scanpy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    adata = anndata.AnnData(counts.astype(np.float64))
    sc.pp.normalize_total(adata, target_sum=1e6)
    sc.pp.log1p(adata)
    return np.asarray(adata.X)


def written(folder: Path, layout: dict[str, Any]) -> Path:
    counts, extra = layout["counts"], layout["no_genes"]
    n_cells, n_genes = counts.shape
    features = np.hstack([counts, np.full((n_cells, extra), 500)])
    matrix = STORED[layout["stored"]](features.astype(layout["dtype"]))
    ids = [f"ENSG{i:011d}" for i in range(n_genes)]
    guides = [f"guide{i}" for i in range(extra)]
    versions = [f"{gene}.{i}" for i, gene in enumerate(ids)]
    names = {"versions": versions, "index": ids}.get(layout["ids"], SYMBOLS[:n_genes])
    var = pd.DataFrame(index=[*names, *guides])
    if layout["ids"] == "column":
        var["gene_ids"] = [*ids, *guides]
    if extra:
        var["feature_types"] = ["Gene Expression"] * n_genes + ["CRISPR Guide Capture"] * extra
    var["feature_length"] = [1000 * (i + 1) for i in range(n_genes + extra)]
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n_cells)])
    if layout["full_length"]:
        obs["assay"] = ["Smart-seq2" if i % 2 else "10x 3' v3" for i in range(n_cells)]
    x = {"log": np.log1p(features / 7), "scaled": features - 3.0, "none": None}[layout["x"]]
    adata = anndata.AnnData(X=matrix if layout["place"] == "X" else x, obs=obs, var=var)
    if layout["place"] == "raw":
        adata.raw = anndata.AnnData(X=matrix, obs=obs, var=var)
    elif layout["place"] != "X":
        adata.layers[layout["place"]] = matrix
    if layout["mask"]:
        adata.layers["aa_mask"] = (features > 2).astype(np.float32)
    adata.write_h5ad(folder / "cells.h5ad")
    rows = [f"{gene},{name},1,{1000 * (i + 1)},x" for i, (gene, name) in enumerate(zip(ids, SYMBOLS, strict=False))]
    (folder / "genes.csv").write_text("\n".join(rows))
    return folder / "cells.h5ad"


@pytest.mark.slow
@settings(max_examples=60)
@given(layouts())
def test_every_layout_gives_the_values_of_scanpy(layout: dict[str, Any]):
    counts = layout["counts"]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), layout)
        table = Path(folder) / "genes.csv" if layout["ids"] == "symbols" else None
        source = H5adCells(path, layer="auto", gene_id="auto", gene_table=table)
        expected = by_scanpy(counts)
        if layout["full_length"]:
            expected[1::2] = by_scanpy(counts / (1000.0 * np.arange(1, counts.shape[1] + 1)))[1::2]
        assert source.vocab.feature_id == tuple(f"ENSG{i:011d}" for i in range(counts.shape[1]))
        np.testing.assert_allclose(in_file_order(source).expression_BG, expected, rtol=1e-6, atol=1e-6)
