"""What ``learning_curve`` prints: every figure between knowing nothing and the exact answer, and the answer in words.

No dimension key: nothing here is an array.
"""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap

from diagnostics.commands.learning_curve.answer import Answer
from diagnostics.commands.learning_curve.genes_needed import GenesNeeded
from diagnostics.commands.learning_curve.points import (
    TARGET_AUPRC,
    TARGET_SKILL,
    CurveFit,
    Curves,
    Place,
    answer_at,
    common,
    fitting_at,
    mean_of,
    standing_place,
)
from diagnostics.runs.store import Record
from diagnostics.scoring.sample_size import growth
from gpcp.core.intervals import Interval

WIDTH = 114
"""Characters of a line."""

_POINTS = """\
model: held out, by the weights of the best evaluation on validation pairs; +-: half of its 95 % interval over seeds;
last: by the weights at the end of the budget, on validation pairs; train: the loss on the training pairs themselves,
exact: that of the exact answer on these; Bayes and none: of the exact answer and of knowing nothing on held-out pairs;
stat.: the statistician's estimator on the same pairs; exact and none under AUPRC: the exact law in the same read-out,
and chance"""

_THEORY = (
    "theory: pairs at which nine edges of ten stand above the largest entry that is no edge, by the variance of the "
    "statistician's estimate, to leading order (diagnostics.graphs.sample_theory)"
)

_WORDS: Mapping[str, str] = {
    "nothing is left": "nothing is left to win: the model is within .01 of skill of the exact answer",
    "neither": "neither: each rung surely wins less than .01 of skill; what is missing is not to be had by one rung",
    "open": "open: the seeds do not decide; give more of them",
}


def curves_text(curves: Curves, fits: Sequence[CurveFit], *, field: str, head: str) -> str:
    """Everything about the curves, as printed."""
    place = standing_place(curves)
    parts = [head, points_table(curves, field), answer_text(curves, place, field)]
    parts += [part for part in (elsewhere_text(curves, place, field), fits_text(fits, field)) if part]
    if curves.n_diverged:
        parts.append(f"{curves.n_diverged} trainings diverged and are left out: a lower --lr would keep them")
    return "\n\n".join(parts)


def points_table(curves: Curves, field: str) -> str:
    """A line for every number of pairs and capacity; means over seeds, with half of the skill's 95 % interval."""
    short = field.removeprefix("n_").removesuffix("_blocks")
    lines = [
        f"{'':>16} |{'skill (0 knows nothing, 1 exact)':^32}|{'loss':^37}|{'AUPRC of the graph':^30}",
        f"{'pairs':>8} {short[:7]:>7} |{'model':>8} {'+-':>6} {'last':>7} {'ridge':>7} |{'train':>7} {'exact':>7} "
        f"{'held out':>8} {'Bayes':>6} {'none':>5}|"
        f"{'model':>6} {'+-':>5} {'stat.':>5} {'exact':>6} {'none':>5}",
    ]
    for n_pairs in curves.pairs:
        for capacity in curves.capacities:
            at = curves.at(n_pairs, capacity)
            if at:
                lines.append(f"{n_pairs:>8,} {capacity:>7} |{_point(at)}")
    return "\n".join([*lines, _wrapped(_POINTS)])


def _point(at: Mapping[int, Record]) -> str:
    skill = mean_of(at, "skill")
    assert skill is not None, "records of a place have their skill"

    def shown(name: str, width: int, digits: int = 3) -> str:
        mean = mean_of(at, name)
        return f"{'-':>{width}}" if mean is None else f"{mean.value:>{width}.{digits}f}"

    auprc = mean_of(at, "auprc")
    spread = f"{'-' if auprc is None else _half(auprc):>5}"
    return (
        f"{skill.value:>8.3f} {_half(skill):>6} {shown('last_skill', 7)} {shown('ridge_skill', 7)} |"
        f"{shown('train_loss', 7)} {shown('exact_train_loss', 7)} {shown('loss', 8)} {shown('bayes_risk', 6)} "
        f"{shown('baseline_loss', 5, 2)}|{shown('auprc', 6)} {spread} {shown('classical_auprc', 5)} "
        f"{shown('ceiling_auprc', 6)} {shown('chance', 5, 2)}"
    )


def answer_text(curves: Curves, place: Place, field: str) -> str:
    """What every rung wins from where one stands, and the answer."""
    answer = answer_at(curves, place, field)
    where = f"{place.n_pairs:,} pairs, {field} {place.capacity}, {place.n_steps:,} steps"
    if answer is None:
        return f"More data, or a bigger model? From {where} no rung can be compared: give more than one number of pairs"
    left = interval(answer.left)
    lines = [
        _wrapped(f"More data, or a bigger model? From {where}; {left} of skill is left to the exact answer there:"),
        *(f"  {gain.rung:<16} {gain.summary:<26} wins {interval(gain.skill, sign=True)}" for gain in answer.gains),
        _wrapped(f"Answer: {_WORDS.get(answer.verdict, answer.verdict)}{_leaning(answer)}."),
    ]
    fitting = fitting_at(curves, place)
    if fitting:
        lines.append(_wrapped(f"Why: {fitting}."))
    return "\n".join(lines)


def _leaning(answer: Answer) -> str:
    """What is not decided: beside a rung that is named, or, where none is, what looks best and what is ruled out."""
    if answer.undecided:
        verb = "is" if len(answer.undecided) == 1 else "are"
        return f" ({' and '.join(answer.undecided)} {verb} neither shown to win nor shown to win less)"
    if answer.verdict != "open" or not answer.gains:
        return ""
    out = [gain.rung for gain in answer.gains if gain.ruled_out]
    best = max(answer.gains, key=lambda gain: gain.skill.value)
    ruled = f"; {' and '.join(out)} surely wins less than .01" if out else ""
    return f" (the largest gain so far is of {best.rung}, {best.skill.value:+.3f}, which may be luck{ruled})"


def elsewhere_text(curves: Curves, place: Place, field: str) -> str:
    """The same answer, in short, at all other points with a rung above them."""
    lines: list[str] = []
    for n_pairs in curves.pairs:
        for capacity in curves.capacities:
            other = Place(n_pairs=n_pairs, capacity=capacity, n_steps=place.n_steps)
            answer = None if other == place else answer_at(curves, other, field)
            if answer is not None:
                line = f"{n_pairs:,} pairs, {field} {capacity}: {_in_short(answer)}"
                lines += wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(["At the other points:", *lines]) if lines else ""


def _in_short(answer: Answer) -> str:
    gains = ", ".join(f"{gain.rung} {interval(gain.skill, sign=True)}" for gain in answer.gains)
    return f"{answer.verdict} ({gains}; left {interval(answer.left)})"


def fits_text(fits: Sequence[CurveFit], field: str) -> str:
    """The power laws, and the pairs that a skill takes."""
    lines: list[str] = []
    for fit in fits:
        law = fit.refusal if fit.law is None else f"excess loss falls as pairs^-b, b = {interval(fit.law.b)}"
        line = f"{field} {fit.capacity}: {law}; skill {TARGET_SKILL:g} at {_reached(fit)}"
        lines += wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(["By the curve:", *lines]) if lines else ""


def _reached(fit: CurveFit) -> str:
    measured = f"{fit.reached.text()} pairs"
    if fit.beyond is None:
        return measured
    pairs = fit.beyond.pairs
    if pairs is None:
        return f"{measured}; not extrapolated: {fit.beyond.refusal}"
    upper = "beyond a decade" if math.isinf(pairs.high) else f"{float(f'{pairs.high:.2g}'):,.0f}"
    return f"{measured}; extrapolated {pairs.value:,.0f} (95 %: {float(f'{pairs.low:.2g}'):,.0f} to {upper})"


def genes_text(needs: Sequence[GenesNeeded], *, head: str) -> str:
    """Pairs that the graph takes, by number of genes, and how they grow."""
    lines = [
        head,
        "",
        f"Pairs at which the AUPRC of the graph reaches {TARGET_AUPRC:g}: the middle seed (the least to the most)",
        f"{'genes':>6} {'chance':>7} {'exact':>6} | {'model':<36} | {'classical':<28} | theory",
    ]
    for one in needs:
        theory = "-" if one.theory is None else f"{float(f'{one.theory:.2g}'):,.0f}"
        model = "diverged" if one.model is None else one.model.text()
        stat = "-" if one.classical is None else one.classical.text()
        exact = "-" if one.ceiling is None else f"{one.ceiling:.3f}"
        lines.append(f"{one.n_genes:>6} {one.chance:>7.3f} {exact:>6} | {model:<36} | {stat:<28} | {theory}")
    lines.append("")
    lines += [f"  {_growth(needs, of)}" for of in ("model", "classical")]
    lines.append(_wrapped(_THEORY))
    return "\n".join(lines)


def _growth(needs: Sequence[GenesNeeded], of: str) -> str:
    whose = [one.model_S if of == "model" else one.classical_S for one in needs]
    seeds = common(whose)
    found = growth([one.n_genes for one in needs], [[row[seed] for row in whose] for seed in seeds])
    if found is None:
        return f"{of}: no growth can be told: fewer than two numbers of genes, or a bound among what they need"
    return f"{of}: pairs grow as genes^g, g = {interval(found)}"


def interval(found: Interval, *, sign: bool = False) -> str:
    """A mean with its 95 % interval over seeds, which one seed does not have."""
    mean = f"{found.value:+.3f}" if sign else f"{found.value:.3f}"
    if not math.isfinite(found.low):
        return f"{mean} (one seed: no interval)"
    return f"{mean} [{found.low:+.3f}, {found.high:+.3f}]" if sign else f"{mean} [{found.low:.3f}, {found.high:.3f}]"


def _half(found: Interval) -> str:
    return f"{found.value - found.low:.3f}" if math.isfinite(found.low) else "-"


def _wrapped(text: str) -> str:
    return "\n".join(wrap(text, WIDTH))
