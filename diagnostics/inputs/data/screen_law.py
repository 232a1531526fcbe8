"""The exact answer for names alone: the mean of each perturbation and context of the world that a screen came from.

Before and after are different cells, so that beside a cell's context, which its control shares, nothing but the name
of what was done says anything of the cell after.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import CONTROL
from gpcp.opening.screens import open_screen
from gpcp.screens.h5ad_screen import H5adScreen
from gpcp.sources.subsets import OnlyGenes
from simulators.exact.bayes import BayesAnswer
from simulators.screens.conventions import DEFAULT
from simulators.screens.files import KEY, screen_anndata
from simulators.screens.simulated import SimulatedScreen

N_CELLS = 1_024
"""Fresh cells of each perturbation and context, whose mean is the answer."""

_FEWEST_CELLS, _MOST_VALUES = 128, 2**26
"""Of large screens there are fewer, so that all together have no more values."""

_SEED = 2**40
"""Of the fresh cells; files have seeds below 2^31."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NamedLaw:
    """Means of fresh cells of a world, by what was done to them and their context.

    Parameters
    ----------
    row_of : mapping of (str, str) to int
        The row of each perturbation and context.
    context_of : mapping of int to str
        The context of each cell of the file.
    mean_PG, variance_PG : float64, (P, G)
        With a row for each.
    n_P : int64, (P,)
        Fresh cells behind it.
    """

    row_of: Mapping[tuple[str, str], int]
    context_of: Mapping[int, str]
    mean_PG: NDArray[np.float64]
    variance_PG: NDArray[np.float64]
    n_P: NDArray[np.int64]

    @property
    def summary(self) -> str:
        """What the ceiling is."""
        return (
            f"the exact answer for names alone is the mean of {int(self.n_P.min()):,} fresh cells or more of each "
            f"perturbation and context of the world in uns[{KEY!r}]"
        )

    def answer(self, pairs: PairBatch) -> BayesAnswer:
        """The exact answer to pairs of the screen, and the errors of its simulation.

        Raises
        ------
        InputError
            A perturbation or context is none of the world.
        """
        applied = pairs.applied
        assert applied is not None, "pairs of a screen have perturbations by name"
        row_B = np.empty(len(pairs), dtype=np.int64)
        for place, (label, cell) in enumerate(zip(applied.labels(), pairs.after_id_B.tolist(), strict=True)):
            asked = (label, self.context_of[cell])
            if asked not in self.row_of:
                raise InputError(
                    f"the world in uns[{KEY!r}] has no perturbation {label!r} in context {asked[1]!r}: export it again"
                )
            row_B[place] = self.row_of[asked]
        error_PG = np.sqrt(self.variance_PG / self.n_P[:, None])
        return BayesAnswer(
            mean_BG=self.mean_PG[row_B], variance_BG=self.variance_PG[row_B], standard_error_BG=error_PG[row_B]
        )


def uns_of(place: str | Path) -> Mapping[str, Any]:
    """What ``uns`` of a file holds; nothing where it is of a kind without one."""
    import anndata as ad  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    anndata: Any = ad
    path = Path(place)
    if path.suffix == ".h5ad":
        held = anndata.read_h5ad(path, backed="r")
        try:
            return dict(held.uns)
        finally:
            held.file.close()
    if path.suffix == ".zarr":
        import zarr

        stored: Any = zarr
        group: Any = stored.open_group(str(path), mode="r")
        return anndata.io.read_elem(group["uns"]) if "uns" in group else {}
    return {}


def law_of(
    world: SimulatedScreen, uns: Mapping[str, Any], options: Mapping[str, Any], genes: tuple[str, ...], file: H5adScreen
) -> NamedLaw:
    """Draw fresh cells of the world, read them as the file was read, and take their means.

    Parameters
    ----------
    world : SimulatedScreen
    uns : mapping
        Of the file, which says for which tool it was written.
    options : mapping
        With which the file was opened.
    genes : tuple of str
    file : H5adScreen

    Raises
    ------
    InputError
        The fresh cells cannot be read as the file is: its columns or labels are others than those it was written with.
    """
    n_groups = len(world.perturbations) * len(world.contexts)
    n_cells = min(N_CELLS, max(_FEWEST_CELLS, _MOST_VALUES // (n_groups * len(world.vocab))))
    design = replace(world.design, cells_per_target=n_cells, n_controls=2)
    tool = str(uns[KEY].get("tool", DEFAULT))
    fresh = screen_anndata(replace(world, design=design), seed=_SEED, tool=tool)
    try:
        drawn = open_screen(fresh, **options)
        cells = OnlyGenes(drawn.rows, genes).indexed()
    except InputError as refusal:
        raise InputError(f"the world in uns[{KEY!r}] is not read as the file is: {refusal}") from refusal
    assert cells is not None, "a screen's cells are indexed"
    groups: dict[tuple[str, str], list[int]] = {}
    for row, asked in enumerate(zip(drawn.applied.labels(), drawn.context_name_N.tolist(), strict=True)):
        if asked[0] != CONTROL:
            groups.setdefault(asked, []).append(row)
    values = [cells.sparse_rows(np.array(rows)).value_BG.toarray().astype(np.float64) for rows in groups.values()]
    return NamedLaw(
        row_of={asked: place for place, asked in enumerate(groups)},
        context_of=dict(zip(file.rows.index.cell_id_B.tolist(), file.context_name_N.tolist(), strict=True)),
        mean_PG=np.stack([value_BG.mean(axis=0) for value_BG in values]),
        variance_PG=np.stack([value_BG.var(axis=0, ddof=min(1, len(value_BG) - 1)) for value_BG in values]),
        n_P=np.array([len(value_BG) for value_BG in values], dtype=np.int64),
    )
