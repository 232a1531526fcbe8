"""Every kind of file and object that holds cells: the same cells through each; the others are refused with advice."""

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from anndata.io import write_elem
from numpy.testing import assert_array_equal

import gpcp.imports
from gpcp.core.cells import concatenate_cells
from gpcp.core.errors import InputError
from gpcp.opening.cells import open_cells
from gpcp.opening.pairs import PairOptions, open_pairs, split_pairs
from gpcp.pairing.paired import Paired
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files.open_file import opened

COUNTS = np.random.default_rng(0).poisson(2, (8, 5)).astype(np.float32)
GENES = [f"ENSG{n:011d}" for n in range(5)]
SYMBOLS = [f"S{n}" for n in range(5)]
CELLS = [f"c{i}" for i in range(8)]
TYPES = ["a", "b"] * 4
FEATURE_TYPES = [*["Gene Expression"] * 4, "Antibody Capture"]


def made(values: Any = COUNTS) -> anndata.AnnData:
    obs = pd.DataFrame({"cell_type": pd.Categorical(TYPES)}, index=CELLS)
    return anndata.AnnData(X=values, layers={"double": 2 * values}, obs=obs, var=pd.DataFrame(index=GENES))


def tenx_3(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        _tenx_matrix(file.create_group("matrix"))
        features = file.create_group("matrix/features")
        for name, texts in {"id": GENES, "name": SYMBOLS, "feature_type": FEATURE_TYPES, "genome": ["G"] * 5}.items():
            features[name] = np.array(texts, dtype="S")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")
    return path


def tenx_2(path: Path, *genomes: str) -> Path:
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            _tenx_matrix(group)
            group["genes"], group["gene_names"] = np.array(GENES, dtype="S"), np.array(SYMBOLS, dtype="S")
    return path


def _tenx_matrix(group: Any) -> None:
    by_cell = sp.csr_matrix(COUNTS.astype(np.int32))
    group["data"], group["indices"], group["indptr"] = by_cell.data, by_cell.indices.astype(np.int64), by_cell.indptr
    group["shape"], group["barcodes"] = np.array([5, 8], dtype=np.int32), np.array(CELLS, dtype="S")


def tenx_folder(folder: Path, *, packed: bool, old: bool, prefix: str = "") -> Path:
    folder.mkdir()
    scipy.io.mmwrite(folder / "m.mtx", sp.coo_matrix(COUNTS.astype(np.int32).T))
    rows = [GENES, SYMBOLS] if old else [GENES, SYMBOLS, FEATURE_TYPES]
    texts = {
        "matrix.mtx": (folder / "m.mtx").read_text(),
        "genes.tsv" if old else "features.tsv": "".join("\t".join(row) + "\n" for row in zip(*rows, strict=True)),
        "barcodes.tsv": "".join(f"{cell}\n" for cell in CELLS),
    }
    (folder / "m.mtx").unlink()
    for name, text in texts.items():
        path = folder / f"{prefix}{name}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return folder


def h5mu(path: Path, *modalities: str) -> Path:
    with h5py.File(path, "w") as file:
        for modality in modalities:
            write_elem(file, f"mod/{modality}", made(COUNTS if modality == modalities[0] else COUNTS + 1))
        # The table of all modalities has its cells in an order of its own.
        shared = pd.DataFrame({"donor": [f"d{i}" for i in range(8)]}, index=CELLS)
        write_elem(file, "obs", shared.iloc[::-1])
        write_elem(file, "var", pd.DataFrame(index=[f"{GENES[0]}-x"]))
    return path


def zarr_store(path: Path, values: Any = COUNTS) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made(values).write_zarr(path)
    return path


def backed(path: Path, values: Any) -> anndata.AnnData:
    made(values).write_h5ad(path)
    return anndata.read_h5ad(path, backed="r")


KINDS: dict[str, Callable[[Path], Any]] = {
    "object": lambda folder: made(),
    "sparse object": lambda folder: made(sp.csc_matrix(COUNTS)),
    "view": lambda folder: anndata.concat([made(COUNTS + 3), made()], index_unique="-")[8:],
    "sparse view": lambda folder: anndata.concat(
        [made(sp.csr_matrix(COUNTS)), made(sp.csr_matrix(COUNTS))], index_unique="-"
    )[8:],
    "backed": lambda folder: backed(folder / "a.h5ad", COUNTS),
    "backed sparse": lambda folder: backed(folder / "a.h5ad", sp.csr_matrix(COUNTS)),
    "backed view": lambda folder: backed(folder / "a.h5ad", sp.csr_matrix(COUNTS))[:, :],
    "h5mu": lambda folder: h5mu(folder / "a.h5mu", "rna", "atac"),
    "h5mu of one": lambda folder: h5mu(folder / "a.h5mu", "gex"),
    "zarr": lambda folder: zarr_store(folder / "a.zarr"),
    "sparse zarr": lambda folder: zarr_store(folder / "a.zarr", sp.csr_matrix(COUNTS)),
    "zarr by columns": lambda folder: zarr_store(folder / "a.zarr", sp.csc_matrix(COUNTS)),
    "10x 3": lambda folder: tenx_3(folder / "filtered_feature_bc_matrix.h5"),
    "10x 2": lambda folder: tenx_2(folder / "filtered_gene_bc_matrices_h5.h5", "GRCh38"),
    "10x folder": lambda folder: tenx_folder(folder / "m", packed=True, old=False),
    "10x folder unpacked": lambda folder: tenx_folder(folder / "m", packed=False, old=False),
    "10x folder of version 2": lambda folder: tenx_folder(folder / "m", packed=False, old=True),
    "10x of GEO": lambda f: tenx_folder(f / "m", packed=True, old=False, prefix="GSM1_") / "GSM1_matrix.mtx.gz",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_cells_of_every_kind(tmp_path: Path, kind: str):
    given = KINDS[kind](tmp_path)
    with opened(given) as file:
        values = np.concatenate([block.toarray() for _, block in file.blocks("X")])
        assert_array_equal(values, COUNTS)
        assert [name.removesuffix("-1") for name in file.obs.index] == CELLS
        assert file.var.index.tolist() == GENES
        if "10x" in kind:
            assert file.var["gene_symbols"].tolist() == SYMBOLS
            assert "version 2" in kind or kind == "10x 2" or file.var["feature_types"].tolist() == FEATURE_TYPES
        else:
            assert file.obs["cell_type"].tolist() == TYPES
    expected = np.log1p(1e6 * COUNTS / COUNTS.sum(axis=1, keepdims=True))
    cells = concatenate_cells(list(H5adCells(given).cells(batch_size=3, seed=0)))
    if "10x" not in kind or "feature_types" not in file.var:
        np.testing.assert_allclose(cells.expression_BG, expected[cells.cell_id_B], rtol=1e-6)
    options: dict[str, Any] = {} if "10x" in kind else {"cell_type_key": "cell_type"}
    named = open_cells(given, **options)
    assert sum(len(batch) for batch in named.cells(batch_size=3, seed=0)) == 8


@pytest.mark.filterwarnings("ignore")
def test_cell_ranger_is_read_as_scanpy_reads_it(tmp_path: Path):
    import scanpy

    for path, theirs in (
        (tenx_3(tmp_path / "a.h5"), scanpy.read_10x_h5(tmp_path / "a.h5", gex_only=False)),
        (
            tenx_folder(tmp_path / "m", packed=True, old=False),
            scanpy.read_10x_mtx(tmp_path / "m", gex_only=False),
        ),
    ):
        with opened(path) as file:
            values: Any = theirs.X
            assert_array_equal(next(file.blocks("X"))[1].toarray(), values.toarray())
            assert file.obs.index.tolist() == theirs.obs_names.tolist()
            assert file.var.index.tolist() == theirs.var["gene_ids"].tolist()
            assert file.var["feature_types"].tolist() == theirs.var["feature_types"].tolist()


def test_an_object_is_read_as_its_file_is(tmp_path: Path):
    adata = made()
    adata.raw = made(COUNTS + 1)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for layer in ("X", "raw", "double"):
        there, here = (H5adCells(what, layer=layer, cell_type="cell_type") for what in (tmp_path / "a.h5ad", adata))
        for one, other in zip(there.cells(batch_size=3, seed=0), here.cells(batch_size=3, seed=0), strict=True):
            assert_array_equal(one.expression_BG, other.expression_BG)
            assert_array_equal(one.covariates["cell_type"], other.covariates["cell_type"])


def test_an_object_of_which_no_matrix_was_set():
    with pytest.raises(InputError, match=r"the AnnData object has no layer 'X'|'the AnnData object' has no layer 'X'"):
        H5adCells(anndata.AnnData(obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=GENES)))


def test_a_damaged_object_is_refused():
    values = sp.csr_matrix(COUNTS)
    adata = made(values)
    any_adata: Any = adata
    any_adata.X.indices[3] = 77
    with pytest.raises(InputError, match=r"layer 'X' of 'the AnnData object', .* 77"):
        H5adCells(adata)


def test_pairs_of_an_object():
    pairs = Paired(made())
    of_source = Paired(H5adCells(made(), cell_type="cell_type"))
    assert pairs.n_pairs == of_source.n_pairs == 4
    for one, other in zip(pairs.pairs(batch_size=2, seed=0), of_source.pairs(batch_size=2, seed=0), strict=True):
        assert_array_equal(one.before_BG, other.before_BG)
        assert_array_equal(one.after_id_B, other.after_id_B)
    adata: Any = made()
    adata.obs = adata.obs.rename(columns={"cell_type": "celltype"})
    with pytest.raises(InputError, match=r"cell_type column 'cell_type' is not in obs .*; nearest: celltype"):
        Paired(adata)
    not_cells: Any = "cells.h5ad"
    with pytest.raises(InputError, match="pairs are made of a source of cells or an AnnData object, not of a str"):
        Paired(not_cells)


def test_modalities(tmp_path: Path):
    path = h5mu(tmp_path / "a.h5mu", "rna", "atac")
    with opened(path) as file:
        assert file.name == "a.h5mu:rna"
        assert file.obs["donor"].tolist() == [f"d{i}" for i in range(8)]
    with opened(path, modality="atac") as file:
        assert_array_equal(next(file.blocks("X"))[1].toarray(), COUNTS + 1)
    assert len(open_cells(f"h5ad:{path}", modality="atac").vocab) == 5
    with pytest.raises(InputError, match=r"'a.h5mu' has no modality 'rnaa': nearest: rna"):
        H5adCells(path, modality="rnaa")
    several = h5mu(tmp_path / "b.h5mu", "gex", "adt")
    with pytest.raises(InputError, match=r"'b.h5mu' has several modalities: name one of adt, gex"):
        H5adCells(several)
    for other in (tenx_3(tmp_path / "c.h5"), tenx_folder(tmp_path / "m", packed=True, old=False), made()):
        with pytest.raises(InputError, match="has no modalities: leave modality 'rna' out"):
            H5adCells(other, modality="rna")


def test_modalities_of_an_object():
    mudata: Any = SimpleNamespace(mod={"adt": made(COUNTS + 1), "rna": made()})
    assert H5adCells(mudata).index.total_B is not None
    with opened(mudata) as file:
        assert_array_equal(next(file.blocks("X"))[1].toarray(), COUNTS)
    with opened(mudata, modality="adt") as file:
        assert_array_equal(next(file.blocks("X"))[1].toarray(), COUNTS + 1)
    with pytest.raises(InputError, match="the MuData object has no modality 'adtt': nearest: adt"):
        H5adCells(mudata, modality="adtt")


def test_held_out_pairs_of_an_object():
    adata = anndata.concat([made()] * 4, index_unique="-")
    named = open_pairs(adata, PairOptions(), cell_type_key="cell_type")
    assert named.name.startswith("the AnnData object (32 cells, pairs of the same cell_type")
    split = split_pairs(named, n_held_out=2, seed=0)
    assert len(split.held_out) == 2


def test_a_file_of_several_genomes(tmp_path: Path):
    path = tenx_2(tmp_path / "a.h5", "GRCh38", "mm10")
    with pytest.raises(InputError, match=r"a matrix for each of the genomes GRCh38, mm10: convert one .*read_10x_h5"):
        H5adCells(path)


def test_folders_of_which_something_is_missing(tmp_path: Path):
    folder = tenx_folder(tmp_path / "m", packed=True, old=False)
    (folder / "features.tsv.gz").rename(folder / "other.tsv.gz")
    with pytest.raises(InputError, match=r"has no features.tsv or features.tsv.gz or genes.tsv or genes.tsv.gz beside"):
        H5adCells(folder)
    (folder / "other.tsv.gz").rename(folder / "features.tsv.gz")
    (folder / "b_matrix.mtx").touch()
    with pytest.raises(InputError, match=r"several matrices \(b_matrix.mtx, matrix.mtx.gz\): name the one"):
        H5adCells(folder)
    (folder / "matrix.mtx.gz").write_bytes((folder / "matrix.mtx.gz").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"matrix.mtx.gz' cannot be read: .*damaged"):
        H5adCells(folder / "matrix.mtx.gz")


def test_a_folder_that_says_different_sizes(tmp_path: Path):
    folder = tenx_folder(tmp_path / "m", packed=False, old=False)
    (folder / "barcodes.tsv").write_text("c0\nc1\n")
    with pytest.raises(InputError, match=r"has shape \(8, 5\), obs and var say \(2, 5\)"):
        H5adCells(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line does not say"),
        ("%%MatrixMarket matrix array real general\n5 8\n", "its first line does not say"),
        ("%%MatrixMarket matrix coordinate integer symmetric\n5 8 0\n", "its first line does not say"),
        ("%%MatrixMarket matrix coordinate integer general\n%\n5 8 2\n1 1 3\n", "it has 1 values and announces 2"),
        (
            "%%MatrixMarket matrix coordinate integer general\n5 8 1\n6 1 3\n",
            "its rows go from 6 to 6, .* within 1 .. 5",
        ),
        ("%%MatrixMarket matrix coordinate integer general\n5 8 1\n1 0 3\n", "its columns go from 0 to 0, .* 1 .. 8"),
        ("%%MatrixMarket matrix coordinate integer general\n5 8 1\n1 1\n", "damaged"),
        ("%%MatrixMarket matrix coordinate integer general\n5 8 1\n1 1 3 4\n", "damaged"),
        ("%%MatrixMarket matrix coordinate integer general\n5 8 1\n1 1.5 3\n", "damaged"),
        ("%%MatrixMarket matrix coordinate integer general\n5 8 1\n1 1 x\n", "damaged"),
        ("%%MatrixMarket matrix coordinate integer general\n5 8\n", "damaged"),
    ],
)
def test_damaged_texts(tmp_path: Path, text: str, message: str):
    folder = tenx_folder(tmp_path / "m", packed=False, old=False)
    (folder / "matrix.mtx").write_text(text)
    with pytest.raises(InputError, match=rf"matrix.mtx' cannot be read: .*{message}"):
        H5adCells(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["10x 3", "10x 2", "10x folder", "10x folder unpacked", "h5mu", "sparse zarr"])
def test_random_bytes_in_other_kinds(tmp_path: Path, kind: str):
    whole = KINDS[kind](tmp_path)
    parts = sorted(path for path in whole.rglob("*") if path.is_file()) if whole.is_dir() else [whole]
    random = np.random.default_rng(0)
    messages: list[str] = []
    for _ in range(40):
        part = parts[int(random.integers(len(parts)))]
        right = part.read_bytes()
        start = int(random.integers(len(right) + 1))
        n_bytes = int(random.choice([0, 1, 8, 50]))
        part.write_bytes(right[:start] + random.bytes(n_bytes) + right[start + n_bytes :][: 10**9 * (n_bytes > 0)])
        try:
            cells = concatenate_cells(list(H5adCells(whole, values="counts").cells(batch_size=50, seed=0)))
        except InputError as error:
            messages.append(str(error))
        else:
            assert len(cells) == 8
            assert np.isfinite(cells.expression_BG).all()
        part.write_bytes(right)
    assert messages
    assert not any("\n" in message for message in messages)


def test_a_damaged_store_of_zarr(tmp_path: Path):
    path = zarr_store(tmp_path / "a.zarr")
    for chunk in (path / "X").rglob("*"):
        if chunk.is_file() and chunk.name not in ("zarr.json", ".zarray", ".zattrs"):
            chunk.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"layer 'X' of 'a.zarr', cells 0 to 7, cannot be read: "):
        H5adCells(path)
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InputError, match=r"b.zarr' is a folder without the metadata of zarr"):
        H5adCells(tmp_path / "b.zarr")


def test_zarr_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = zarr_store(tmp_path / "a.zarr")

    def missing(name: str) -> None:
        raise ImportError(name, name=name)

    monkeypatch.setattr(gpcp.imports, "import_module", missing)
    with pytest.raises(InputError, match=r"needs zarr, which is not installed: pip install 'gpcp\[formats\]'"):
        H5adCells(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.loom", r"anndata.io.read_loom\('a.loom'\).write_h5ad\('a.h5ad'\)"),
        ("a.rds", r"zellkonverter::writeH5AD"),
        ("a.h5Seurat", r"SeuratDisk::Convert\('a.h5Seurat'"),
        ("a.csv", r"anndata.io.read_csv\('a.csv'\)"),
        ("a.h5ad.gz", r"gunzip --keep 'a.h5ad.gz'"),
        ("a.zarr.zip", r"unzip 'a.zarr.zip'"),
    ],
)
def test_other_kinds_are_refused_with_the_line_that_converts_them(tmp_path: Path, name: str, message: str):
    (tmp_path / name).write_bytes(b"x")
    for door in (H5adCells, open_cells):
        with pytest.raises(InputError, match=f"is not read as it is: {message}"):
            door(str(tmp_path / name))


def test_other_kinds_under_the_name_of_one(tmp_path: Path):
    for name, parts in {"loom": ("matrix", "row_attrs"), "h5seurat": ("assays", "meta.data")}.items():
        with h5py.File(tmp_path / "a.h5ad", "w") as file:
            for part in parts:
                file.create_group(part)
        with pytest.raises(InputError, match=rf"is a {name} file, not one of AnnData: "):
            H5adCells(tmp_path / "a.h5ad")


def test_what_is_neither_a_file_nor_an_object():
    for wrong in (COUNTS, None, pd.DataFrame(COUNTS)):
        given: Any = wrong
        with pytest.raises(InputError, match="cells are in a file or an AnnData object, not in a "):
            H5adCells(given)
