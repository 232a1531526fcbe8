"""What the untrained model makes of the perturbation: that there is one, of which gene, how large, which way.

Dimension key: ``B`` pairs, ``L`` state tokens.

Each row of a batch tells a gene of its own. Genes that are not told are asked, since only they are scored.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.engine.batches import at, invented, perturbed, set_before
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import Deviation, deviation, must_move
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import Finding
from gpcp.model.batch import ModelBatch

_REACHES = "architecture.perturbation_reaches_others"


@check(
    "architecture.reads_perturbation",
    "Do the answers move with what is told of the change?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def reads_perturbation(probe: Probe) -> Finding:
    """One gene is told or not; its own answer counts, too."""
    batch, place_B, (lo, hi) = _one_gene(probe)
    up, down = (perturbed(batch, place_B, _filled(place_B, value)) for value in (hi, lo))
    by_flag, by_dose = (_moved(probe, one, up) for one in (batch, down))
    return must_move(
        by_flag if by_flag.largest >= by_dose.largest else by_dose,
        moves="answers move when a gene is told",
        stays="the answers are the same whatever is told of the perturbation",
        next_step="feed perturbed_BL and target_BL to the model",
    )


@check(
    _REACHES,
    "Does what is told of one gene reach the answers for others?",
    cause="architecture", kind="exact", needs=("model",),
)  # fmt: skip
def perturbation_reaches_others(probe: Probe) -> Finding:
    """One gene is told or not; its own answer, which is never scored, is left out."""
    batch, place_B, (_, hi) = _one_gene(probe)
    return must_move(
        _moved(probe, batch, perturbed(batch, place_B, _filled(place_B, hi)), ~at(batch, place_B)),
        moves="what is told of one gene reaches the answers for others",
        stays="what is told of one gene never reaches the answer for another, so that no effect can be learnt",
        next_step="let queries attend to each other (query_attention), put what is told into the state tokens, or "
        "answer from all queries together",
    )


@check(
    "architecture.reads_which",
    "Does it matter which gene is perturbed?",
    cause="bug", kind="exact", needs=("model",), explained_by=(_REACHES,),
)  # fmt: skip
def reads_which(probe: Probe) -> Finding:
    """One gene is told or another of the same expression and target; answers for third genes are held together."""
    batch, place_B, (lo, hi) = _one_gene(probe)
    n_places = batch.before_BL.shape[1]
    if n_places < 3:
        return Finding(outcome="not_applicable", message="it takes three genes to tell one or another and ask a third")
    other_B = (place_B + 1 + probe.rng("another gene").integers(n_places - 1, size=len(place_B))) % n_places
    both_BL = at(batch, place_B) | at(batch, other_B)
    batch = set_before(batch, both_BL, lo)
    one, other = (perturbed(batch, where_B, _filled(where_B, hi)) for where_B in (place_B, other_B))
    return must_move(
        _moved(probe, one, other, ~both_BL),
        moves="it matters which gene is perturbed",
        stays="the answers are the same whichever gene is perturbed",
        next_step="give each query the identity of its gene, and look whether it is lost on the way",
    )


@check(
    "architecture.reads_dose",
    "Does it matter how far a gene is perturbed?",
    cause="bug", kind="exact", needs=("model",), explained_by=(_REACHES,),
)  # fmt: skip
def reads_dose(probe: Probe) -> Finding:
    """The same gene told to go half the way and the whole way up."""
    batch, place_B, (lo, hi) = _one_gene(probe)
    batch = set_before(batch, at(batch, place_B), lo)
    half, whole = (perturbed(batch, place_B, _filled(place_B, target)) for target in ((lo + hi) / 2, hi))
    return must_move(
        _moved(probe, half, whole, ~at(batch, place_B)),
        moves="it matters how far a gene is perturbed",
        stays="the answers are the same however far a gene is perturbed",
        next_step="feed target_BL, or its difference from before_BL, and not the flag perturbed_BL alone",
    )


@check(
    "architecture.reads_sign",
    "Does it matter whether a gene is perturbed up or down?",
    cause="bug", kind="exact", needs=("model",), explained_by=(_REACHES, "architecture.reads_dose"),
)  # fmt: skip
def reads_sign(probe: Probe) -> Finding:
    """The same gene told to go up or down from the middle by as much."""
    batch, place_B, (lo, hi) = _one_gene(probe)
    batch = set_before(batch, at(batch, place_B), (lo + hi) / 2)
    down, up = (perturbed(batch, place_B, _filled(place_B, target)) for target in (lo, hi))
    return must_move(
        _moved(probe, down, up, ~at(batch, place_B)),
        moves="it matters whether a gene is perturbed up or down",
        stays="the answers are the same whether a gene is perturbed up or down by as much",
        next_step="look for an absolute value, a square or a squared distance of the change",
    )


def _moved(probe: Probe, one: ModelBatch, other: ModelBatch, where_BL: Tensor | None = None) -> Deviation:
    """How far answers move from one question to another, at some places or everywhere."""
    return probe.most_moved(lambda model: deviation(probe.answer(one, model), probe.answer(other, model), where_BL))


def _one_gene(probe: Probe) -> tuple[ModelBatch, NDArray[np.int64], tuple[float, float]]:
    """Cells of which nothing is told yet, a place of each, and the least and greatest value."""
    batch = invented(probe, "one told gene")
    place_B = probe.rng("one told gene").integers(batch.before_BL.shape[1], size=len(batch))
    return batch, place_B, probe.value_range


def _filled(place_B: NDArray[np.int64], value: float) -> NDArray[np.float64]:
    return np.full(len(place_B), value)
