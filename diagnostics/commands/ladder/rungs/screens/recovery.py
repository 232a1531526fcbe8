"""How well the effects of perturbations are recovered: from cells, or by a model that is asked for each."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen, in_one_group
from gpcp.core.perturbations import AppliedPerturbations
from gpcp.core.predictors import Perturbation, Predictor
from gpcp.core.random import seed_of
from simulators.twins.screens.cells import ScreenCells
from simulators.twins.screens.twin import ScreenTwin

N_DRAWS = 3
"""Draws of a twin over which recovery is averaged."""

N_UNLIMITED = 100_000
"""Cells of a draw that stands for as many as one likes."""


def agreement(found_PG: NDArray[np.floating], true_PG: NDArray[np.float64], target_PG: NDArray[np.bool_]) -> float:
    """Correlation of found and true effects over perturbations and genes that they do not target; 0 without any."""
    found, true = found_PG[~target_PG], true_PG[~target_PG]
    if len(found) < 2 or found.std() < 1e-12 or true.std() < 1e-12:
        return 0.0
    return float(((found - found.mean()) * (true - true.mean())).mean() / (found.std() * true.std()))


def responses(
    predictor: Predictor, control_BG: NDArray[np.float32], applied: AppliedPerturbations
) -> NDArray[np.float64]:
    """The mean change that a model predicts for some controls, of each row of ``applied``, (P, G)."""
    found = np.zeros((len(applied), control_BG.shape[1]))
    for row in range(len(applied)):
        same = applied.rows(np.full(len(control_BG), row))
        answer_BG = predictor.predict(control_BG, Perturbation.named(same, control_BG.shape[1]))
        found[row] = (answer_BG - control_BG).mean(axis=0, dtype=np.float64)
    return found


def recovery(screen: ScreenCells, twin: ScreenTwin) -> float:
    """Agreement of the effects that a twin's cells show with the true ones."""
    found = screen.effects()
    row_of = {label: row for row, label in enumerate(screen.applied.labels())}
    true_PG = twin.effects_on(screen.applied.rows(np.array([row_of[label] for label in found.labels])))
    return agreement(found.effect_PG, true_PG, found.target_PG | ~np.isfinite(found.error_PG))


def screen_recoveries(cells: LadderScreen, *, measured: bool, seed: int) -> dict[str, float]:
    """Recovery of the twin's effects from as many cells as there are to train on, averaged over :data:`N_DRAWS`.

    In the world's units with controls of the same context, and as was asked; or through the assay, with parts of it
    taken away.
    """
    twin, found = cells.twin, dict[str, list[float]]()
    n_cells = len(cells.split.training)
    for number in range(N_DRAWS):
        draw = seed_of(seed, "recovery", number) % 2**20
        if not measured:
            drawn = twin.latent(n_cells, seed=draw)
            found.setdefault("matched", []).append(recovery(drawn, twin))
            as_paired = in_one_group(drawn) if cells.pooled else drawn
            found.setdefault("as paired", []).append(recovery(as_paired, twin))
            continue
        assay = twin.twin.assay
        ways = {
            "assay": assay,
            "without counting noise": assay.without(counting=True),
            "without depth": assay.without(depth=True),
        }
        for name, way in ways.items():
            other = replace(twin, twin=replace(twin.twin, assay=way))
            found.setdefault(name, []).append(recovery(other.cells(n_cells, seed=draw), twin))
        if number == 0:
            found["unlimited"] = [recovery(twin.cells(max(N_UNLIMITED, n_cells), seed=draw), twin)]
    return {name: float(np.mean(values)) for name, values in found.items()}
