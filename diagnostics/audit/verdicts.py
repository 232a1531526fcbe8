"""The audit's findings as lines of text, the largest first, and one verdict.

The thresholds are fixed here, before any data; ``--help`` states them.
"""

from dataclasses import dataclass
from typing import final

from diagnostics.audit.audit import PanelAudit
from diagnostics.audit.decomposition import CHANGE, CONTEXTS, DEPTH, FREE, REGRESSION, REMAINS
from gpcp.core.intervals import Interval

UNMEASURED_THRESHOLD = 0.20
NEITHER_THRESHOLD = 0.50
NOISE_THRESHOLD = 0.30
CONTEXT_THRESHOLD = 0.05
DEPTH_THRESHOLD = 0.05
LITTLE = 0.05
"""A gain that is surely below this share of the loss is little."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the verdict.

    Parameters
    ----------
    share : float
        How much of the loss, or of the squared change, it is about: lines are ranked by it.
    summary, next_step : str
    """

    share: float
    summary: str
    next_step: str = ""


def thresholds_text() -> str:
    """What makes a line, for ``--help``."""
    return (
        "a line is printed where the interval's lower end is above\n"
        f"  entries not measured in both cells   {UNMEASURED_THRESHOLD:.0%} of all entries\n"
        f"  entries expressed in neither cell    {NEITHER_THRESHOLD:.0%} of the scored ones\n"
        f"  counting noise                       {NOISE_THRESHOLD:.0%} of the squared change\n"
        f"  a context that the pair differs in   {CONTEXT_THRESHOLD:.0%} of it (cell type, dataset, ...)\n"
        f"  depth                                {DEPTH_THRESHOLD:.0%} of it\n"
        "nothing can be learnt (exit code 1) where the perturbation does not lower the loss: where no linear\n"
        "predictor with the perturbation has a gain on held-out cells, over the best without it, whose\n"
        "interval lies above 0; the smallest gain that would have been seen is printed. A gain whose interval\n"
        f"ends below {LITTLE:.0%} of the loss is called little\n"
    )


def can_teach(audit: PanelAudit) -> bool:
    """Whether something linear can be learnt from the pairs, at this size."""
    return audit.gain.seen


def verdict(audit: PanelAudit) -> str:
    """The one sentence."""
    gain = audit.gain
    if gain.perturbed_gain is None or gain.gain is None:
        return f"these pairs cannot teach: {gain.summary}"
    if can_teach(audit):
        little = " little" if gain.perturbed_gain.high < LITTLE else ""
        return (
            f"these pairs can teach{little}: the perturbation takes {percent(gain.perturbed_gain)} off the loss of "
            f"the best "
            f"predictor without it, {gain.unperturbed!r}, on unseen cells ({percent(gain.gain)} off the baseline)"
        )
    return (
        "nothing linear to learn was seen in these pairs: the perturbation takes "
        f"{percent(gain.perturbed_gain)} off the loss of the best predictor without it, {gain.unperturbed!r}, no "
        f"more than chance; "
        f"{gain.smallest_visible:.2%} or more would have been seen (with probability .8)"
    )


def findings(audit: PanelAudit) -> tuple[Finding, ...]:
    """Obstacles to learning from these pairs, the largest share first."""
    found = [*_of_entries(audit), *_of_noise(audit), *_of_parts(audit), *_free(audit)]
    return tuple(sorted(found, key=lambda finding: -finding.share))


def _of_entries(audit: PanelAudit) -> list[Finding]:
    entries = audit.entries
    unmeasured, found = 1 - entries.measured.value, list[Finding]()
    if 1 - entries.measured.high > UNMEASURED_THRESHOLD:
        found.append(
            Finding(
                share=unmeasured,
                summary=f"{unmeasured:.0%} of all entries are not measured in both cells: nothing can be learnt "
                f"of them",
                next_step="choose genes that the datasets share, or match on what is measured",
            )
        )
    if entries.neither.above(NEITHER_THRESHOLD):
        silent = f"; {entries.n_silent} of {audit.n_genes} genes are never expressed" if entries.n_silent else ""
        found.append(
            Finding(
                share=entries.neither.value,
                summary=f"{percent(entries.neither)} of the scored entries are 0 in both cells (by chance "
                f"{entries.neither_by_chance:.0%}){silent}: most of the loss is about unexpressed genes",
                next_step="choose expressed genes: gpcp select-genes",
            )
        )
    return found


def _of_noise(audit: PanelAudit) -> list[Finding]:
    half, full = audit.noise.half_depth, audit.noise.full_depth
    if half is None or full is None or not full.above(NOISE_THRESHOLD):
        return []
    bound = f"{half.value:.0%} at half depth, an upper bound"
    if audit.paired.best_of > 1:
        bound = "partners were chosen by what they express, and so by their noise: it may pass 100 %"
    return [
        Finding(
            share=full.value,
            summary=f"{percent(full)} of delta^2 is counting noise (extrapolated; {bound}): two droplets of one "
            f"and the "
            "same cell would differ by as much",
            next_step="genes with more counts, deeper cells, or means over several cells",
        )
    ]


def _of_parts(audit: PanelAudit) -> list[Finding]:
    if audit.parts is None:
        return [Finding(share=1.0, summary="no scored entry of any pair changes", next_step="choose expressed genes")]
    found: list[Finding] = []
    for name, part in audit.parts.share_of.items():
        if name in CONTEXTS and part.above(CONTEXT_THRESHOLD):
            wanted = name in audit.paired.differ_on
            found.append(
                Finding(
                    share=part.value,
                    summary=f"{name} explains {percent(part)} of delta^2"
                    + (", as asked by --differ-on" if wanted else ""),
                    next_step="" if wanted else f"match on {name}",
                )
            )
        if name == DEPTH and part.above(DEPTH_THRESHOLD):
            found.append(
                Finding(
                    share=part.value,
                    summary=f"depth explains {percent(part)} of delta^2 ({audit.parts.depth_summary})",
                    next_step="match on depth, or leave shallow cells out",
                )
            )
        if name == CHANGE and part.above(CONTEXT_THRESHOLD):
            found.append(
                Finding(share=part.value, summary=f"the mean change of each gene is {percent(part)} of delta^2")
            )
    return found


def _free(audit: PanelAudit) -> list[Finding]:
    """What a model gets without learning how genes vary together, and what is left to win."""
    if audit.parts is None:
        return []
    alone, remains = audit.parts.before_alone, audit.parts.share_of[REMAINS]
    regression, noise = audit.parts.share_of[REGRESSION], audit.noise.full_depth
    # Noise is in both cells alike, and regression to the mean takes that of the cell before; unless partners were
    # chosen by it.
    shared = noise is None or audit.paired.best_of > 1
    less = "" if noise is None or shared else f", of which counting noise is {min(noise.value / 2, remains.value):.0%}"
    return [
        Finding(
            share=regression.value,
            summary=f"{percent(regression)} of delta^2 is regression to the mean: R2 = {FREE} is free for independent "
            f"partners (before alone predicts {percent(alone)}); the perturbation can win no more than what remains, "
            f"{percent(remains)}{less}",
        )
    ]


def percent(estimate: Interval) -> str:
    """Such as ``"71 % [69, 73]"``; one decimal where it is small."""
    decimals = 1 if max(abs(estimate.low), abs(estimate.high)) < 0.1 else 0
    low, high = (f"{100 * end:.{decimals}f}" for end in (estimate.low, estimate.high))
    return f"{100 * estimate.value:.{decimals}f} % [{low}, {high}]"
