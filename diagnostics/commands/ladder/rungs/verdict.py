"""What each rung's figures mean: whether it stands, and what to blame where it does not."""

from collections.abc import Mapping, Sequence
from typing import Any

from diagnostics.commands.ladder.rungs.results import Cause, RungResult, measured_result, result_of
from diagnostics.commands.ladder.rungs.screens import verdict as screens
from diagnostics.commands.ladder.rungs.thresholds import (
    CLEAR_SIGNAL,
    LEAST_GAIN,
    LEAST_RECOVERY,
    LEAST_SKILL,
    PAIRING_LOSS,
    RATE_GAIN,
    RATE_SKILL,
)

_OF_SCREENS = {
    "pairing": screens.judged_pairing,
    "assay": screens.judged_assay,
    "spike-in": screens.judged_spiked,
    "real": screens.judged_real,
}


def judged(record: Mapping[str, Any], rates: Sequence[Mapping[str, Any]] = ()) -> RungResult:
    """Judge one rung.

    Parameters
    ----------
    record : mapping
    rates : sequence of mapping
        Records of the same rung at other learning rates, where it failed at the first.
    """
    rung = str(record["rung"])
    if record.get("screen"):
        judge = _OF_SCREENS.get(rung)
        if judge is not None:
            return judge(record)
    judge = {"exact": _exact, "pairing": _pairing, "assay": _assay, "real": _real, "spike-in": _spiked}.get(rung)
    if judge is not None:
        return judge(record)
    return _known(record, rates)


def needs_rates(record: Mapping[str, Any]) -> bool:
    """Whether other learning rates are to be tried before the rung is judged."""
    rung = str(record["rung"])
    return rung in LEAST_SKILL and not _learnt(record)


def _learnt(record: Mapping[str, Any]) -> bool:
    skill = record["skill"]
    return skill is not None and skill >= LEAST_SKILL[str(record["rung"])]


_RATE_CHECKS = ("optimiser.learning_rate", "optimiser.step_sizes")


def _exact(record: Mapping[str, Any]) -> RungResult:
    facts = record["facts"]
    if facts["failed"] is None:
        return result_of(record, f"{facts['n_passed']} exact checks pass")
    name = f"{facts['failed']} ({facts['code']})"
    of: dict[str, Cause] = {"architecture": "architecture"}
    cause: Cause = "learning rate" if facts["failed"] in _RATE_CHECKS else of.get(facts["cause"], "bug")
    return result_of(record, f"{name}: {facts['message']}", cause=cause, next_step=facts["next_step"])


def _known(record: Mapping[str, Any], rates: Sequence[Mapping[str, Any]]) -> RungResult:
    rung, skill = str(record["rung"]), record["skill"]
    shown = "no number" if skill is None else f"{skill:.2f}"
    if _learnt(record):
        return result_of(record, f"skill {shown} on {rung} pairs of a known world")
    tried = [one for one in rates if one["skill"] is not None]
    best = max(tried, key=lambda one: one["skill"], default=None)
    message = f"skill {shown} on {rung} pairs of a known world, where {LEAST_SKILL[rung]:g} and more is usual"
    gained = -1.0 if best is None else best["skill"] - max(skill or 0.0, 0.0)
    if best is not None and (_learnt(best) or (gained >= RATE_GAIN and best["skill"] >= RATE_SKILL)):
        return result_of(
            record,
            f"{message}; {best['skill']:.2f} with the learning rate times {best['factor']:g}",
            cause="learning rate",
            next_step=f"multiply the learning rate by {best['factor']:g}, or let gpcp sweep find it",
        )
    tail = "" if best is None else f"; at other learning rates {best['skill']:.2f} at best"
    return result_of(
        record,
        message + tail,
        cause="architecture",
        next_step="no rate helps: gpcp diagnose shows which path is missing, gpcp compare which parts learn; or train "
        "longer, with --steps",
    )


def _pairing(record: Mapping[str, Any]) -> RungResult:
    facts = record["facts"]
    matched, paired, n = facts["recovery"]["matched"], facts["recovery"]["as paired"], facts["n_cells"]
    if matched < LEAST_RECOVERY:
        return result_of(
            record,
            f"{n} cells recover {matched:.2f} of a graph of this strength though nothing is lost in measuring them",
            cause="too little data",
            next_step="more cells, fewer genes, or perturbations; gpcp learning-curve shows what more would bring",
        )
    if paired < matched * (1 - PAIRING_LOSS):
        return result_of(
            record,
            f"as these cells are paired {paired:.2f} of the graph is recovered, and {matched:.2f} where both cells "
            "of a pair are of one type",
            cause="pairing",
            next_step="pair cells of one type: --match-on cell_type, with --cell-type-key or clusters",
        )
    return result_of(record, f"{n} simulated cells, paired as the real ones, recover {paired:.2f} of the graph")


def _assay(record: Mapping[str, Any]) -> RungResult:
    after, before = record["facts"]["recovery"]["assay"], record["facts"]["unmeasured_recovery"]
    return measured_result(
        record,
        f"measured as the real cells are, {after:.2f} of the graph is recovered, before {before:.2f}",
        next_step="deeper sequencing, genes that are expressed more, or sums of similar cells; this is about the "
        "graph: what can be predicted all the same is on the rungs of real cells, with --all",
    )


def _spiked(record: Mapping[str, Any]) -> RungResult:
    """Never a failure: how small an effect these cells can show is what ``gpcp power`` measures."""
    low, high = record["facts"]["dose"]
    learnt = "no share" if record["skill"] is None else f"{record['skill']:.2f}"
    return result_of(
        record,
        f"of a graph planted into the real cells, with changes of {low:g} to {high:g} units, a regression finds "
        f"{record['recovery']:.2f}, and the model comes {learnt} of the way to who knows it",
    )


def _real(record: Mapping[str, Any]) -> RungResult:
    facts, skill = record["facts"], record["skill"]
    z, baseline = facts["signal_z"], record["baseline"]
    gain = (baseline - min(record["loss"], facts["linear_loss"])) / baseline
    if z < CLEAR_SIGNAL or gain < LEAST_GAIN:
        return result_of(
            record,
            f"neither the model nor the best linear predictor takes {LEAST_GAIN:.0%} off the baseline's loss "
            f"({gain:.1%}; correlations within types {z:.1f} standard errors above chance), though this many cells, "
            "measured like this, would show a usual graph",
            cause="no signal",
            next_step="other genes or other cells: within a type nothing can be learnt from these",
        )
    shown = "none" if skill is None else f"{skill:.2f}"
    return result_of(
        record, f"skill {shown} of the way to the best linear predictor of the same cells, {gain:.0%} off the baseline"
    )
