import gzip
from pathlib import Path

import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.sources.gene_table import read_gene_table

A, B, C = (f"ENSG{n:011d}" for n in (1, 2, 3))
HEADLESS = f"{A},one,2,1396,lncRNA\n{B}.4,two,6,632,x\n{C},two,6,1000,x\n"
HEADED = f"biotype,feature_length,feature_id,feature_name\nx,1396,{A},one\nx,632,{B},two\nx,1000,{C},two\n"


@pytest.mark.parametrize("text", [HEADLESS, HEADED])
@pytest.mark.parametrize("packed", [False, True])
def test_ids_and_lengths(tmp_path: Path, text: str, packed: bool):
    path = tmp_path / "genes.csv"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    table = read_gene_table(path)
    assert table.ids(["one", "two", "three"]) == [A, "", ""]
    np.testing.assert_array_equal(table.lengths([B, A, "ENSG00000000009"]), [632, 1396, np.nan])
    assert table.symbol_of == {A: "one", B: "two", C: "two"}
    assert table.biotype_of == {A: "lncRNA" if text is HEADLESS else "x", B: "x", C: "x"}


def test_kinds_may_be_missing(tmp_path: Path):
    (tmp_path / "headless.csv").write_text(f"{A},,2,1396,\n{B},two,6,632\n")
    (tmp_path / "headed.csv").write_text(f"feature_id,feature_name,feature_length\n{A},one,5\n")
    for name in ("headless.csv", "headed.csv"):
        assert read_gene_table(tmp_path / name).biotype_of == {}
    assert read_gene_table(tmp_path / "headless.csv").symbol_of == {B: "two"}


@pytest.mark.parametrize("header", ["feature_id,feature_length", "id,length", "Gene_ID,Length", "ensembl_id,length"])
def test_lengths_need_no_symbols_nor_symbols_lengths(tmp_path: Path, header: str):
    (tmp_path / "lengths.csv").write_text(f"{header}\n{A}.3,5\n")
    assert read_gene_table(tmp_path / "lengths.csv").lengths([A]).tolist() == [5]
    (tmp_path / "symbols.csv").write_text(f"id,symbol\n{A},one\n")
    table = read_gene_table(tmp_path / "symbols.csv")
    assert table.ids(["one"]) == [A]
    assert np.isnan(table.lengths([A])).all()
    (tmp_path / "ids.csv").write_text(f"id\n{A}\n")
    with pytest.raises(InputError, match="has ids and nothing of them"):
        read_gene_table(tmp_path / "ids.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("name,length\nx,1\n", "no column 'feature_id'; known: name, length"),
        ("feature_id,featurename,feature_length\n", "no column 'feature_name'; nearest: featurename"),
        (f"{A},one,2,1396,x\nTP53,two,1,5,x\n", "line 2: 'TP53' is not an Ensembl gene id"),
        (f"{A},one,2,1396,x\n{A}.7,two,1,5,x\n", f"line 2: {A} is there twice"),
        (f"{A},one,2,0,x\n", f"line 1: the length of {A} is '0', not in bases"),
        (f"{A},one,2\n", "line 1 has 3 fields"),
    ],
)
def test_what_is_no_table_of_genes(tmp_path: Path, text: str, message: str):
    path = tmp_path / "genes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_gene_table(path)


def test_a_file_that_is_no_text(tmp_path: Path):
    (tmp_path / "genes.csv.gz").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(InputError, match="cannot be read as CSV text"):
        read_gene_table(tmp_path / "genes.csv.gz")


@pytest.mark.slow
def test_every_human_gene(shared_data: Path):
    table = read_gene_table(shared_data / "cells" / "genes_homo_sapiens.csv.gz")
    assert len(table.length_of) == 78_894
    assert table.ids(["TP53", "Y_RNA"]) == ["ENSG00000141510", ""]
    assert table.biotype_of["ENSG00000141510"] == "protein_coding"
