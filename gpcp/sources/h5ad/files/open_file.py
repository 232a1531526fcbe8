"""Opens what holds cells as an AnnData file does: ``.h5ad``, ``.zarr``, ``.h5mu``, what Cell Ranger writes, AnnData.

Only ``obs``, ``var`` and the matrix that is asked for are read. What cannot be read is refused with the line that
converts it.
"""

import os
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file
from gpcp.imports import need
from gpcp.sources.h5ad.files.collection import is_collection, of_collection
from gpcp.sources.h5ad.files.parts import by_parts, in_memory, loaded_whole
from gpcp.sources.h5ad.files.reader import H5adFile, readable
from gpcp.sources.h5ad.files.tenx import is_tenx, mtx_files, tables_beside, tenx_folder, tenx_hdf5

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

KINDS = "an AnnData file (.h5ad, .zarr), one of MuData (.h5mu), or what Cell Ranger writes (.h5, folder of matrix.mtx)"
"""What is read, in words."""

SUFFIXES = (".h5ad", ".h5mu", ".zarr")
"""By which a name is known to be meant for such a file, though there is none."""

USUAL_MODALITY = "rna"

_CONVERSIONS: Mapping[str, str] = {
    ".loom": "anndata.io.read_loom('{name}').write_h5ad('{stem}.h5ad'), with loompy installed",
    ".h5seurat": "SeuratDisk::Convert('{name}', dest = 'h5ad'), in R",
    ".rds": "zellkonverter::writeH5AD(Seurat::as.SingleCellExperiment(readRDS('{name}')), '{stem}.h5ad'), in R",
    ".csv": "anndata.io.read_csv('{name}').write_h5ad('{stem}.h5ad') if rows are cells, with .T before if genes",
    ".tsv": "anndata.io.read_text('{name}').write_h5ad('{stem}.h5ad') if rows are cells, with .T before if genes",
    ".txt": "anndata.io.read_text('{name}').write_h5ad('{stem}.h5ad') if rows are cells, with .T before if genes",
    ".gz": "gunzip --keep '{name}'",
    ".zip": "unzip '{name}'",
    ".tar": "tar --extract --file '{name}'",
    ".soma": "tiledbsoma.io.to_h5ad(tiledbsoma.open('{name}'), '{stem}.h5ad', 'RNA', X_layer_name='data')",
}
"""How files of other kinds become one that is read, by their suffix."""


def is_anndata(value: object) -> bool:
    """Whether something has the parts of an AnnData object; of anndata itself nothing is imported."""
    return all(hasattr(value, part) for part in ("obs", "var", "layers", "n_obs"))


def is_cells_folder(path: Path) -> bool:
    """Whether a folder is one that is read: a zarr store, or the output of Cell Ranger."""
    return path.is_dir() and (_is_zarr(path) or bool(mtx_files(path)))


def files_of(place: Path) -> list[Path]:
    """All files that a file or folder of cells is read from, in a fixed order."""
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [place, *tables_beside(place)] if mtx_files(place) else [place]


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zmetadata"))


def existing_cells(path: str | Path) -> Path:
    """The file or folder that a path names, known to exist and to be of a kind that is read.

    Raises
    ------
    InputError
        It does not exist, or it is of another kind: the message says the line that converts it.
    """
    place = Path(path)
    if is_cells_folder(place):
        return place
    _refuse_other_kinds(place)
    if place.is_dir() and place.suffix == ".zarr":
        raise InputError(
            f"{str(path)!r} is a folder without the metadata of zarr: it is damaged, copy or write it again"
        )
    return existing_file(place, what="AnnData file")


def _refuse_other_kinds(place: Path) -> None:
    suffix = ".soma" if (place / "__tiledb_group.tdb").exists() else place.suffix.lower()
    if place.exists() and suffix in _CONVERSIONS and not mtx_files(place):
        line = _CONVERSIONS[suffix].format(name=place.name, stem=place.stem)
        raise InputError(f"{str(place)!r} is not read as it is: {line}")


@contextmanager
def opened(path: "str | Path | AnnData", *, modality: str | None = None) -> Generator[H5adFile, None, None]:
    """Open cells for the length of a ``with`` block.

    Parameters
    ----------
    path : str, Path or AnnData
        A file or folder of :data:`KINDS`, or an AnnData object, which may be a view, or backed by a file; or one of
        MuData.
    modality : str, optional
        Of MuData: :data:`USUAL_MODALITY`, or else the only one, by default.

    Raises
    ------
    InputError
        It does not exist (the message names the nearest that does), is of another kind (the message says the line that
        converts it), is damaged, or has no such modality.
    """
    if not isinstance(path, (str, Path)):
        yield _of_object(path, modality)
        return
    place = existing_cells(path)
    if mtx_files(place):
        _refuse_modality(repr(place.name), modality)
        yield tenx_folder(place)
        return
    with _store(place) as store:
        with readable(repr(str(path))):
            file = _of_store(place, store, modality)
        yield file


def _of_object(held: Any, modality: str | None) -> H5adFile:
    """An AnnData object, or that of one modality of a MuData object."""
    # Tables have a method of that name.
    if isinstance(getattr(held, "mod", None), Mapping):
        chosen = _chosen("the MuData object", [str(key) for key in held.mod], modality)
        return in_memory(held.mod[chosen], f"the AnnData object {chosen}")
    if not is_anndata(held):
        raise InputError(f"cells are in a file or an AnnData object, not in a {type(held).__name__}")
    _refuse_modality("an AnnData object", modality)
    return in_memory(held, "the AnnData object")


def _store(place: Path) -> Any:
    """The group of HDF5 or zarr that a file or folder is, open."""
    if place.is_dir():
        need("zarr", extra="formats", use=f"the store {str(place)!r}")
        with readable(repr(str(place))), warnings.catch_warnings():
            # Of zarr's own format, which the file has whatever is said about it.
            warnings.simplefilter("ignore")
            return nullcontext(cast("Any", import_module("zarr")).open_group(str(place), mode="r"))
    import h5py  # pyright: ignore[reportMissingTypeStubs]  # it has none

    if not os.access(place, os.R_OK):
        raise InputError(f"{str(place)!r} may not be read: its permissions forbid it")
    if not place.stat().st_size:
        raise InputError(f"{str(place)!r} is empty: copy or write it again")
    if not cast("bool", h5py.is_hdf5(place)):  # pyright: ignore[reportUnknownMemberType]  # it has no types
        raise InputError(
            f"{str(place)!r} is not an AnnData file: it is not HDF5, and of no other kind that is read; give {KINDS}"
        )
    try:
        return cast("Any", h5py.File(place, "r"))
    except OSError as error:
        raise InputError(
            f"{str(place)!r} cannot be opened as an AnnData file: {' '.join(str(error).split())}; if it is not open "
            "elsewhere it is damaged: copy or write it again"
        ) from None


def _of_store(place: Path, store: Any, modality: str | None) -> H5adFile:
    """What an open group holds, by its kind."""
    if "mod" in store:
        return _of_mudata(place.name, store, modality)
    _refuse_modality(repr(place.name), modality)
    if is_collection(store):
        return of_collection(place.name, store)
    if is_tenx(store):
        return tenx_hdf5(place.name, store)
    for kind, parts in {".loom": ("matrix", "row_attrs"), ".h5seurat": ("assays", "meta.data")}.items():
        if all(part in store for part in parts):
            line = _CONVERSIONS[kind].format(name=place.name, stem=place.stem)
            raise InputError(f"{str(place)!r} is a {kind[1:]} file, not one of AnnData: {line}")
    if "raw.X" in store or ("obs" in store and not hasattr(store["obs"], "keys")):
        return loaded_whole(place)
    return by_parts(place.name, store)


def _of_mudata(name: str, store: Any, modality: str | None) -> H5adFile:
    """One modality of a MuData file, with the columns that only the table of all modalities has."""
    chosen = _chosen(repr(name), [str(key) for key in store["mod"]], modality)
    file = by_parts(f"{name}:{chosen}", store["mod"][chosen])
    if "obs" not in store:
        return file
    shared = by_parts(name, store).obs
    if not shared.index.is_unique:
        return file
    extra = shared[[column for column in shared.columns if column not in file.obs.columns]]
    return replace(file, obs=file.obs.join(extra.reindex(file.obs.index)))


def _chosen(what: str, known: list[str], modality: str | None) -> str:
    """The modality that was asked for, the usual one, or the only one."""
    chosen = modality or (USUAL_MODALITY if USUAL_MODALITY in known else known[0] if len(known) == 1 else "")
    if chosen not in known:
        hint = f"{nearest(modality, known)}" if modality else f"name one of {', '.join(known) or 'none'}"
        raise InputError(f"{what} has {f'no modality {modality!r}' if modality else 'several modalities'}: {hint}")
    return chosen


def _refuse_modality(what: str, modality: str | None) -> None:
    if modality is not None:
        raise InputError(f"{what} has no modalities: leave modality {modality!r} out")
