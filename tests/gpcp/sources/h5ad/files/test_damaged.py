"""Files that cannot be read right are refused in one line: what, which part, which cells, what to do."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from gpcp.core.cells import concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells

N_CELLS, N_GENES = 12, 5
COUNTS = np.random.default_rng(0).poisson(2, (N_CELLS, N_GENES)).astype(np.float32)


def written(path: Path, values: Any, **options: Any) -> Path:
    obs = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 6)}, index=[f"c{i}" for i in range(N_CELLS)])
    var = pd.DataFrame(index=[f"ENSG{n:011d}" for n in range(N_GENES)])
    anndata.AnnData(X=values, layers={"spare": values}, obs=obs, var=var).write_h5ad(path, **options)
    return path


def cells_of(path: Path, **options: Any) -> Any:
    cells = concatenate_cells(list(H5adCells(path, **options).cells(batch_size=50, seed=0)))
    return cells.rows(np.argsort(cells.cell_id_B))


def replace(file: Any, part: str, values: Any) -> None:
    """Other values for a dataset, which keeps its attributes."""
    kept = dict(file[part].attrs)
    del file[part]
    file[part] = values
    file[part].attrs.update(kept)


def change(part: str, how: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda file: replace(file, part, how(file[part][()]))


def at(place: int, value: int) -> Callable[[Any], Any]:
    def put(values: Any) -> Any:
        values = values.astype(np.int64)
        values[place] = value
        return values

    return put


def drop_attribute(part: str, name: str) -> Callable[[Any], None]:
    return lambda file: file[part].attrs.pop(name)


def set_attribute(part: str, name: str, value: Any) -> Callable[[Any], None]:
    return lambda file: file[part].attrs.__setitem__(name, value)


def unlink(file: Any) -> None:
    del file["X"]
    file["X"] = h5py.SoftLink("/nowhere")


DAMAGES: list[tuple[str, Callable[[Any], None], str]] = [
    ("csr", change("X/indices", at(5, 999)), r"layer 'X' of 'a.h5ad', cells 0 to 11, .* indices go from 0 to 999"),
    ("csr", change("X/indices", at(5, -1)), r"cells 0 to 11, .* indices go from -1 to 4, .* within 0 .. 4"),
    ("csc", change("X/indices", at(0, 12)), r"layer 'X' of 'a.h5ad', .* indices go from 0 to 12"),
    ("csr", change("X/indices", lambda x: x.astype(np.float32)), r"indices hold float32"),
    ("csr", change("X/indptr", at(3, 40)), r"layer 'X' of 'a.h5ad' cannot be read: its indptr does not go up from 0"),
    ("csr", change("X/indptr", at(-1, 3)), r"its indptr does not go up from 0"),
    ("csr", change("X/indptr", at(0, 1)), r"its indptr does not go up from 0"),
    ("csr", change("X/indptr", at(-1, 2**40)), r"its indptr does not go up from 0"),
    ("csc", change("X/indptr", lambda x: x[:-1]), r"its indptr has 5 entries, and 5 rows or columns need one more"),
    ("csr", change("X/data", lambda x: x[:-2]), r"values and \d+ indices, which must be as many"),
    ("csr", change("X/data", lambda x: np.array([b"x"] * len(x))), r"holds \|S1, not numbers"),
    ("csr", lambda file: file.__delitem__("X/indices"), r"layer 'X' of 'a.h5ad' cannot be read: .*indices"),
    ("csr", drop_attribute("X", "shape"), r"its attribute 'shape' is missing"),
    ("csr", set_attribute("X", "shape", [12]), r"its attribute 'shape' is missing or is not two numbers"),
    (
        "csr",
        set_attribute("X", "shape", [12, 6]),
        r"layer 'X' of 'a.h5ad' has shape \(12, 6\), obs and var say \(12, 5",
    ),
    ("csr", set_attribute("X", "shape", [11, 5]), r"its indptr has 13 entries, and 11 rows"),
    ("csr", drop_attribute("X", "encoding-type"), r"a group of no known encoding"),
    ("dense", change("X", lambda x: x[:-1]), r"has shape \(11, 5\), obs and var say \(12, 5\)"),
    ("dense", change("X", lambda x: x[:, 0]), r"has shape \(12,\), obs and var say \(12, 5\)"),
    ("dense", change("X", lambda x: x.astype(complex)), r"holds complex128, not numbers"),
    ("dense", change("obs/kind/codes", at(3, 7)), r"obs of 'a.h5ad' cannot be read: .*codes.*kind"),
    ("dense", change("obs/kind/codes", lambda x: x[:-1]), r"obs of 'a.h5ad' cannot be read: "),
    ("dense", change("obs/_index", lambda x: x[:-1]), r"obs of 'a.h5ad' cannot be read: "),
    ("dense", lambda file: file.__delitem__("obs/_index"), r"obs of 'a.h5ad' cannot be read: .*_index"),
    ("dense", drop_attribute("obs", "_index"), r"obs of 'a.h5ad' cannot be read: .*_index"),
    ("dense", drop_attribute("var", "encoding-type"), r"var of 'a.h5ad' cannot be read: "),
    ("dense", lambda file: file.__delitem__("var"), r"'a.h5ad' is not of AnnData: it has no 'var'"),
    ("dense", unlink, r"layer 'X' of 'a.h5ad' cannot be read"),
]


@pytest.mark.parametrize(("storage", "damage", "message"), DAMAGES)
def test_what_does_not_hold_together(tmp_path: Path, storage: str, damage: Callable[[Any], None], message: str):
    stored = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}[storage]
    path = written(tmp_path / "a.h5ad", stored(COUNTS))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=message) as raised:
        cells_of(path)
    assert "\n" not in str(raised.value)


def test_a_broken_layer_hinders_no_other(tmp_path: Path):
    path = written(tmp_path / "a.h5ad", sp.csr_matrix(COUNTS))
    with h5py.File(path, "r+") as file:
        del file["X/indptr"]
        file["layers/broken"] = h5py.SoftLink("/nowhere")
    assert len(cells_of(path, layer="spare")) == N_CELLS
    for layer in ("X", "broken"):
        with pytest.raises(InputError, match=rf"layer '{layer}' of 'a.h5ad' cannot be read: "):
            cells_of(path, layer=layer)


def packed_with(path: Path, part: str, code: int) -> None:
    """A dataset whose chunks are said to be packed by a filter that HDF5 does not have."""
    with h5py.File(path, "r+") as file:
        stored: Any = file[part]
        values, kept = stored[()], dict(stored.attrs)
        del file[part]
        made: Any = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk(values.shape)
        made.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple(values.shape)
        packed = h5py.Dataset(h5py.h5d.create(file.id, part.encode(), h5py.h5t.py_create(values.dtype), space, made))
        packed.attrs.update(kept)
        packed.id.write_direct_chunk((0,) * values.ndim, b"\x28\xb5\x2f\xfd" + bytes(20))


@pytest.mark.parametrize("part", ["X", "obs/kind/codes"])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (301, r"compressed with zstd, which HDF5 cannot undo here: pip install hdf5plugin$"),
        (302, r"compressed with blosc, .*: pip install hdf5plugin$"),
        (300, r"compressed with filter 300, .*: write the file again, compressed with gzip$"),
    ],
)
def test_compressions_that_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, code: int, message: str
):
    # By numbers that no package has, so that it is no matter which are installed.
    monkeypatch.setattr("gpcp.sources.h5ad.files.matrices.FILTERS", {301: "zstd", 302: "blosc"})
    path = written(tmp_path / "a.h5ad", COUNTS)
    packed_with(path, part, code)
    where = "layer 'X'" if part == "X" else "obs"
    with pytest.raises(InputError, match=rf"^{where} of 'a.h5ad' cannot be read: it is {message}"):
        cells_of(path)


def test_compressions_that_are_installed(tmp_path: Path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    path = written(tmp_path / "a.h5ad", sp.csr_matrix(COUNTS), compression=hdf5plugin.FILTERS["zstd"])
    assert len(cells_of(path, cell_type="kind")) == N_CELLS


def test_a_damaged_chunk_names_its_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path / "a.h5ad", COUNTS)
    with h5py.File(path, "r+") as file:
        kept = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=COUNTS, chunks=(4, N_GENES), compression="gzip").attrs.update(kept)
        stored: Any = file["X"]
        start = stored.id.get_chunk_info(2).byte_offset
    with path.open("r+b") as raw:
        raw.seek(start)
        raw.write(bytes(20))
    monkeypatch.setattr("gpcp.sources.h5ad.files.reader.BLOCK_VALUES", 4 * N_GENES)
    with pytest.raises(InputError, match=r"layer 'X' of 'a.h5ad', cells 8 to 11, cannot be read: .*copy or write it"):
        cells_of(path)


def test_files_that_are_none(tmp_path: Path):
    path = written(tmp_path / "a.h5ad", COUNTS)
    empty, cut, folder = tmp_path / "empty.h5ad", tmp_path / "cut.h5ad", tmp_path / "folder.h5ad"
    empty.touch()
    cut.write_bytes(path.read_bytes()[:-200])
    folder.mkdir()
    for bad, message in (
        (empty, r"empty.h5ad' is empty: copy or write it again"),
        (cut, r"cannot be opened as an AnnData file: .*truncated file.*copy or write it again"),
        (folder, r"folder.h5ad' is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            cells_of(bad)


@pytest.mark.slow
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_random_bytes(tmp_path: Path, storage: Callable[[Any], Any], compression: str | None):
    """Values of the right shape, or one line."""
    whole = written(tmp_path / "a.h5ad", storage(COUNTS), compression=compression).read_bytes()
    path = tmp_path / "b.h5ad"
    random = np.random.default_rng(1)
    messages: list[str] = []
    for _ in range(60):
        damaged = bytearray(whole)
        start = int(random.integers(len(damaged)))
        n_bytes = int(random.choice([1, 1, 8, 200]))
        damaged[start : start + n_bytes] = random.bytes(len(damaged[start : start + n_bytes]))
        path.write_bytes(damaged)
        try:
            cells = cells_of(path, values="counts", cell_type="kind")
        except InputError as error:
            messages.append(str(error))
        else:
            assert cells.expression_BG.shape == (N_CELLS, N_GENES)
            assert np.isfinite(cells.expression_BG).all()
    assert len(messages) > 5
    assert not any(re.search("[\n\r]", message) for message in messages)
