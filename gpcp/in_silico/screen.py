"""``predict_screen``: perturbations x cells through a predictor, in tasks that are written as they are finished."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError, nearest
from gpcp.core.predictors import Predictor
from gpcp.core.progress import OnProgress, no_progress
from gpcp.in_silico.cells import check_measured, control_of_cells
from gpcp.in_silico.perturbations import ScreenPerturbation, table_of
from gpcp.in_silico.tables import obs_of_cells, obs_of_perturbations, var_of
from gpcp.in_silico.tasks import Rows, Task, rows_by_cell, rows_of_means, tasks_of
from gpcp.in_silico.unfinished import UnfinishedFile, check_out
from gpcp.model.perturbation_table import PerturbationTable

Form = Literal["auto", "cells", "summary"]
FORMS: Mapping[str, str] = {
    "auto": "cells up to 2 GiB, else summary",
    "cells": "expression after, a row for each perturbation of each cell",
    "summary": "mean response over cells and its standard error, a row for each perturbation",
}

AUTO_BYTES = 2 << 30
"""Results up to this size are written cell by cell where nothing else is asked."""

_ARRAYS: Mapping[str, Mapping[str, type[np.generic]]] = {
    "cells": {"X": np.float32},
    "summary": {"X": np.float32, "layers/standard_error": np.float32, "layers/n_cells": np.int32},
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenResult:
    """What a screen has written.

    Parameters
    ----------
    path : Path
    form : "cells" or "summary"
    n_cells, n_perturbations : int
    n_found : int
        Predicted cells that an earlier run of the same screen had finished.
    """

    path: Path
    form: str
    n_cells: int
    n_perturbations: int
    n_found: int


def predict_screen(
    predictor: Predictor,
    cells: CellBatch,
    wanted: Sequence[ScreenPerturbation],
    out: str | Path,
    *,
    shifts: bool = False,
    form: Form = "auto",
    about: Mapping[str, str] | None = None,
    on_progress: OnProgress = no_progress,
) -> ScreenResult:
    """Predict every perturbation in every cell, and write the answers as AnnData.

    What is computed at a time has a fixed size, whatever the number of perturbations; of a screen cell by cell the
    names of the rows are held, too, some 100 bytes each. Ended early, the same call goes on where it was.

    Parameters
    ----------
    predictor : Predictor
    cells : CellBatch
        Of the predictor's genes; see :func:`gpcp.in_silico.cells.cells_to_screen`.
    wanted : sequence of ScreenPerturbation
    out : str or Path
        ``NAME.h5ad`` or ``NAME.zarr``, which must not be there yet.
    shifts : bool
        Values are added to what the cell has, and none ends below 0 where no cell has a value below 0.
    form : "auto", "cells" or "summary"
        One of :data:`FORMS`.
    about : mapping of str to str, optional
        What to know of the screen, such as the model's name; it goes to ``uns["screen"]``.
    on_progress : callable
        Counts predicted cells, perturbation by perturbation.

    Raises
    ------
    InputError
        The genes differ, a perturbed gene is unknown, or measured in no cell, or ``out`` cannot be made.
    OSError
        The disk has no room for the results.
    """
    path = Path(out)
    check_out(path)
    if form not in FORMS:
        raise InputError(f"form is {form!r}; {nearest(form, FORMS)}")
    if cells.vocab != predictor.vocab:
        raise InputError("the cells have other genes than the predictor, or another order: use cells_to_screen")
    least = -np.inf if (cells.expression_BG < 0).any() else 0.0
    table = table_of(wanted, cells.vocab, shifts=shifts, least=least)
    check_measured(cells, table)
    small = 4 * len(cells) * len(table) * len(cells.vocab) <= AUTO_BYTES
    chosen = form if form != "auto" else "cells" if small else "summary"
    _check_room(path, (len(cells) if chosen == "cells" else 3) * len(table) * len(cells.vocab) * 4)
    control_BG = control_of_cells(cells)
    noted = {"form": chosen, "values": "added" if shifts else "set", **(about or {})}
    tasks = tasks_of(len(cells), len(table), len(cells.vocab), by_cell=chosen == "cells")
    file = UnfinishedFile(
        path,
        obs=obs_of_cells(cells, wanted) if chosen == "cells" else obs_of_perturbations(wanted),
        var=var_of(cells, table),
        uns={"screen": noted},
        arrays=_ARRAYS[chosen],
        plan=_digest(cells, control_BG, table, noted),
        n_rows=len(tasks[0]) if chosen == "cells" else len(tasks[0].asked),
    )
    make = partial(rows_by_cell if chosen == "cells" else rows_of_means, predictor, control_BG, table)
    n_found = _all(tasks, make, file, on_progress)
    file.move()
    return ScreenResult(path=path, form=chosen, n_cells=len(cells), n_perturbations=len(table), n_found=n_found)


def _all(
    tasks: Sequence[Task],
    make: Callable[[Task, Callable[[int], None]], Iterator[Rows]],
    file: UnfinishedFile,
    on_progress: OnProgress,
) -> int:
    """Do what is not done; how many predicted cells were."""
    n_total = sum(map(len, tasks))
    if file.done and not _are_same(make(tasks[min(file.done)], lambda n: None), file):
        # The predictor is another one than that of the earlier run.
        file.forget()
    n_found = n_done = sum(len(tasks[number]) for number in file.done)

    def count(n_cells: int) -> None:
        nonlocal n_done
        n_done += n_cells
        on_progress(n_done, n_total)

    count(0)
    for number, task in enumerate(tasks):
        if number in file.done:
            continue
        for name, row, values in make(task, count):
            file.write(name, row, values)
        file.note(number)
    return n_found


def _are_same(rows: Iterator[Rows], file: UnfinishedFile) -> bool:
    """Whether the file holds these rows."""
    return all(np.array_equal(values, file.read(name, row, len(values)), equal_nan=True) for name, row, values in rows)


def _digest(
    cells: CellBatch, control_BG: NDArray[np.float32], table: PerturbationTable, noted: Mapping[str, str]
) -> str:
    """What decides every number but for the predictor."""
    text = json.dumps([list(cells.vocab.feature_id), table.n, table.shifts, str(table.least), dict(noted)])
    summed = hashlib.blake2b(text.encode(), digest_size=16)
    for array in (cells.cell_id_B, control_BG, table.row_E, table.token_E, table.value_E):
        summed.update(np.ascontiguousarray(array).tobytes())
    return summed.hexdigest()


def _check_room(path: Path, n_bytes: int) -> None:
    """Refuse results for which the disk has no room, before hours of work."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    n_free = shutil.disk_usage(folder).free
    if n_bytes > n_free:
        raise InputError(
            f"the results take {n_bytes / 1e9:.1f} GB, and {str(folder)!r} has room for {n_free / 1e9:.1f} GB: ask for "
            "fewer cells or perturbations, or for the form summary"
        )
