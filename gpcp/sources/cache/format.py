"""The format of a panel cache: a folder of plain arrays, and a manifest that describes them with their checksums.

Nothing in the bytes depends on time, on how the cells came in batches, or on how often the building was interrupted:
two caches of the same cells are the same files. Arrays are written piece by piece as ``.npy`` files in little-endian
bytes, whatever the machine, and are mapped or read back.
"""

import io
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.files import write_text
from gpcp.core.genes import GeneVocab
from gpcp.sources.provenance import Origin

MANIFEST = "manifest.json"
FORMAT = "gpcp panel cache"
VERSION = 1
COVARIATE = "covariate_"
"""Before the covariate's name in the name of its array of codes."""

MAPPED = ("indices", "data", "signature")
"""Arrays that grow with the panel: they stay on disk, and only a full check reads them."""

Layout: TypeAlias = Mapping[str, tuple[str, tuple[int, ...]]]
"""Of each array, its dtype as numpy writes it and its shape."""


def refused(folder: Path, why: str) -> InputError:
    """The error of a cache that cannot be used, and what to do."""
    return InputError(f"panel cache {str(folder)!r}: {why}; delete the folder and build it again")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """All that decides the arrays of a cache.

    Parameters
    ----------
    n_cells, n_genes, n_sets, n_values : int
    covariates : tuple of str
        Sorted.
    has_total : bool
        Whether counts over all genes are known.
    """

    n_cells: int
    n_genes: int
    n_sets: int
    n_values: int
    covariates: tuple[str, ...]
    has_total: bool

    def layout(self) -> Layout:
        """The arrays that a cache of this size has."""
        n, n_genes = self.n_cells, self.n_genes
        # Two bytes name any of 65,536 genes: a quarter of the cache less than with four.
        gene = "<u2" if n_genes <= 1 << 16 else "<i4"
        return {
            "indptr": ("<i8", (n + 1,)),
            "indices": (gene, (self.n_values,)),
            "data": ("<f4", (self.n_values,)),
            "signature": ("|u1", (n, -(-n_genes // 8))),
            "cell_id": ("<i8", (n,)),
            "set": ("<i4", (n,)),
            "measured": ("|b1", (self.n_sets, n_genes)),
            **({"total": ("<f8", (n,))} if self.has_total else {}),
            **{COVARIATE + name: ("<i4", (n,)) for name in self.covariates},
        }

    @property
    def n_bytes(self) -> int:
        """What the arrays take on disk, without the manifest."""
        layout = self.layout().values()
        return sum(len(header(*one)) + np.dtype(one[0]).itemsize * int(np.prod(one[1])) for one in layout)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a cache says of itself.

    Parameters
    ----------
    gpcp : str
        The version that built it.
    origin : Origin
        What the cells are and how they were made comparable: query and normalisation, as the source says it.
    vocab : GeneVocab
        The panel.
    names : mapping of str to tuple of str
        Of each covariate, the names of its codes, sorted.
    sizes : Sizes
    files : mapping of str to (int, str)
        Of each file, its bytes and their CRC-32.
    """

    gpcp: str
    origin: Origin
    vocab: GeneVocab
    names: Mapping[str, tuple[str, ...]]
    sizes: Sizes
    files: Mapping[str, tuple[int, str]]

    def write(self, folder: Path) -> None:
        """Write ``manifest.json``."""
        body: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "gpcp": self.gpcp,
            **asdict(self.origin),
            "n_cells": self.sizes.n_cells,
            "n_sets": self.sizes.n_sets,
            "n_values": self.sizes.n_values,
            "has_total": self.sizes.has_total,
            "files": {name: {"bytes": n, "crc32": crc} for name, (n, crc) in sorted(self.files.items())},
            "covariates": {name: list(self.names[name]) for name in sorted(self.names)},
            "genes": list(self.vocab.feature_id),
        }
        body["crc32"] = _crc_of(body)
        write_text(folder / MANIFEST, json.dumps(body, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a cache.

    Raises
    ------
    InputError
        It is missing, damaged, of something else, or of another version.
    """
    try:
        body = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if body.get("format") != FORMAT or repr(body.get("version")) != repr(VERSION):
            found = f"{body.get('format')!r}, version {body.get('version')}"
            raise refused(folder, f"{MANIFEST} is of {found}, and this gpcp reads {FORMAT!r}, version {VERSION}")
        if body.pop("crc32") != _crc_of(body):
            raise refused(folder, f"{MANIFEST} was altered after it was written")
        return _parsed(body)
    except InputError as error:
        raise error if str(folder) in str(error) else refused(folder, f"{MANIFEST} is damaged: {error}") from None
    except FileNotFoundError:
        raise refused(folder, f"it has no {MANIFEST}, so it is not a cache") from None
    except (AttributeError, KeyError, TypeError, ValueError, OSError, RecursionError):
        raise refused(folder, f"{MANIFEST} is damaged or of another version") from None


_KINDS: Mapping[str, type] = {
    "gpcp": str,
    "provenance": str,
    "n_cells": int,
    "n_sets": int,
    "n_values": int,
    "has_total": bool,
    "files": dict,
    "covariates": dict,
    "genes": list,
}
"""The fields of a manifest beside its format."""


def _parsed(body: dict[str, Any]) -> Manifest:
    """The manifest of its fields; TypeError or KeyError where one is missing or of another type."""
    # Caches of before these two were noted have neither.
    body = {"place": "", "state": "", **body}
    for name, kind in (*_KINDS.items(), ("place", str), ("state", str)):
        _check_type(body[name], kind)
    vocab = GeneVocab(feature_id=tuple(_texts(body["genes"])))
    names = {name: tuple(_texts(found)) for name, found in body["covariates"].items()}
    sizes = Sizes(
        n_cells=body["n_cells"],
        n_genes=len(vocab),
        n_sets=body["n_sets"],
        n_values=body["n_values"],
        covariates=tuple(sorted(names)),
        has_total=body["has_total"],
    )
    files: dict[str, tuple[int, str]] = {}
    for name, one in body["files"].items():
        _check_type(one["bytes"], int)
        _check_type(one["crc32"], str)
        files[name] = (one["bytes"], one["crc32"])
    origin = Origin(provenance=body["provenance"], place=body["place"], state=body["state"])
    return Manifest(gpcp=body["gpcp"], origin=origin, vocab=vocab, names=names, sizes=sizes, files=files)


def _check_type(value: object, kind: type) -> None:
    if type(value) is not kind or (kind is int and cast("int", value) < 0):
        raise TypeError(f"{value!r} is no {kind.__name__}")


def _texts(values: object) -> list[str]:
    """A list of texts."""
    _check_type(values, list)
    for one in cast("list[object]", values):
        _check_type(one, str)
    return cast("list[str]", values)


def _crc_of(body: Mapping[str, Any]) -> str:
    return f"{crc32(json.dumps(body, sort_keys=True).encode()):08x}"


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The first bytes of an ``.npy`` file."""
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": dtype, "fortran_order": False, "shape": shape})
    return written.getvalue()


def other_genes(held: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """How two panels differ."""
    lacks, besides = [g for g in wanted if g not in set(held)], [g for g in held if g not in set(wanted)]
    if not lacks and not besides:
        return "it has the genes asked for in another order"
    differences = [
        f"{len(genes)} {what} ({', '.join(genes[:3])}{', ...' if len(genes) > 3 else ''})"
        for genes, what in ((lacks, "that it lacks"), (besides, "not asked for"))
        if genes
    ]
    return f"its panel of {len(held)} genes is another than the {len(wanted)} asked for: {' and '.join(differences)}"


def apart(held: str, wanted: str) -> str:
    """Two texts from a little before where they part."""
    same = next((i for i, (a, b) in enumerate(zip(held, wanted, strict=False)) if a != b), min(len(held), len(wanted)))
    start = max(0, same - 30) if same > 40 else 0
    cut = [
        ("..." if start else "") + text[start : start + 120] + ("..." if len(text) > start + 120 else "")
        for text in (held, wanted)
    ]
    return f"{cut[0]!r}, not {cut[1]!r}"


def unfinished_of(folder: Path) -> Path:
    """Where the parts of a cache wait until it is whole."""
    return folder.with_name(folder.name + ".partial")


_CHUNK = 1 << 24


class _Bytes(Protocol):
    """What bytes can be written to."""

    def write(self, piece: bytes, /) -> int: ...


@final
class ArrayFile:
    """An ``.npy`` file that is written piece by piece, and sums up its bytes on the way."""

    __slots__ = ("_crc", "_dtype", "_file", "_n_bytes")

    def __init__(self, file: _Bytes, dtype: str, shape: tuple[int, ...]) -> None:
        self._file, self._dtype = file, np.dtype(dtype)
        self._crc = self._n_bytes = 0
        self._put(header(dtype, shape))

    def append(self, array: NDArray[np.generic]) -> None:
        """The next values, as the file's dtype."""
        self._put(np.ascontiguousarray(array, dtype=self._dtype).tobytes())

    def _put(self, piece: bytes) -> None:
        self._crc = crc32(piece, self._crc)
        self._n_bytes += len(piece)
        self._file.write(piece)

    @property
    def written(self) -> tuple[int, str]:
        """Bytes so far and their CRC-32."""
        return self._n_bytes, f"{self._crc:08x}"


@contextmanager
def array_file(folder: Path, name: str, layout: Layout) -> Generator[ArrayFile]:
    """Open one array of a layout for writing."""
    with (folder / f"{name}.npy").open("wb") as file:
        yield ArrayFile(file, *layout[name])
        file.flush()
        # The folder is renamed into place afterwards: a power cut must not leave it there with empty files.
        os.fsync(file.fileno())


def read_array(folder: Path, name: str, manifest: Manifest, *, verify: bool) -> NDArray[Any]:
    """One array of a cache, from :data:`MAPPED` as a view of the file, else in memory and verified.

    Parameters
    ----------
    folder : Path
    name : str
        Of the layout.
    manifest : Manifest
    verify : bool
        Read a mapped file whole to compare its checksum, too.

    Raises
    ------
    InputError
        The file is missing, or has other bytes, another shape or another dtype than the manifest says.
    """
    path = folder / f"{name}.npy"
    n_bytes, crc = manifest.files.get(path.name, (-1, ""))
    if not path.is_file():
        raise refused(folder, f"{path.name} is missing")
    if path.stat().st_size != n_bytes:
        raise refused(folder, f"{path.name} has {path.stat().st_size} bytes, and the manifest says {n_bytes}")
    if (verify or name not in MAPPED) and crc_of_file(path) != crc:
        raise refused(folder, f"the bytes of {path.name} are not those that were written")
    try:
        array = np.load(path, mmap_mode="r" if name in MAPPED else None, allow_pickle=False)
    except ValueError:
        raise refused(folder, f"{path.name} is not an array") from None
    dtype, shape = manifest.sizes.layout()[name]
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise refused(
            folder, f"{path.name} holds {array.dtype} of shape {array.shape}, expected {np.dtype(dtype)} of {shape}"
        )
    return array


def crc_of_file(path: Path) -> str:
    """CRC-32 of a file as eight hexadecimal digits."""
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            crc = crc32(piece, crc)
    return f"{crc:08x}"
