"""What the tools ask of a file, as properties of a screen: columns, labels, values and controls by cell type."""

from typing import Any

import numpy as np

from diagnostics.audit.screens.check import listed
from diagnostics.audit.screens.screen import Screen
from diagnostics.audit.screens.tools.note import ToolNote, fine, silent, stops


def labels_in(screen: Screen, column: str) -> list[str]:
    """The labels of a column, those of cells without one left out."""
    return sorted({str(value) for value in screen.obs[column].dropna().unique()})


def n_missing(screen: Screen, column: str) -> int:
    """Cells without a label in a column."""
    return int(screen.obs[column].isna().sum())


def is_categorical(screen: Screen, column: str) -> bool:
    """Whether a column is stored as categories and codes."""
    values: Any = screen.obs[column]
    return str(values.dtype) == "category"


def counted(screen: Screen) -> bool:
    """Whether the values are whole counts."""
    return screen.look.kind in ("counts", "binary")


def logged(screen: Screen) -> bool:
    """Whether the values are logarithms."""
    return screen.look.kind == "log"


def types_without(screen: Screen, column: str, is_control: "np.ndarray[Any, np.dtype[np.bool_]]") -> list[str]:
    """The values of a column of which no cell is a control."""
    value_N = screen.obs[column].astype("string").fillna("").to_numpy().astype(str)
    return sorted(set(value_N.tolist()) - set(value_N[is_control].tolist()))


def wants_logs(screen: Screen, tool: str) -> ToolNote:
    """A tool that takes log-normalised values."""
    if logged(screen):
        return fine("X holds log values, as it expects")
    return silent(f"X holds {screen.look.kind} values: {tool} takes them for log-normalised ones, and does not ask")


def missing_note(screen: Screen, column: str, what: str) -> list[ToolNote]:
    """What happens to cells without a label."""
    n = n_missing(screen, column)
    return [silent(f"{n:,} cells have no label in {column!r}: {what}")] if n else []


def several_controls(screen: Screen, column: str, tool: str) -> list[ToolNote]:
    """Of several labels that mean control, a tool takes one."""
    if column != screen.columns.perturbation or len(screen.columns.controls) < 2:
        return []
    first, *others = screen.columns.controls
    return [
        silent(f"{tool} takes one label for control ({first!r}); {listed(others)} are perturbations of their own to it")
    ]


def column_or_stop(screen: Screen, column: str, text: str) -> list[ToolNote]:
    """A column that has to be there."""
    if column in screen.obs.columns:
        return []
    return [stops(f"there is no column {column!r} in obs: {text}")]
