"""The data of a source, opened once for all rungs: cells that are matched, or a screen."""

from functools import lru_cache
from typing import Any

from diagnostics.commands.ladder.rungs.cells import LadderCells, ladder_cells
from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen, ladder_screen
from gpcp.core.cells import CellSource
from gpcp.screens.h5ad_screen import H5adScreen

Data = LadderCells | LadderScreen


def opened(source: CellSource | H5adScreen | str, **asked: Any) -> Data:
    """Cells or a screen, as :func:`ladder_cells` and :func:`ladder_screen` read them.

    Raises
    ------
    InputError
        As there.
    """
    if isinstance(source, H5adScreen) or (isinstance(source, str) and source.startswith("screen:")):
        return ladder_screen(source, **asked)
    return ladder_cells(source, **asked)


@lru_cache(maxsize=2)
def cells_of(
    source: str,
    options: tuple[tuple[str, Any], ...],
    stamp: str,
    genes: str | None,
    n_genes: int,
    match_on: tuple[str, ...] | None,
    n_perturbed: tuple[int, int] | None,
    seed: int,
) -> Data:
    """:func:`opened` of a named source, kept for the rungs that follow; another ``stamp`` is another source."""
    del stamp
    return opened(
        source, genes=genes, n_genes=n_genes, match_on=match_on, n_perturbed=n_perturbed, seed=seed, **dict(options)
    )
