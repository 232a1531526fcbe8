"""The experiment that is planned: what is tested, at which effects and numbers of cells."""

from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np

from gpcp.core.errors import InputError, nearest

Direction = Literal["down", "up"]
DIRECTIONS: tuple[str, ...] = get_args(Direction)

EFFECTS = (0.1, 0.15, 0.2, 0.27, 0.36, 0.5, 0.65, 0.85, 1.1, 1.5, 2.0, 3.0)
"""Sizes of effects: natural logarithms of fold changes."""

CELLS = (10, 20, 40, 80, 160, 320, 640, 1280)
"""Cells of a perturbation."""

EXPRESSED_BINS = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Bounds of the classes of genes by the share of cells that express them."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PowerDesign:
    """A differential expression experiment, perturbation against controls.

    Parameters
    ----------
    effect : float
        The effect wanted, the size of a natural-logarithmic fold change.
    cells : int
        The cells of a perturbation at which limits of detection are given.
    controls : int or None
        Control cells; None for as many as the pilot has.
    direction : {"down", "up"}
        Whether affected genes fall or rise.
    power : float
        Share of the affected genes that are to be found.
    fdr : float
        At which Benjamini and Hochberg's procedure is run over the genes of a perturbation.
    affected : float
        Share of the genes that a perturbation affects.
    expressed : float
        Genes that a smaller share of the pilot's cells express are tested by nobody.
    effects, n_cells : tuple
        The grid on which power is measured; ``effect`` and ``cells`` are added to it.
    n_resamplings : int
        Bootstrap samples of the pilot, for the intervals.
    n_draws : int
        Experiments of each number of cells that are drawn from the pilot.
    level : float
        Of the intervals.

    Raises
    ------
    InputError
        A number lies outside its range.
    """

    effect: float = 0.5
    cells: int = 100
    controls: int | None = None
    direction: Direction = "down"
    power: float = 0.8
    fdr: float = 0.05
    affected: float = 0.1
    expressed: float = 0.05
    effects: tuple[float, ...] = EFFECTS
    n_cells: tuple[int, ...] = CELLS
    n_resamplings: int = 100
    n_draws: int = 360
    level: float = 0.9

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise InputError(f"direction is {self.direction!r}; {nearest(self.direction, DIRECTIONS)}")
        for name in ("power", "fdr", "affected", "level"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name):g}: it must lie between 0 and 1")
        if not 0 <= self.expressed < 1:
            raise InputError(f"expressed is {self.expressed:g}: it must lie in 0 .. 1")
        for name, values in (("effect", (self.effect,)), ("effects", self.effects)):
            if not values or not all(0 < one <= 10 for one in values):
                raise InputError(f"{name} is {values}: sizes of log fold changes above 0 and up to 10 are needed")
        for name, counts in (("cells", (self.cells,)), ("n_cells", self.n_cells)):
            if not counts or min(counts) < 3:
                raise InputError(f"{name} is {counts}: a test needs at least 3 cells")
        if self.controls is not None and self.controls < 3:
            raise InputError(f"controls is {self.controls}: a test needs at least 3 cells")
        for name, fewest in (("n_resamplings", 10), ("n_draws", 24)):
            if getattr(self, name) < fewest:
                raise InputError(f"{name} is {getattr(self, name)}: at least {fewest} are needed")

    @property
    def effect_grid(self) -> tuple[float, ...]:
        """All effects that are looked at, rising."""
        return tuple(sorted({*self.effects, self.effect}))

    @property
    def cells_grid(self) -> tuple[int, ...]:
        """All numbers of cells that are looked at, rising."""
        return tuple(sorted({*self.n_cells, self.cells}))


def signed(effect: float, direction: Direction) -> float:
    """The natural-logarithmic fold change of an effect of a size."""
    return -effect if direction == "down" else effect


def percent(effect: float, direction: Direction) -> str:
    """An effect as people say it: ``-39 %``."""
    return f"{100 * np.expm1(signed(effect, direction)):+.0f} %"
