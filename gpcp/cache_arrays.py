"""The arrays of a panel cache: written piece by piece, summed up on the way, and mapped or read back.

Everything is an ``.npy`` file in little-endian bytes, whatever the machine.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gpcp.cache_format import MAPPED, Layout, Manifest, header, refused

_CHUNK = 1 << 24


@final
class ArrayFile:
    """An ``.npy`` file that is written piece by piece, and sums up its bytes on the way."""

    __slots__ = ("_crc", "_dtype", "_file", "_n_bytes")

    def __init__(self, file: BinaryIO, dtype: str, shape: tuple[int, ...]) -> None:
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
