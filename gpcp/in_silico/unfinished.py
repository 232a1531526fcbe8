"""An AnnData file that is written row by row under another name, and moved to its place when it is whole.

Its tables are there from the beginning; of its matrices any rows may be written at any time. What is finished is noted
in a journal beside it, so that the same screen goes on after a kill.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.files import errors_named
from gpcp.imports import need

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]  # typed by its stubs alone

SUFFIXES = (".h5ad", ".zarr")

_ENCODING = {"encoding-type": "array", "encoding-version": "0.2.0"}
_CHUNK_BYTES = 4 << 20


def check_out(out: Path) -> None:
    """Refuse a path at which no file of results can be made.

    Raises
    ------
    InputError
        It ends otherwise than in .h5ad or .zarr, exists already, or zarr is not installed.
    """
    if out.suffix not in SUFFIXES:
        raise InputError(f"{str(out)!r} does not end in {' or '.join(SUFFIXES)}")
    if out.exists():
        raise InputError(f"{str(out)!r} exists already: remove it, or name another")
    if out.suffix == ".zarr":
        need("zarr", extra="formats", use=f"the store {str(out)!r}")


@final
class UnfinishedFile:
    """Results on their way.

    Parameters
    ----------
    out : Path
        Where they are to lie.
    obs, var : DataFrame
    uns : mapping
    arrays : mapping of str to (shape, dtype)
        ``X`` and ``layers/NAME``: matrices of obs x var.
    plan : str
        What decides every number: an unfinished file of another plan is begun anew.
    n_rows : int
        Rows that are written at a time, mostly.
    """

    def __init__(
        self,
        out: Path,
        *,
        obs: "pd.DataFrame",
        var: "pd.DataFrame",
        uns: Mapping[str, Any],
        arrays: Mapping[str, type[np.generic]],
        plan: str,
        n_rows: int,
    ) -> None:
        self._out = out
        self._partial = out.with_name(f".{out.stem}.partial{out.suffix}")
        self._journal = out.with_name(f".{out.stem}.partial{out.suffix}.json")
        found = self._found(plan)
        self.done: set[int] = set() if found is None else found
        if found is None:
            with errors_named(out), _errors_of_the_system():
                self._begin(obs, var, uns, arrays, plan, n_rows)
        self._row_bytes = {name: len(var) * np.dtype(dtype).itemsize for name, dtype in arrays.items()}
        self._n_genes, self._dtypes = len(var), arrays
        self._offsets = self._offsets_of(arrays) if out.suffix == ".h5ad" else {}

    def forget(self) -> None:
        """Nothing is finished."""
        self.done.clear()
        with errors_named(self._out):
            self._journal.write_text(self._journal.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")

    def note(self, task: int) -> None:
        """Note that all rows of a task are written."""
        self.done.add(task)
        with errors_named(self._out), self._journal.open("a", encoding="utf-8") as journal:
            journal.write(f"{task}\n")

    def write(self, name: str, row: int, values: NDArray[np.generic]) -> None:
        """Write rows of a matrix, from ``row`` on."""
        values = np.ascontiguousarray(values, dtype=self._dtypes[name])
        with errors_named(self._out):
            if self._offsets:
                with self._partial.open("r+b") as file:
                    file.seek(self._offsets[name] + row * self._row_bytes[name])
                    file.write(values.data)
            else:
                self._store()[name][row : row + len(values)] = values

    def read(self, name: str, row: int, n_rows: int) -> NDArray[Any]:
        """Rows as they are by now."""
        if not self._offsets:
            return np.asarray(self._store()[name][row : row + n_rows])
        with self._partial.open("rb") as file:
            file.seek(self._offsets[name] + row * self._row_bytes[name])
            content = file.read(n_rows * self._row_bytes[name])
        return np.frombuffer(content, dtype=self._dtypes[name]).reshape(n_rows, self._n_genes)

    def move(self) -> None:
        """Give the file its name: it is whole."""
        with errors_named(self._out):
            self._partial.rename(self._out)
            self._journal.unlink()

    def _found(self, plan: str) -> set[int] | None:
        """Tasks that an earlier run has finished; None where it did not, or did something else."""
        if not (self._journal.is_file() and self._partial.exists()):
            return None
        first, *lines = self._journal.read_text(encoding="utf-8").split("\n")
        # The last line may have been cut off.
        return {int(line) for line in lines[:-1] if line.isdigit()} if first == json.dumps(plan) else None

    def _begin(
        self,
        obs: "pd.DataFrame",
        var: "pd.DataFrame",
        uns: Mapping[str, Any],
        arrays: Mapping[str, type[np.generic]],
        plan: str,
        n_rows: int,
    ) -> None:
        from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._journal.unlink(missing_ok=True)
        if self._partial.is_dir():
            shutil.rmtree(self._partial)
        self._partial.unlink(missing_ok=True)
        held: Any = AnnData(obs=obs, var=var, uns=dict(uns))
        shape = (len(obs), len(var))
        if self._out.suffix == ".h5ad":
            held.write_h5ad(self._partial)
            _reserve(self._partial, shape, arrays)
        else:
            with warnings.catch_warnings():
                # Which of zarr's formats is written: the one that every reader knows.
                warnings.simplefilter("ignore")
                held.write_zarr(self._partial)
            # A chunk that is written in parts is read and packed again for each.
            chunks = (min(n_rows, max(1, _CHUNK_BYTES // (4 * len(var)))), len(var))
            for name, dtype in arrays.items():
                self._store().create_array(name, shape=shape, dtype=dtype, chunks=chunks, attributes=_ENCODING)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cast("Any", import_module("zarr")).consolidate_metadata(str(self._partial))
        self._journal.write_text(json.dumps(plan) + "\n", encoding="utf-8")

    def _store(self) -> Any:
        return cast("Any", import_module("zarr")).open_group(str(self._partial), mode="r+", use_consolidated=False)

    def _offsets_of(self, arrays: Mapping[str, type[np.generic]]) -> dict[str, int]:
        import h5py  # pyright: ignore[reportMissingTypeStubs]  # it has none

        with cast("Any", h5py).File(self._partial, "r") as file:
            return {name: file[name].id.get_offset() for name in arrays}


@contextmanager
def _errors_of_the_system() -> Generator[None]:
    """Let errors of HDF5, which has words of its own for a full disk, be those of the system."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _reserve(path: Path, shape: tuple[int, int], arrays: Mapping[str, type[np.generic]]) -> None:
    """Give every matrix its bytes in an HDF5 file, one after the other: later writes leave its structure alone."""
    import h5py as typeless  # pyright: ignore[reportMissingTypeStubs]  # it has none

    h5py = cast("Any", typeless)
    with h5py.File(path, "r+") as file:
        for name, dtype in arrays.items():
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_layout(h5py.h5d.CONTIGUOUS)
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            kind = h5py.h5t.py_create(np.dtype(dtype))
            made = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), layout)
            h5py.Dataset(made).attrs.update(_ENCODING)
