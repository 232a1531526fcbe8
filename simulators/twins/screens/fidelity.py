"""``screen_fidelity``: how close a twin's screen comes to the real one, in its cells, effects, guides and design."""

from dataclasses import replace

import numpy as np

from simulators.twins.fidelity import Fidelity, FidelityRow, fidelity, ks
from simulators.twins.screens.cells import ScreenCells
from simulators.twins.screens.effects import Effects
from simulators.twins.screens.guides import efficiency_of


def screen_fidelity(real: ScreenCells, twin: ScreenCells, *, seed: int = 0) -> Fidelity:
    """Compare the cells of a screen with those of a twin: the table of cells, with their groups as types, and more.

    Parameters
    ----------
    real, twin : ScreenCells
        Of the same genes and perturbations.
    seed : int
        Of the cells that are classified, and of halves.
    """
    cells = [replace(one.cells, covariates={"cell_type": one.group_B}) for one in (real, twin)]
    of_cells = fidelity(*cells, seed=seed)
    sides = [one.effects() for one in (real, twin)]
    rows = [
        _samples("effects", "KS over perturbations and genes", *(_others(side) for side in sides)),
        _samples("effect sizes", "KS over perturbations", *(side.size_P for side in sides)),
        _samples("effects on targets", "KS over targets", *(side.effect_PG[side.target_PG] for side in sides)),
        _samples("cells of a perturbation", "KS over perturbations", *(side.n_P.astype(np.float64) for side in sides)),
        _numbers("controls", "difference of shares", *(float(one.applied.is_control_B.mean()) for one in (real, twin))),
        _numbers(
            "escaped cells",
            "difference of shares",
            *(
                efficiency_of(one.standard_BG(), side, one.guide_B, seed=seed).escaped
                for one, side in zip((real, twin), sides, strict=True)
            ),
        ),
    ]
    renamed = [replace(row, property="contexts") if row.property == "cell types" else row for row in of_cells.rows]
    return Fidelity(rows=(*renamed, *rows), auc=of_cells.auc)


def _others(side: Effects) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Effects on genes that are not perturbed themselves."""
    return side.effect_PG[np.isfinite(side.error_PG) & ~side.target_PG]


def _samples(
    name: str,
    measure: str,
    real: np.ndarray[tuple[int], np.dtype[np.float64]],
    twin: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> FidelityRow:
    middle = [float(np.median(np.abs(one))) if len(one) else 0.0 for one in (real, twin)]
    return FidelityRow(property=name, distance=ks(real, twin), measure=measure, real=middle[0], twin=middle[1])


def _numbers(name: str, measure: str, real: float, twin: float) -> FidelityRow:
    return FidelityRow(property=name, distance=abs(real - twin), measure=measure, real=real, twin=twin)
