"""Checks that the untrained model reads the perturbation: its presence, gene, size and sign.

Each row of a batch perturbs a gene of its own. Unperturbed genes are evaluated, since only they are scored.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.engine.batches import able_positions, at, invented, named, perturbed, set_before
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import Deviation, deviation, must_move
from diagnostics.checks.engine.intent import NO_DOSE
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.model.batch import ModelBatch

_REACHES = "architecture.perturbation_reaches_others"
_NO_DOSE = CheckResult(outcome="not_applicable", message=NO_DOSE)


@check(
    "GP309",
    "architecture.reads_perturbation",
    "Do the predictions change with the perturbation?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def reads_perturbation(probe: Probe) -> CheckResult:
    """One gene is perturbed or not; its own prediction counts, too."""
    if asked := _by_name(probe):
        return must_move(
            _moved(probe, asked.controls, asked.one),
            moves="predictions change with the perturbation",
            stays="the predictions are the same whatever the perturbation",
            next_step="feed applied_BA to the model: an embedding of each perturbation that reaches every query",
        )
    batch, position_B, (lo, hi) = _one_gene(probe)
    up, down = (perturbed(batch, position_B, _filled(position_B, value)) for value in (hi, lo))
    by_flag, by_dose = (_moved(probe, one, up) for one in (batch, down))
    return must_move(
        by_flag if by_flag.largest >= by_dose.largest else by_dose,
        moves="predictions change when a gene is perturbed",
        stays="the predictions are the same whatever the perturbation",
        next_step="feed perturbed_BL and target_BL to the model",
    )


@check(
    "GP310",
    _REACHES,
    "Does one gene's perturbation reach the predictions for others?",
    cause="architecture", kind="exact", needs=("model",),
)  # fmt: skip
def perturbation_reaches_others(probe: Probe) -> CheckResult:
    """One gene is perturbed or not; its own prediction, which is never scored, is left out."""
    if asked := _by_name(probe):
        return must_move(
            _moved(probe, asked.controls, asked.one, ~asked.one.perturbed_BL),
            moves="a perturbation reaches the predictions for genes that are not its target",
            stays="a perturbation never reaches the prediction for another gene, so that no effect can be learnt",
            next_step="let every query read the tokens of the perturbations",
        )
    batch, position_B, (_, hi) = _one_gene(probe)
    return must_move(
        _moved(probe, batch, perturbed(batch, position_B, _filled(position_B, hi)), ~at(batch, position_B)),
        moves="one gene's perturbation reaches the predictions for others",
        stays="one gene's perturbation never reaches the prediction for another, so that no effect can be learnt",
        next_step="let queries attend to each other (query_attention), put the perturbation into the state tokens, or "
        "prediction from all queries together; many layers that average over neighbours make all genes the same, and "
        "leave nothing of one",
    )


@check(
    "GP311",
    "architecture.reads_which",
    "Does it matter which gene is perturbed?",
    cause="bug", kind="exact", needs=("model",), explained_by=(_REACHES,),
)  # fmt: skip
def reads_which(probe: Probe) -> CheckResult:
    """One gene is perturbed or another of the same expression and target; predictions for third genes are compared."""
    if asked := _by_name(probe):
        if asked.other is None:
            return CheckResult(outcome="not_applicable", message="the screen has one perturbation")
        return must_move(
            _moved(probe, asked.one, asked.other, ~(asked.one.perturbed_BL | asked.other.perturbed_BL)),
            moves="it matters which perturbation it is",
            stays="the predictions are the same whichever perturbation it is",
            next_step="give each perturbation an embedding of its own, and look whether it is lost on the way",
        )
    batch, position_B, (lo, hi) = _one_gene(probe)
    n_positions = batch.before_BL.shape[1]
    if n_positions < 3:
        return CheckResult(
            outcome="not_applicable", message="it takes three genes: two to perturb and a third to predict"
        )
    able = able_positions(probe, batch)
    if len(able) < 2:
        return CheckResult(outcome="not_applicable", message="one gene alone can be perturbed")
    at_B = np.searchsorted(able, position_B)
    other_B = able[(at_B + 1 + probe.rng("another gene").integers(len(able) - 1, size=len(at_B))) % len(able)]
    both_BL = at(batch, position_B) | at(batch, other_B)
    batch = set_before(batch, both_BL, lo)
    one, other = (perturbed(batch, where_B, _filled(where_B, hi)) for where_B in (position_B, other_B))
    return must_move(
        _moved(probe, one, other, ~both_BL),
        moves="it matters which gene is perturbed",
        stays="the predictions are the same whichever gene is perturbed",
        next_step="give each query the identity of its gene, and look whether it is lost on the way",
    )


@check(
    "GP312",
    "architecture.reads_dose",
    "Does it matter how far a gene is perturbed?",
    cause="bug", kind="exact", needs=("model",), explained_by=(_REACHES,),
)  # fmt: skip
def reads_dose(probe: Probe) -> CheckResult:
    """The same gene set half the way and the whole way up."""
    if probe.subject.intent.given == "identity":
        return _NO_DOSE
    batch, position_B, (lo, hi) = _one_gene(probe)
    batch = set_before(batch, at(batch, position_B), lo)
    half, whole = (perturbed(batch, position_B, _filled(position_B, target)) for target in ((lo + hi) / 2, hi))
    return must_move(
        _moved(probe, half, whole, ~at(batch, position_B)),
        moves="it matters how far a gene is perturbed",
        stays="the predictions are the same however far a gene is perturbed",
        next_step="feed target_BL, or its difference from before_BL, and not the flag perturbed_BL alone; if it is, "
        "look for what erases it on its way: a norm over that one number (LayerNorm(1) is always 0), a sign, a clamp",
    )


@check(
    "GP313",
    "architecture.reads_sign",
    "Does it matter whether a gene is perturbed up or down?",
    cause="bug", kind="exact", needs=("model",), explained_by=(_REACHES, "architecture.reads_dose"),
)  # fmt: skip
def reads_sign(probe: Probe) -> CheckResult:
    """The same gene set up or down from the middle by as much."""
    if probe.subject.intent.given == "identity":
        return _NO_DOSE
    batch, position_B, (lo, hi) = _one_gene(probe)
    batch = set_before(batch, at(batch, position_B), (lo + hi) / 2)
    down, up = (perturbed(batch, position_B, _filled(position_B, target)) for target in (lo, hi))
    return must_move(
        _moved(probe, down, up, ~at(batch, position_B)),
        moves="it matters whether a gene is perturbed up or down",
        stays="the predictions are the same whether a gene is perturbed up or down by as much",
        next_step="look for an absolute value, a square or a squared distance of the change",
    )


def _moved(probe: Probe, one: ModelBatch, other: ModelBatch, where_BL: Tensor | None = None) -> Deviation:
    """How far predictions change from one batch to another, at some positions or everywhere."""
    return probe.most_moved(lambda model: deviation(probe.answer(one, model), probe.answer(other, model), where_BL))


def _one_gene(probe: Probe) -> tuple[ModelBatch, NDArray[np.int64], tuple[float, float]]:
    """Cells without a perturbed gene, a position in each, and the least and greatest value."""
    batch = invented(probe, "one told gene")
    able = able_positions(probe, batch)
    position_B = able[probe.rng("one told gene").integers(len(able), size=len(batch))]
    return batch, position_B, probe.value_range


def _filled(position_B: NDArray[np.int64], value: float) -> NDArray[np.float64]:
    return np.full(len(position_B), value)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _ByName:
    """The same cells as controls, with one perturbation of a screen, and with another, if there are two."""

    controls: ModelBatch
    one: ModelBatch
    other: ModelBatch | None


def _by_name(probe: Probe) -> _ByName | None:
    """None where values at genes are given."""
    names = probe.subject.perturbations
    if names is None:
        return None
    controls, rng = invented(probe, "one told gene"), probe.rng("perturbations by name")
    token_BA = rng.integers(len(names), size=(len(controls), 1))
    other = None
    if len(names) > 1:
        other = named(controls, names, (token_BA + rng.integers(1, len(names), size=token_BA.shape)) % len(names))
    return _ByName(controls=controls, one=named(controls, names, token_BA), other=other)
