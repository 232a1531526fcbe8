"""Symbols and kinds of genes from tables and AnnData files; those of a Census are in test_source_names."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.panels.annotation import GeneAnnotation, annotation_of_h5ad, notes_of_table

A, B, C = (f"ENSG{n:011d}" for n in (1, 2, 3))


def test_notes_are_joined():
    first = GeneAnnotation(symbol_of={A: "a"}, biotype_of={A: "lncRNA"}, summary="one")
    second = GeneAnnotation(symbol_of={A: "x", B: "b"}, biotype_of={B: "protein_coding"}, summary="two")
    both = first | second
    assert both == GeneAnnotation(
        symbol_of={A: "a", B: "b"}, biotype_of={A: "lncRNA", B: "protein_coding"}, summary="one; two"
    )
    assert both.of_biotype() == {B}
    assert both.only(GeneVocab(feature_id=(A, C))) == GeneAnnotation(
        symbol_of={A: "a"}, biotype_of={A: "lncRNA"}, summary="one; two"
    )
    assert (GeneAnnotation() | first).summary == "one"


def test_a_kind_that_no_gene_is_of():
    with pytest.raises(InputError, match="no gene is of biotype 'protein-coding'; nearest: protein_coding"):
        GeneAnnotation(biotype_of={A: "protein_coding"}).of_biotype("protein-coding")
    with pytest.raises(InputError, match=r"which genes are protein_coding is not known: .* give a table of genes"):
        GeneAnnotation().of_biotype()


def test_a_table(tmp_path: Path):
    (tmp_path / "genes.csv").write_text(f"{A},one,2,1396,lncRNA\n{B},two,6,632,protein_coding\n")
    assert notes_of_table(tmp_path / "genes.csv") == GeneAnnotation(
        symbol_of={A: "one", B: "two"},
        biotype_of={A: "lncRNA", B: "protein_coding"},
        summary="symbols and biotypes from 'genes.csv'",
    )


def written(folder: Path, var: pd.DataFrame, *, raw: bool = False) -> Path:
    counts = sp.csr_matrix(np.arange(1, 3 * len(var) + 1, dtype=np.float32).reshape(3, len(var)))
    obs = pd.DataFrame(index=["c0", "c1", "c2"])
    adata = anndata.AnnData(X=counts, obs=obs, var=var)
    if raw:
        bare = anndata.AnnData(X=counts, obs=obs, var=pd.DataFrame(index=var.index))
        adata.raw = bare
    adata.write_h5ad(folder / "cells.h5ad")
    return folder / "cells.h5ad"


@pytest.mark.parametrize("raw", [False, True])
def test_columns_of_var(tmp_path: Path, raw: bool):
    var = pd.DataFrame(
        {"gene_type": ["protein coding", "lncRNA", "lncRNA"], "gene_name": ["one", "two", ""], "kind": ["x", "y", "y"]},
        index=[f"{A}.3", B, "spike"],
    )
    path = written(tmp_path, var, raw=raw)
    layer = "raw" if raw else "auto"
    found = annotation_of_h5ad(path, layer=layer)
    assert found == GeneAnnotation(
        symbol_of={A: "one", B: "two"},
        biotype_of={A: "protein_coding", B: "lncRNA"},
        summary="'gene_name' and 'gene_type' of 'cells.h5ad'",
    )
    assert annotation_of_h5ad(path, layer=layer, biotype="kind").biotype_of == {A: "x", B: "y"}
    with pytest.raises(InputError, match=r"biotype column 'kinds' is not in var of 'cells.h5ad'; nearest: kind"):
        annotation_of_h5ad(path, layer=layer, biotype="kinds")


def test_a_file_that_says_nothing(tmp_path: Path):
    assert annotation_of_h5ad(written(tmp_path, pd.DataFrame(index=[A, B]))) == GeneAnnotation()


def test_a_schema_file(shared_data: Path):
    found = annotation_of_h5ad(shared_data / "cells" / "cellxgene_schema_example_valid.h5ad")
    assert isinstance(found, GeneAnnotation)
