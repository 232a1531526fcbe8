"""Cells to which nothing was done, from any source: the controls of a screen, or all cells of other sources."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.opening.cells import open_cells, scheme_and_place, shown_as
from gpcp.opening.screens import open_screen
from gpcp.panels.panel_file import read_genes
from gpcp.sources.subsets import OnlyCells

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so


def untreated_cells(
    text: "str | Path | AnnData", *, genes: Sequence[str] | str | None = None, **options: Any
) -> tuple[CellSource, str]:
    """The cells that a known effect can be planted into, and what they are.

    Parameters
    ----------
    text : str, Path or AnnData
        As :func:`gpcp.opening.cells.open_cells` takes it; ``screen:FILE`` for a screen, of which controls are read.
    genes : sequence of str, or str, optional
        Ids, or a file of them.
    **options
        Of the source.

    Raises
    ------
    InputError
        As the source, or the screen has no control.
    """
    scheme, place = scheme_and_place(str(text)) if isinstance(text, (str, Path)) else ("h5ad", "")
    if scheme != "screen":
        cells = open_cells(text, genes=genes, **options)
        return cells, f"all cells of {shown_as(text)}"
    chosen = read_genes(genes) if isinstance(genes, str) else genes
    screen = open_screen(place, genes=chosen, **options)
    control_N = screen.rows.index.cell_id_B[screen.applied.is_control_B]
    if len(control_N) < 2:
        raise InputError(f"{text} has {len(control_N)} control cells: at least 2 are needed; name them with --control")
    return OnlyCells(screen.cells, control_N), f"the {len(control_N):,} controls of {shown_as(text)}"
