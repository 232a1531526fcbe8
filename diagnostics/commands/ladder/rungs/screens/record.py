"""``screen_record``: the figures of one rung of a screen."""

from typing import Any

import numpy as np

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.exact import N_PAIRS, checked_on
from diagnostics.commands.ladder.rungs.learner import OnStep
from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen
from diagnostics.commands.ladder.rungs.screens.known import named_pairs, named_rung
from diagnostics.commands.ladder.rungs.screens.matched import screen_rung
from diagnostics.commands.ladder.rungs.screens.recovery import screen_recoveries
from diagnostics.commands.ladder.rungs.screens.spiked import spiked_screen_rung
from diagnostics.inputs.models import Model
from simulators.twins.screens.fidelity import screen_fidelity


def screen_record(
    cells: LadderScreen, rung: str, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Carry out one rung; its figures."""
    return {"screen": True, **_record(cells, rung, model, budget, seed=seed, on_step=on_step)}


def _record(
    cells: LadderScreen, rung: str, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None
) -> dict[str, Any]:
    applied = cells.real.applied
    if rung == "twin":
        table = screen_fidelity(cells.real, cells.twin.cells(seed=seed), seed=seed)
        return {"facts": {**table.to_json(), "settings": cells.twin.to_json()}}
    if rung == "exact":
        pairs = named_pairs(cells.vocab, applied, same_noise=True, n_pairs=N_PAIRS, seed=seed)
        return checked_on(pairs, model, budget, seed=seed)
    if rung in ("counterfactual", "interventional"):
        return named_rung(rung, cells.vocab, applied, model, budget, seed=seed, on_step=on_step)
    if rung == "spike-in":
        return spiked_screen_rung(cells, model, budget, seed=seed, on_step=on_step)
    record = screen_rung(rung, cells, model, budget, seed=seed, on_step=on_step)
    if rung == "real":
        return record
    facts = record["facts"]
    unmeasured = screen_recoveries(cells, measured=False, seed=seed)
    found = unmeasured if rung == "pairing" else screen_recoveries(cells, measured=True, seed=seed)
    facts |= {
        "depth_share": float(np.median(cells.twin.twin.assay.depth_loading_G**2)),
        "recovery": found,
        "unmeasured_recovery": unmeasured["matched"],
    }
    return record | {
        "recovery": found["as paired" if rung == "pairing" else "assay"],
        "recovery_baseline": 0.0,
        "recovery_ceiling": unmeasured["matched"] if rung == "assay" else 1.0,
    }
