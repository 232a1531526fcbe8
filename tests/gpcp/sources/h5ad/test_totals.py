"""What a cell's counts are a share of: features that are no genes, subsets of genes, full-length assays."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells
from tests.gpcp.sources.h5ad.anndata_files import file_of, in_file_order, log1p_cpm

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(3, (40, 6)).astype(np.float32)
IDS = [f"ENSG{i:011d}" for i in range(6)]
LENGTH = np.array([500, 900, 1500, 2500, 4000, 8000])
TPM = log1p_cpm(COUNTS / LENGTH)


@pytest.mark.parametrize(
    ("column", "gene", "other"),
    [
        ("feature_types", "Gene Expression", "CRISPR Guide Capture"),
        ("feature_types", "Gene Expression", "Antibody Capture"),
        ("feature_types", "Gene Expression", "Multiplexing Capture"),
        ("feature_types", "GEX", "ADT"),
        ("feature_biotype", "gene", "spike-in"),
        ("modality", "rna", "prot"),
        ("feature_type", "protein_coding", "spike-in"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_features_that_are_no_genes_are_part_of_no_total(
    tmp_path: Path, column: str, gene: str, other: str, first: bool
):
    extra = RNG.poisson(60, (40, 2)).astype(np.float32) * np.eye(2)[np.arange(40) % 2]
    names, kinds = ["guide1", "guide2"], [other] * 2
    parts = [(extra, names, kinds), (COUNTS, IDS, [gene] * 6)]
    blocks, labels, words = zip(*(parts if first else parts[::-1]), strict=True)
    path = file_of(tmp_path, np.hstack(blocks), index=[*labels[0], *labels[1]], var={column: [*words[0], *words[1]]})
    # Not an error either: a guide has no Ensembl id that could be missing.
    source = H5adCells(path)
    assert source.vocab.feature_id == tuple(IDS)
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS), rtol=1e-5)
    assert f"2 features that are no genes ({other})" in source.provenance


@pytest.mark.parametrize("name", ["ERCC-00002", "SIRV3", "ercc-00130"])
def test_spike_ins_are_known_by_their_names(tmp_path: Path, name: str):
    path = file_of(tmp_path, np.hstack([COUNTS, np.full((40, 1), 99.0)]), index=[*IDS, name])
    source = H5adCells(path)
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS), rtol=1e-5)
    assert "1 features that are no genes (spike-in)" in source.provenance


def test_biotypes_are_no_types_of_features(tmp_path: Path):
    path = file_of(tmp_path, COUNTS, var={"feature_type": ["protein_coding", "lncRNA"] * 3})
    assert len(H5adCells(path).vocab) == 6


def test_a_gene_without_id_stays_in_totals_beside_guides(tmp_path: Path):
    types = ["Gene Expression"] * 6 + ["CRISPR Guide Capture"]
    index = [*IDS[:5], "GFP", "guide"]
    path = file_of(tmp_path, np.hstack([COUNTS, 50 + COUNTS[:, :1]]), index=index, var={"feature_types": types})
    with pytest.raises(InputError, match=r"for 5 of 6 genes \(none for 'GFP'\)"):
        H5adCells(path)
    source = H5adCells(path, missing_id="drop")
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS)[:, :5], rtol=1e-5)


def test_a_subset_of_genes_takes_the_totals_of_raw(tmp_path: Path):
    raw = anndata.AnnData(X=COUNTS, obs=pd.DataFrame(index=[f"c{i}" for i in range(40)]))
    raw.var_names = IDS
    path = file_of(tmp_path, COUNTS[:, :3], raw=raw)
    source = H5adCells(path)
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS)[:, :3], rtol=1e-5)
    assert "totals over all 6 genes of raw" in source.provenance
    own = H5adCells(path, total="none")
    np.testing.assert_allclose(in_file_order(own).expression_BG, log1p_cpm(COUNTS[:, :3]), rtol=1e-5)
    assert "totals over all 3 genes of the layer" in own.provenance


@pytest.mark.parametrize("column", ["total_counts", "n_counts", "nCount_RNA", "raw_sum"])
def test_a_subset_of_genes_takes_the_totals_of_obs(tmp_path: Path, column: str):
    total = COUNTS.sum(axis=1)
    source = H5adCells(file_of(tmp_path, COUNTS[:, :3], obs={column: total}))
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS[:, :3], total), rtol=1e-5)
    assert f"totals from column {column!r} of obs" in source.provenance
    assert source.index.total_B is not None
    np.testing.assert_allclose(source.index.total_B, total)
    # Numbers that cannot be totals of these counts, and totals of all genes, change nothing.
    for other in (total // 4, COUNTS[:, :3].sum(axis=1)):
        found = in_file_order(H5adCells(file_of(tmp_path, COUNTS[:, :3], obs={column: other})))
        np.testing.assert_allclose(found.expression_BG, log1p_cpm(COUNTS[:, :3]), rtol=1e-5)


def test_a_named_column_of_totals(tmp_path: Path):
    obs = {"depth": COUNTS.sum(axis=1) + 5, "less": COUNTS.sum(axis=1) - 1, "text": ["a"] * 40}
    path = file_of(tmp_path, COUNTS, obs=obs)
    found = in_file_order(H5adCells(path, total="depth"))
    np.testing.assert_allclose(found.expression_BG, log1p_cpm(COUNTS, COUNTS.sum(axis=1) + 5), rtol=1e-5)
    for column, message in {
        "dept": "'dept' is not in obs of .*; nearest: depth",
        "text": "holds no positive number for every cell",
        "less": r"is \d+ for cell 'c0', whose counts add up to \d+: no total",
    }.items():
        with pytest.raises(InputError, match=message):
            H5adCells(path, total=column)


@pytest.mark.parametrize("assay", ["Smart-seq2", "EFO:0008931", "smart-seq v4"])
@pytest.mark.parametrize("column", ["assay", "assay_ontology_term_id", "method"])
def test_cells_of_full_length_assays_become_tpm_and_the_others_cpm(tmp_path: Path, assay: str, column: str):
    other = "10x 3' v3"
    path = file_of(tmp_path, COUNTS, obs={column: [other] * 20 + [assay] * 20}, var={"feature_length": LENGTH})
    source = H5adCells(path, assay="method" if column == "method" else None)
    expected = np.vstack([log1p_cpm(COUNTS)[:20], TPM[20:]])
    np.testing.assert_allclose(in_file_order(source).expression_BG, expected, rtol=1e-5)
    assert "log1p(TPM) for 20 cells of full-length assays" in source.provenance
    assert source.index.total_B is None
    none = in_file_order(H5adCells(path, gene_length="none"))
    np.testing.assert_allclose(none.expression_BG, log1p_cpm(COUNTS), rtol=1e-5)


def test_full_length_cells_without_lengths_are_refused_with_the_remedy(tmp_path: Path):
    path = file_of(tmp_path, COUNTS, obs={"assay": ["Smart-seq2"] * 40})
    with pytest.raises(InputError, match=r"40 cells .*full-length assays \(Smart-seq2\).*gene_length='none' for log1p"):
        H5adCells(path)
    table = tmp_path / "genes.csv"
    table.write_text("".join(f"{gene},s,1,{x},protein_coding\n" for gene, x in zip(IDS, LENGTH, strict=True)))
    for options in ({"gene_length": table}, {"gene_table": table}):
        given: dict[str, Any] = options
        np.testing.assert_allclose(in_file_order(H5adCells(path, **given)).expression_BG, TPM, rtol=1e-5)
    # Log values are used as they are.
    logged = file_of(tmp_path, log1p_cpm(COUNTS).astype(np.float32), obs={"assay": ["Smart-seq2"] * 40})
    assert "as log values" in H5adCells(logged).provenance


def test_totals_of_a_mixed_file_are_taken_for_the_cells_that_have_them(tmp_path: Path):
    total = COUNTS.sum(axis=1) * 2
    obs = {"assay": ["10x 3' v3"] * 20 + ["Smart-seq2"] * 20, "total_counts": total}
    found = in_file_order(H5adCells(file_of(tmp_path, COUNTS, obs=obs, var={"feature_length": LENGTH})))
    expected = np.vstack([log1p_cpm(COUNTS, total)[:20], TPM[20:]])
    np.testing.assert_allclose(found.expression_BG, expected, rtol=1e-5)


@pytest.mark.parametrize("assay", ["Smart-seq2", "10x 3' v3"])
def test_a_subset_of_genes_of_full_length_cells_takes_the_totals_of_raw_too(tmp_path: Path, assay: str):
    obs = pd.DataFrame({"assay": [assay] * 40}, index=[f"c{i}" for i in range(40)])
    raw = anndata.AnnData(X=COUNTS, obs=obs, var=pd.DataFrame({"feature_length": LENGTH}, index=IDS))
    path = file_of(tmp_path, COUNTS[:, 1::2], index=IDS[1::2], obs=obs, var={"feature_length": LENGTH[1::2]}, raw=raw)
    whole = TPM if assay == "Smart-seq2" else log1p_cpm(COUNTS)
    np.testing.assert_allclose(in_file_order(H5adCells(path)).expression_BG, whole[:, 1::2], rtol=1e-5)


def test_numbers_that_are_no_totals_of_these_counts(tmp_path: Path):
    counts = RNG.poisson(RNG.lognormal(0, 1, 30) * RNG.lognormal(0, 0.7, (60, 1)), (60, 30)).astype(np.float32)
    whole = RNG.permutation(3 * counts.sum(axis=1))
    for name, column in {
        "after normalisation": np.full(60, 1e4),
        "not whole": counts.sum(axis=1) * 1.5 + 0.25,
        "of other cells": whole + counts.sum(axis=1).max(),
    }.items():
        found = in_file_order(H5adCells(file_of(tmp_path, counts, obs={"total_counts": column})))
        np.testing.assert_allclose(found.expression_BG, log1p_cpm(counts), rtol=1e-5, err_msg=name)
    # Another column says what the sums say: all genes are there.
    both = {"total_counts": 2 * counts.sum(axis=1), "n_counts": counts.sum(axis=1)}
    found = in_file_order(H5adCells(file_of(tmp_path, counts, obs=both)))
    np.testing.assert_allclose(found.expression_BG, log1p_cpm(counts), rtol=1e-5)
    # Counts that were corrected have lost some.
    corrected = np.where(RNG.random(counts.shape) < 0.2, 0.6 * counts, counts)
    found = in_file_order(H5adCells(file_of(tmp_path, corrected, obs={"total_counts": counts.sum(axis=1) * 2})))
    np.testing.assert_allclose(found.expression_BG, log1p_cpm(corrected), rtol=1e-5)


def test_raw_that_holds_other_values_gives_no_totals(tmp_path: Path):
    raw = anndata.AnnData(X=np.rint(COUNTS * 3.3), obs=pd.DataFrame(index=[f"c{i}" for i in range(40)]))
    raw.var_names = IDS
    source = H5adCells(file_of(tmp_path, COUNTS[:, :3], raw=raw))
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS[:, :3]), rtol=1e-5)
