"""The parts of a screen: each is computed at once, written, and never done again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.predictors import Predictor
from gpcp.in_silico.answers import predict_each
from gpcp.in_silico.summary import Responses
from gpcp.model.perturbation_table import PerturbationTable

TASK_BYTES = 32 << 20
"""Answers of one task, all of which are in memory."""

_TASK_CELLS = 8192
"""Predicted cells of a task: what an interrupt loses."""

_LEAST_PERTURBATIONS = 32
"""Of a task: what is computed once a cell is computed once for so many, at least."""

_STEP_CELLS = 512
"""Predicted cells between two notes of the progress."""

Rows = tuple[str, int, NDArray[np.generic]]
"""Name of a matrix, its row, and what is written from there on."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Some perturbations of some cells.

    Parameters
    ----------
    cells, asked : range
    """

    cells: range
    asked: range

    def __len__(self) -> int:
        return len(self.cells) * len(self.asked)

    def steps(self) -> Iterator["Task"]:
        """The same in smaller parts."""
        return _split(self, max(1, _STEP_CELLS // len(self.asked)), _STEP_CELLS)


def tasks_of(n_cells: int, n_perturbations: int, n_genes: int, *, by_cell: bool) -> list[Task]:
    """All of a screen, cell by cell or, for a summary, perturbation by perturbation."""
    whole = Task(cells=range(n_cells), asked=range(n_perturbations))
    most = max(1, min(TASK_BYTES // (4 * n_genes), _TASK_CELLS))
    if by_cell:
        return list(_split(whole, max(1, most // n_perturbations), most))
    # Three numbers of eight bytes are kept of each gene.
    return list(_split(whole, n_cells, min(max(1, most // 6), max(_LEAST_PERTURBATIONS, _TASK_CELLS // n_cells))))


def _split(task: Task, n_cells: int, n_asked: int) -> Iterator[Task]:
    for first in range(0, len(task.cells), n_cells):
        for start in range(0, len(task.asked), n_asked):
            yield Task(cells=task.cells[first : first + n_cells], asked=task.asked[start : start + n_asked])


def rows_by_cell(
    predictor: Predictor,
    control_BG: NDArray[np.float32],
    table: PerturbationTable,
    task: Task,
    on_cells: Callable[[int], None],
) -> Iterator[Rows]:
    """Expression after, one row for each perturbation of each cell."""
    after = np.empty((len(task.cells), len(task.asked), control_BG.shape[1]), dtype=np.float32)
    for step in task.steps():
        cells = slice(step.cells.start - task.cells.start, step.cells.stop - task.cells.start)
        asked = slice(step.asked.start - task.asked.start, step.asked.stop - task.asked.start)
        after[cells, asked] = predict_each(predictor, control_BG[_slice(step.cells)], table.rows(np.array(step.asked)))
        on_cells(len(step))
    # A task has all perturbations of its cells, or is of one cell: its rows follow each other.
    yield "X", task.cells[0] * len(table) + task.asked[0], after.reshape(-1, after.shape[-1])


def rows_of_means(
    predictor: Predictor,
    control_BG: NDArray[np.float32],
    table: PerturbationTable,
    task: Task,
    on_cells: Callable[[int], None],
) -> Iterator[Rows]:
    """Mean response over all cells, its standard error and the number of cells, one row for each perturbation."""
    asked = table.rows(np.array(task.asked))
    found = Responses(len(asked), control_BG.shape[1])
    for step in _split(task, max(1, _STEP_CELLS // len(task.asked)), len(task.asked)):
        some_BG = control_BG[_slice(step.cells)]
        found.add(some_BG, predict_each(predictor, some_BG, asked))
        on_cells(len(step))
    row = task.asked[0]
    yield "X", row, found.mean
    yield "layers/standard_error", row, found.standard_error
    yield "layers/n_cells", row, found.n_cells


def _slice(of: range) -> slice:
    return slice(of.start, of.stop)
