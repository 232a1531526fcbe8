"""Real AnnData files, written here and read back; the folder of real data where it lies."""

import re
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import gpcp.sources.h5ad.files.reader
from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells

IDS = [f"ENSG{n:011d}" for n in range(1, 8)]
COUNTS = np.array([[3, 0, 1, 6], [0, 2, 0, 8], [5, 5, 0, 0], [1, 0, 0, 0], [0, 7, 2, 1]], dtype=np.float32)


def write(path: Path, matrix: Any, *, index: list[str] | None = None, **parts: Any) -> Path:
    n_cells, n_genes = matrix.shape
    obs = pd.DataFrame(parts.pop("obs", {}), index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(parts.pop("var", {}), index=IDS[:n_genes] if index is None else index)
    raw = parts.pop("raw", None)
    stored = anndata.AnnData(X=matrix, obs=obs, var=var, **parts)
    if raw is not None:
        stored.raw = raw
    stored.write_h5ad(path)
    return path


def log1p_cpm(counts: NDArray[Any]) -> NDArray[np.float64]:
    total = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.log1p(1e6 * counts / np.where(total > 0, total, 1))


def in_file_order(source: CellSource) -> CellBatch:
    cells = concatenate_cells(list(source.cells(batch_size=3, seed=0)))
    return cells.rows(np.argsort(cells.cell_id_B))


@pytest.mark.parametrize("stored", [np.asarray, sp.csr_matrix, sp.csc_matrix, lambda x: x.astype(np.int64)])
def test_counts_become_log1p_cpm_however_they_are_stored(tmp_path: Path, stored: Any):
    source = H5adCells(write(tmp_path / "a.h5ad", stored(COUNTS)))
    cells = in_file_order(source)
    # float32 keeps 7 digits.
    np.testing.assert_allclose(cells.expression_BG, log1p_cpm(COUNTS), rtol=1e-6)
    assert cells.measured_BG.all()
    assert source.vocab.feature_id == tuple(IDS[:4])
    assert "log1p(CPM): no gene lengths" in source.provenance
    assert "decided from the values" in source.provenance
    assert isinstance(source, CellSource)


def test_totals_are_over_all_genes_and_come_before_the_choice_of_genes(tmp_path: Path):
    path = write(tmp_path / "a.h5ad", COUNTS)
    cells = in_file_order(H5adCells(path, genes=[IDS[3] + ".4", IDS[0]]))
    np.testing.assert_allclose(cells.expression_BG, log1p_cpm(COUNTS)[:, [3, 0]], rtol=1e-6)
    assert cells.vocab.feature_id == (IDS[3], IDS[0])


@pytest.mark.parametrize("where", ["column", "table"])
def test_lengths_make_tpm(tmp_path: Path, where: str):
    length = np.array([1000.0, 500.0, 2000.0, 250.0])
    path = write(tmp_path / "a.h5ad", COUNTS, var={"feature_length": length})
    table = tmp_path / "genes.csv"
    rows = [f"{gene},s{i},1,{int(x)},protein_coding" for i, (gene, x) in enumerate(zip(IDS, length, strict=False))]
    table.write_text("\n".join(rows))
    source = H5adCells(path, values="counts", gene_length="feature_length" if where == "column" else table)
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS / length), rtol=1e-6)
    assert "log1p(TPM)" in source.provenance


def test_a_gene_without_length_is_refused_or_left_out_of_every_total(tmp_path: Path):
    path = write(tmp_path / "a.h5ad", COUNTS, var={"long": [1000.0, np.nan, 2000.0, 250.0]})
    with pytest.raises(InputError, match=f"no length for 1 genes .*{IDS[1]} first.*missing_length='drop'"):
        H5adCells(path, gene_length="long")
    source = H5adCells(path, gene_length="long", missing_length="drop")
    kept = COUNTS[:, [0, 2, 3]] / np.array([1000, 2000, 250])
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(kept), rtol=1e-6)


def test_a_cell_without_counts_stays_0_and_is_said(tmp_path: Path):
    source = H5adCells(write(tmp_path / "a.h5ad", np.vstack([COUNTS, np.zeros((1, 4), dtype=np.float32)])))
    assert (in_file_order(source).expression_BG[-1] == 0).all()
    assert "1 cells have no count at all" in source.provenance


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    counts=hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 50)),
    block_values=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**40),
)
def test_contract_of_a_cell_source(
    tmp_path: Path, counts: NDArray[np.int64], block_values: int, batch_size: int, seed: int
):
    counts[0, 0] = 1
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts), obs={"kind": [f"t{i % 2}" for i in range(len(counts))]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.sources.h5ad.files.reader, "BLOCK_VALUES", block_values)
        source = H5adCells(path, cell_type="kind")
    batches = list(source.cells(batch_size=batch_size, seed=seed))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    cells, again = concatenate_cells(batches), concatenate_cells(list(source.cells(batch_size=1, seed=seed)))
    assert sorted(cells.cell_id_B.tolist()) == list(range(len(counts)))
    for name in ("cell_id_B", "expression_BG", "measured_BG"):
        assert getattr(cells, name).tobytes() == getattr(again, name).tobytes()
    assert cells.covariates["cell_type"].tolist() == again.covariates["cell_type"].tolist()
    assert cells.covariates["cell_type"].tolist() == [f"t{i % 2}" for i in cells.cell_id_B]
    np.testing.assert_allclose(cells.expression_BG, log1p_cpm(counts)[cells.cell_id_B], rtol=1e-6)


def test_another_seed_gives_another_order(tmp_path: Path):
    source = H5adCells(write(tmp_path / "a.h5ad", np.ones((30, 2), dtype=np.float32), var={}), values="counts")
    orders = {tuple(next(source.cells(batch_size=30, seed=seed)).cell_id_B.tolist()) for seed in range(5)}
    assert len(orders) == 5


def test_nan_is_unmeasured_and_no_part_of_a_total_or_refused(tmp_path: Path):
    counts = COUNTS.copy()
    counts[1, 3] = np.nan
    path = write(tmp_path / "a.h5ad", counts)
    cells = in_file_order(H5adCells(path))
    assert cells.measured_BG.sum() == counts.size - 1
    assert not cells.measured_BG[1, 3]
    np.testing.assert_allclose(cells.expression_BG, log1p_cpm(np.nan_to_num(counts)), rtol=1e-6)
    with pytest.raises(InputError, match=rf"is nan for gene {IDS[3]} in cell 'cell1'.*nan='unmeasured'"):
        H5adCells(path, nan="error")


def test_a_gene_that_a_dataset_never_shows_is_unmeasured_there(tmp_path: Path):
    counts = np.array([[1, 0, 2], [3, 0, 0], [0, 5, 0], [0, 1, 1]], dtype=np.float32)
    path = write(tmp_path / "a.h5ad", counts, obs={"study": ["a", "a", "b", "b"]})
    source = H5adCells(path, dataset="study")
    measured = np.array([[True, False, True]] * 2 + [[False, True, True]] * 2)
    assert in_file_order(source).measured_BG.tolist() == measured.tolist()
    assert "unmeasured there: 1 in 'a', 1 in 'b'" in source.provenance
    assert in_file_order(H5adCells(path, dataset="study", absent_genes="measured")).measured_BG.all()
    assert in_file_order(H5adCells(path)).measured_BG.all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    counts=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 7), st.integers(1, 5)), elements=st.sampled_from([0, 0, 1, 3, np.nan])
    ),
    block_values=st.integers(1, 20),
    data=st.data(),
)
def test_what_is_measured_whatever_is_left_out(
    tmp_path: Path, counts: NDArray[np.float64], block_values: int, data: st.DataObject
):
    n_cells, n_genes = counts.shape
    counts[0, 0] = 1
    studies = ["a", *data.draw(st.lists(st.sampled_from(["a", "b", ""]), min_size=n_cells - 1, max_size=n_cells - 1))]
    panel = data.draw(st.lists(st.sampled_from(range(n_genes)), unique=True, min_size=1))
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts), obs={"study": studies})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.sources.h5ad.files.reader, "BLOCK_VALUES", block_values)
        source = H5adCells(path, dataset="study", missing_label="drop", genes=[IDS[i] for i in panel])
    cells = in_file_order(source)
    rows = [i for i in range(n_cells) if studies[i]]
    assert cells.cell_id_B.tolist() == rows
    for at, row in enumerate(rows):
        same = counts[[i for i in rows if studies[i] == studies[row]]]
        shown = (np.nan_to_num(same) > 0).any(axis=0)
        assert cells.measured_BG[at].tolist() == (shown & ~np.isnan(counts[row]))[panel].tolist()
        np.testing.assert_allclose(
            cells.expression_BG[at], log1p_cpm(np.nan_to_num(counts[[row]]))[0][panel], rtol=1e-6
        )


@pytest.mark.parametrize("block_values", [4, 8, 1000])
def test_the_cell_that_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_values: int):
    monkeypatch.setattr(gpcp.sources.h5ad.files.reader, "BLOCK_VALUES", block_values)
    counts = COUNTS.copy()
    counts[4, 2] = -2
    path = write(tmp_path / "a.h5ad", counts, obs={"study": ["a", "", "a", "", "a"]})
    with pytest.raises(InputError, match=rf"is -2 for gene {IDS[2]} in cell 'cell4'"):
        H5adCells(path, dataset="study", missing_label="drop")
    counts[4, 2], counts[3, 0] = 2, -2
    H5adCells(write(path, counts, obs={"study": ["a", "", "a", "", "a"]}), dataset="study", missing_label="drop")


def test_log_values_are_used_as_they_are(tmp_path: Path):
    log = log1p_cpm(COUNTS)
    source = H5adCells(write(tmp_path / "a.h5ad", sp.csr_matrix(log)))
    np.testing.assert_array_equal(in_file_order(source).expression_BG, log.astype(np.float32))
    assert "as log values (decided from the values)" in source.provenance


@pytest.mark.parametrize(
    ("matrix", "values", "message"),
    [
        (COUNTS, "log", "nothing but whole numbers up to 8, as counts do: pass values='counts'"),
        (np.log1p(COUNTS), "counts", "fractions that are log values.*pass values='log'"),
        (COUNTS * 3.7, "auto", "goes up to 29.6: no log value"),
        (COUNTS * 0, "auto", "holds no value above 0"),
        (-COUNTS, "counts", rf"is -3 for gene {IDS[0]} in cell 'cell0': counts are never negative"),
        (COUNTS - 1, "auto", rf"is -1 for gene {IDS[1]} in cell 'cell0': neither counts nor log values"),
        (np.where(COUNTS > 0, np.inf, 0), "auto", rf"is inf for gene {IDS[0]} in cell 'cell0'"),
    ],
)
def test_values_that_are_not_what_is_said(tmp_path: Path, matrix: NDArray[np.float32], values: Any, message: str):
    with pytest.raises(InputError, match=message):
        H5adCells(write(tmp_path / "a.h5ad", matrix), values=values)


def test_fractions_may_be_counts_where_that_is_said(tmp_path: Path):
    source = H5adCells(write(tmp_path / "a.h5ad", COUNTS * 3.7), values="counts")
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS), rtol=1e-6)


def test_fractions_far_behind_are_counts_like_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpcp.sources.h5ad.files.reader, "SAMPLE_CELLS", 2)
    monkeypatch.setattr(gpcp.sources.h5ad.files.reader, "SAMPLE_WINDOWS", 2)
    matrix = COUNTS.copy()
    matrix[2, 1] = 7.5
    source = H5adCells(write(tmp_path / "a.h5ad", matrix))
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(matrix), rtol=1e-6)
    assert "as counts that are not all whole" in source.provenance


def test_layers_and_raw(tmp_path: Path):
    scaled = (COUNTS - COUNTS.mean(axis=0)).astype(np.float32)
    raw = anndata.AnnData(X=COUNTS, obs=pd.DataFrame(index=[f"cell{i}" for i in range(5)]))
    raw.var_names = IDS[:4]
    path = write(tmp_path / "a.h5ad", scaled[:, :3], layers={"logged": np.log1p(COUNTS[:, :3])}, raw=raw)
    with pytest.raises(InputError, match=r"layer='raw' looks like counts, layer='logged' looks like log values"):
        H5adCells(path)
    assert len(H5adCells(path, layer="raw").vocab) == 4
    np.testing.assert_allclose(in_file_order(H5adCells(path, layer="raw")).expression_BG, log1p_cpm(COUNTS), rtol=1e-6)
    logged = in_file_order(H5adCells(path, layer="logged", values="log"))
    np.testing.assert_array_equal(logged.expression_BG, np.log1p(COUNTS[:, :3]))
    assert "layer 'raw' looks like counts" in H5adCells(path, layer="auto").provenance
    assert "layer 'logged' looks like log" in H5adCells(path, layer="auto", values="log").provenance
    with pytest.raises(InputError, match="no layer 'loged'; nearest: logged"):
        H5adCells(path, layer="loged")


def test_no_layer_that_could_be_used(tmp_path: Path):
    with pytest.raises(InputError, match=r"no layer of 'a.h5ad' looks like counts or log values \('X' scaled"):
        H5adCells(write(tmp_path / "a.h5ad", COUNTS - 2), layer="auto")


def test_versions_are_dropped(tmp_path: Path):
    path = write(tmp_path / "a.h5ad", COUNTS, index=[f"{gene}.{i}" for i, gene in enumerate(IDS[:4])])
    assert H5adCells(path).vocab.feature_id == tuple(IDS[:4])


def test_ids_that_are_one_without_their_version(tmp_path: Path):
    path = write(tmp_path / "a.h5ad", COUNTS, index=[IDS[0] + ".1", IDS[1], IDS[0] + ".2", IDS[2]])
    with pytest.raises(InputError, match=rf"1 Ensembl ids .*{IDS[0]} to '{IDS[0]}.1', '{IDS[0]}.2'"):
        H5adCells(path)


def test_genes_without_id(tmp_path: Path):
    symbols = ["HES4", "TP53", "GAPDH", "ACTB"]
    var = {"ens": [IDS[0], None, IDS[1] + ".3", IDS[2]], "other": ["x"] * 4}
    path = write(tmp_path / "a.h5ad", COUNTS, index=symbols, var=var)
    with pytest.raises(InputError, match=r"0 of 4 genes \(none for 'HES4'\): gene_id='ens' gives one for 3"):
        H5adCells(path)
    with pytest.raises(InputError, match=r"0 of 4 genes"):
        H5adCells(path, missing_id="drop")
    with pytest.raises(InputError, match=r"3 of 4 genes \(none for 'TP53'\).*missing_id='drop' leaves the 1 out"):
        H5adCells(path, gene_id="ens")
    with pytest.raises(InputError, match=r"gene_id 'enns' is not a column .*nearest: ens"):
        H5adCells(path, gene_id="enns")
    source = H5adCells(path, gene_id="ens", missing_id="drop")
    assert "1 of 4 genes without an Ensembl id dropped" in source.provenance
    assert H5adCells(path, gene_id="auto", missing_id="drop").vocab == source.vocab
    # The gene without id still counts in the totals.
    np.testing.assert_allclose(in_file_order(source).expression_BG, log1p_cpm(COUNTS)[:, [0, 2, 3]], rtol=1e-6)


def test_symbols_are_looked_up_in_a_table(tmp_path: Path):
    table = tmp_path / "genes.csv"
    table.write_text("".join(f"{gene},{name},1,500,x\n" for gene, name in zip(IDS, ["A", "B", "B", "C"], strict=False)))
    path = write(tmp_path / "a.h5ad", COUNTS, index=["C", "B", "A", "Z"])
    with pytest.raises(InputError, match=r"2 of 4 genes \(none for 'B'\).*no id, or several"):
        H5adCells(path, gene_symbol="index", gene_table=table)
    source = H5adCells(path, gene_symbol="index", gene_table=table, missing_id="drop")
    assert source.vocab.feature_id == (IDS[3], IDS[0])
    with pytest.raises(InputError, match="pass gene_table="):
        H5adCells(path, gene_symbol="index")


@pytest.mark.parametrize("empty", [None, ""])
def test_columns_of_obs(tmp_path: Path, empty: str | None):
    obs = {"kind": pd.Categorical(["b", "a", empty, "b", "a"]), "batch": [1, 1, 2, 2, 2]}
    path = write(tmp_path / "a.h5ad", COUNTS, obs=obs)
    with pytest.raises(InputError, match=r"cell_type column 'kinds' is not in obs of 'a.h5ad'; nearest: kind"):
        H5adCells(path, cell_type="kinds")
    with pytest.raises(InputError, match=r"empty for 1 of 5 cells, 'cell2' first: missing_label='drop'"):
        H5adCells(path, cell_type="kind")
    source = H5adCells(path, cell_type="kind", donor="batch", missing_label="drop")
    cells = in_file_order(source)
    assert cells.cell_id_B.tolist() == [0, 1, 3, 4]
    assert cells.covariates["cell_type"].tolist() == ["b", "a", "b", "a"]
    assert cells.covariates["donor"].tolist() == ["1", "1", "2", "2"]
    np.testing.assert_allclose(cells.expression_BG, log1p_cpm(COUNTS)[[0, 1, 3, 4]], rtol=1e-6)
    assert source.n_cells == 4
    assert "1 cells without a label dropped" in source.provenance


@pytest.mark.parametrize("option", ["values", "missing_id", "missing_length", "missing_label", "absent_genes", "nan"])
def test_unknown_choice_of_an_option(tmp_path: Path, option: str):
    wrong: dict[str, Any] = {option: "errror"}
    with pytest.raises(InputError, match=rf"{option} is 'errror'; (nearest|known): "):
        H5adCells(write(tmp_path / "a.h5ad", COUNTS), **wrong)


def test_unknown_gene_of_the_panel(tmp_path: Path):
    with pytest.raises(InputError, match=rf"'{IDS[0]}9' of genes= is not in 'a.h5ad'; nearest: .*{IDS[0]}"):
        H5adCells(write(tmp_path / "a.h5ad", COUNTS), genes=[IDS[0] + "9"])


def test_what_is_no_file_of_ours(tmp_path: Path):
    write(tmp_path / "blood.h5ad", COUNTS)
    with pytest.raises(InputError, match=r"does not exist; in its folder, nearest: blood.h5ad"):
        H5adCells(tmp_path / "blod.h5ad")
    with pytest.raises(InputError, match=r"is a folder: name a file in it .*blood"):
        H5adCells(tmp_path)
    text = tmp_path / "text.h5ad"
    text.write_text("gene,cell\n")
    with pytest.raises(InputError, match=r"is not an AnnData file: it is not HDF5, .*\.zarr"):
        H5adCells(text)
    with h5py.File(tmp_path / "other.h5ad", "w") as other:
        other["X"] = COUNTS
    with pytest.raises(InputError, match=r"is not of AnnData: it has no 'obs'"):
        H5adCells(tmp_path / "other.h5ad")
    with h5py.File(tmp_path / "torn.h5ad", "w") as torn:
        torn.create_group("obs")
        torn.create_group("var")
    with pytest.raises(InputError, match=r"obs of 'torn.h5ad' cannot be read: "):
        H5adCells(tmp_path / "torn.h5ad")
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes((tmp_path / "blood.h5ad").read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be opened as an AnnData file"):
        H5adCells(cut)


def test_a_file_older_than_anndata_0_7_is_read_too(tmp_path: Path):
    with h5py.File(tmp_path / "old.h5ad", "w") as old:
        old["X"] = np.log1p(COUNTS)
        old["obs"] = np.array([(f"cell{i}".encode(), b"ab"[i % 2 : i % 2 + 1]) for i in range(5)], "S5,S1")
        old["var"] = np.array([(gene.encode(), 1) for gene in IDS[:4]], "S15,i8")
        old["raw.X"] = COUNTS
        old["raw.var"] = np.array([(gene.encode(), 1) for gene in IDS[:4]], "S15,i8")
    cells = in_file_order(H5adCells(tmp_path / "old.h5ad", values="log", cell_type="f1"))
    np.testing.assert_array_equal(cells.expression_BG, np.log1p(COUNTS))
    assert cells.covariates["cell_type"].tolist() == ["a", "b", "a", "b", "a"]
    raw = in_file_order(H5adCells(tmp_path / "old.h5ad", layer="raw"))
    np.testing.assert_allclose(raw.expression_BG, log1p_cpm(COUNTS), rtol=1e-6)


def test_errors_are_one_line(tmp_path: Path):
    path = write(tmp_path / "a.h5ad", COUNTS, index=["a", "b", "c", "d"])
    wrong: list[dict[str, Any]] = [{}, {"layer": "x"}, {"gene_length": "no"}, {"cell_type": "x"}, {"gene_id": "x"}]
    for arguments in wrong:
        with pytest.raises(InputError) as raised:
            H5adCells(path, **arguments)
        assert not re.search(r"\n", str(raised.value))


@pytest.mark.parametrize(("batch_size", "seed", "field"), [(0, 0, "batch_size"), (1, -1, "seed")])
def test_bad_iteration_is_refused_at_the_call(tmp_path: Path, batch_size: int, seed: int, field: str):
    source = H5adCells(write(tmp_path / "a.h5ad", COUNTS))
    with pytest.raises(InputError, match=f"{field} is"):
        source.cells(batch_size=batch_size, seed=seed)


class TestSharedFiles:
    def test_pbmc68k_reduced(self, shared_data: Path):
        path = shared_data / "cells" / "pbmc68k_reduced.h5ad"
        with pytest.raises(InputError, match=r"gene_id='ensembl_id' gives one for 700"):
            H5adCells(path)
        with pytest.raises(InputError, match=r"700 of 765 .*missing_id='drop' leaves the 65 out"):
            H5adCells(path, gene_id="ensembl_id")
        with pytest.raises(InputError, match=r"never negative|ever negative; layer='raw' looks like log values"):
            H5adCells(path, gene_id="ensembl_id", missing_id="drop")
        source = H5adCells(path, layer="raw", gene_id="ensembl_id", missing_id="drop", cell_type="bulk_labels")
        found = H5adCells(path, layer="auto", gene_id="auto", missing_id="drop", cell_type="bulk_labels")
        assert (source.n_cells, len(source.vocab), found.vocab) == (700, 700, source.vocab)
        stored = anndata.read_h5ad(path)
        columns = np.flatnonzero(stored.var["ensembl_id"] != "")
        expected = stored.raw.X.toarray()[:, columns]  # pyright: ignore  # anndata's raw.X may be anything
        np.testing.assert_array_equal(in_file_order(source).expression_BG, expected)

    def test_cellxgene_schema_example(self, shared_data: Path):
        path = shared_data / "cells" / "cellxgene_schema_example_valid.h5ad"
        lengths = shared_data / "cells" / "genes_homo_sapiens.csv.gz"
        source = H5adCells(path, layer="raw", gene_length=lengths, donor="donor_id")
        assert (source.n_cells, len(source.vocab)) == (2, 7)
        expression = in_file_order(source).expression_BG.astype(np.float64)
        # Shares of a million, to the seven digits of float32.
        np.testing.assert_allclose(np.expm1(expression).sum(axis=1), 1e6, rtol=1e-5)

    def test_norman19(self, shared_data: Path):
        source = H5adCells(
            shared_data / "perturb" / "norman19_mcfaline23_subset.h5ad",
            gene_symbol="index",
            gene_table=shared_data / "cells" / "genes_homo_sapiens.csv.gz",
            missing_id="drop",
            cell_type="cell_type",
            dataset="dataset",
        )
        assert (source.n_cells, len(source.vocab)) == (5961, 495)
        assert "247 in 'norman19'" in source.provenance

    def test_papalexi(self, shared_data: Path):
        source = H5adCells(
            shared_data / "perturb" / "papalexi2021_lowmoi.h5ad",
            gene_symbol="index",
            gene_table=shared_data / "cells" / "genes_homo_sapiens.csv.gz",
            missing_id="drop",
            dataset="bio_rep",
        )
        assert (source.n_cells, len(source.vocab)) == (20729, 254)
        assert "totals over all 299 genes" in source.provenance
