"""Which column of a file holds the genes' ids, and genes that have no id of their own."""

from pathlib import Path

import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells
from tests.gpcp.sources.h5ad.anndata_files import file_of, in_file_order, log1p_cpm

COUNTS = np.random.default_rng(0).poisson(3, (12, 6)).astype(np.float32)
IDS = [f"ENSG{i:011d}" for i in range(6)]
SYMBOLS = ["TP53", "MYC", "PTEN", "GAPDH", "ACTB", "CD4"]


def found(path: Path, **options: str) -> tuple[str, ...]:
    return H5adCells(path, **({"gene_id": "auto", "missing_id": "drop"} | options)).vocab.feature_id  # pyright: ignore


@pytest.mark.parametrize(
    "column", [[f"ENSMUSG{i:011d}" for i in range(6)], IDS[::-1], ["ENSG00000000099", *IDS[1:]]], ids=str
)
def test_an_index_that_is_mostly_ids_wins(tmp_path: Path, column: list[str]):
    path = file_of(tmp_path, COUNTS, index=["ERCC-00002", "", *IDS[2:]], var={"mouse_ortholog": column})
    assert found(path) == tuple(IDS[2:])
    said = H5adCells(path, gene_id="auto", missing_id="drop").provenance
    assert "gene ids from the index of var (not used: 'mouse_ortholog')" in said


def test_columns_that_disagree_are_refused_and_those_that_agree_are_not(tmp_path: Path):
    mouse = [f"ENSMUSG{i:011d}" for i in range(6)]
    path = file_of(tmp_path, COUNTS, index=SYMBOLS, var={"gene_ids": IDS, "ortholog": mouse})
    with pytest.raises(
        InputError, match=r"'gene_ids' and 'ortholog' of var .* different Ensembl ids for 6 genes.*gene_id="
    ):
        found(path)
    assert found(path, gene_id="ortholog") == tuple(mouse)
    versions = [f"{gene}.{i}" for i, gene in enumerate(IDS)]
    agreeing = file_of(tmp_path, COUNTS, index=SYMBOLS, var={"gene_ids": IDS, "versions": versions})
    assert found(agreeing) == tuple(IDS)
    # One id by chance is no rival.
    few = file_of(tmp_path, COUNTS, index=SYMBOLS, var={"note": [mouse[0], "", "", "", "", ""], "gene_ids": IDS})
    assert found(few) == tuple(IDS)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("ENSG00000002586.20", "ENSG00000002586.20_PAR_Y"),
        ("ENSG00000002586", "ENSG00000002586_PAR_Y"),
        ("ENSG00000182378", "ENSGR0000182378"),
    ],
)
def test_genes_of_both_x_and_y_are_kept_apart_or_dropped_on_request(tmp_path: Path, x: str, y: str):
    path = file_of(tmp_path, COUNTS, index=[x, y, *IDS[2:]])
    bare = x.partition(".")[0]
    assert found(path) == (bare, f"{bare}_PAR_Y", *IDS[2:])
    assert found(path, par_y="drop") == (bare, *IDS[2:])
    dropped = H5adCells(path, par_y="drop")
    assert "1 _PAR_Y genes dropped" in dropped.provenance
    np.testing.assert_allclose(in_file_order(dropped).expression_BG, log1p_cpm(COUNTS)[:, [0, 2, 3, 4, 5]], rtol=1e-5)
    chosen = H5adCells(path, genes=[y if "." in y else f"{bare}_PAR_Y"])
    np.testing.assert_allclose(in_file_order(chosen).expression_BG, log1p_cpm(COUNTS)[:, [1]], rtol=1e-5)


@pytest.mark.parametrize("where", ["index", "gene_name"])
def test_a_table_finds_the_symbols_by_itself(tmp_path: Path, where: str):
    table = tmp_path / "genes.csv"
    rows = [f"{gene},{name},1,500,x" for gene, name in zip(IDS, SYMBOLS, strict=True)]
    table.write_text("\n".join([*rows, "ENSG00000000099_PAR_Y,CD4,1,500,x"]))
    names = SYMBOLS if where == "index" else [f"row{i}" for i in range(6)]
    path = file_of(tmp_path, COUNTS, index=names, var={} if where == "index" else {where: SYMBOLS})
    source = H5adCells(path, gene_id="auto", gene_table=table)
    assert source.vocab.feature_id == tuple(IDS)
    assert f"symbols in {'the index' if where == 'index' else 'column'}" in source.provenance


def test_ids_after_the_name_of_their_genome(tmp_path: Path):
    index = [f"GRCh38_{IDS[0]}.4", f"GRCh38______{IDS[1]}", *(f"mm10___ENSMUSG{i:011d}" for i in range(4))]
    assert found(file_of(tmp_path, COUNTS, index=index)) == (*IDS[:2], *(f"ENSMUSG{i:011d}" for i in range(4)))
