"""What the figures of a screen's rungs mean: the same thresholds as of cells, and effects in the place of a graph."""

from collections.abc import Mapping
from typing import Any

from diagnostics.commands.ladder.rungs.results import RungResult, measured_result, result_of
from diagnostics.commands.ladder.rungs.thresholds import (
    CLEAR_SIGNAL,
    LEAST_RECOVERY,
    PAIRING_LOSS,
)

CLEAR_GAIN = 2.0
"""Standard errors by which a model's loss must lie below the baseline's to be lower."""


_CONTEXTS = "; or cells of one context at a time: a model sees the context through the cell before alone"


def judged_pairing(record: Mapping[str, Any]) -> RungResult:
    """Whether so many cells show effects of this size, paired like this."""
    facts = record["facts"]
    matched, paired, n = facts["recovery"]["matched"], facts["recovery"]["as paired"], facts["n_cells"]
    if matched < LEAST_RECOVERY:
        return result_of(
            record,
            f"the effects that {n} cells show agree with the true ones to {matched:.2f} though nothing is lost in "
            "measuring them",
            cause="too little data",
            next_step="more cells of each perturbation and more controls: gpcp power gives their number",
        )
    if paired < matched * (1 - PAIRING_LOSS):
        return result_of(
            record,
            f"beside controls of any context effects agree with the true ones to {paired:.2f}, and to {matched:.2f} "
            "beside controls of the same one",
            cause="pairing",
            next_step="pair controls of the same batch, donor and cell type: leave --match-on out",
        )
    return result_of(record, f"{n} simulated cells, paired as the real ones, show effects that agree to {paired:.2f}")


def judged_assay(record: Mapping[str, Any]) -> RungResult:
    """What measuring costs."""
    after, before = record["facts"]["recovery"]["assay"], record["facts"]["unmeasured_recovery"]
    return measured_result(
        record,
        f"measured as the real cells are, effects agree with the true ones to {after:.2f}, before to {before:.2f}",
        next_step="deeper sequencing, genes that are expressed more, more cells of each perturbation, or stronger "
        "guides; with --all the rungs of real cells show what is learnt all the same",
    )


def judged_spiked(record: Mapping[str, Any]) -> RungResult:
    """Never a failure: how small an effect these cells can show is what ``gpcp power`` measures."""
    facts = record["facts"]
    return result_of(
        record,
        f"of {facts['n_targets']} knockdowns planted into half of the controls, differences of means agree with the "
        f"true effects to {record['recovery']:.2f}, and the model comes {_number(record['skill'])} of the way to "
        "their means",
    )


def judged_real(record: Mapping[str, Any]) -> RungResult:
    """Whether the real effects are seen, learnt, and carried over to what is held out."""
    facts, seen, unseen = record["facts"], record["facts"]["seen"], record["facts"]["unseen"]
    if facts["signal_z"] < CLEAR_SIGNAL:
        return result_of(
            record,
            f"perturbed cells differ from controls no more than under shuffled labels ({facts['signal_z']:.1f} "
            "standard deviations of chance), though effects of a usual size would show",
            cause="no signal",
            next_step="whether guides acted: gpcp check-screen; other genes, stronger perturbations or another state",
        )
    shown = _shown(seen)
    if max(seen["z"], seen["linear_z"] or 0.0) < CLEAR_GAIN:
        return result_of(
            record,
            f"effects exceed chance, but held-out cells of the same perturbations are predicted no better than by the "
            f"mean of their context, by model or ridge ({shown})",
            cause="too little data",
            next_step="more cells of each perturbation: gpcp power gives their number"
            + (_CONTEXTS if facts["n_contexts"] > 1 else ""),
        )
    if unseen is None:
        return result_of(record, f"held-out cells of the same perturbations: {shown}")
    what, n = facts["by"], len(facts["held_out"])
    of_unseen = f"{n} held-out {what}{'s' if n > 1 else ''}: {_shown(unseen)}"
    if unseen["z"] >= CLEAR_GAIN:
        return result_of(record, f"{of_unseen}; held-out cells of the same perturbations: {shown}")
    return result_of(
        record,
        f"{of_unseen}: no better than the mean of their context, while held-out cells of the same perturbations are "
        f"predicted ({shown})",
        cause="too little data",
        next_step=f"ready for more cells of these perturbations (--hold-out-by cells); for a new {what} there are too "
        f"few: {facts['n_perturbations']} perturbations show what each does, not what another will do",
    )


def _shown(judged: Mapping[str, Any]) -> str:
    linear = "" if judged["linear_z"] is None else f", ridge {_side(judged['linear_z'])}"
    return f"skill {_number(judged['skill'])}, loss {_side(judged['z'])} the baseline{linear}"


def _side(z: float) -> str:
    return f"{abs(z):.1f} standard errors {'below' if z >= 0 else 'above'}"


def _number(skill: float | None) -> str:
    return "none" if skill is None else f"{skill:.2f}"
