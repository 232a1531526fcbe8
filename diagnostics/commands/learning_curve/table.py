"""What ``learning-curve`` prints: each number between input-free baseline and exact answer, and the answer in words."""

import math
from collections.abc import Mapping, Sequence

from diagnostics.cli.text import fill, table, wrap
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
    current_place,
    fitting_at,
    mean_of,
)
from diagnostics.scoring.sample_size import growth
from gpcp.core.intervals import Interval

_POINTS = (
    "model: on held-out pairs, by the weights of the best evaluation on validation pairs; +-: half of its 95 % "
    "interval over seeds; last: by the weights at the end of the budget, on validation pairs; training: the loss on "
    "the training pairs themselves"
)

_POINTS_OF_EXACT = ", and that of the exact answer on these"
_POINTS_OF_GRAPHS = "; classical: the classical estimator on the same pairs; exact law: through the same read-out"

_POINTS_OF_CELLS = (
    "; ridge: on the same pairs; best linear: on all training cells. What is left to win is not "
    "known here, as no exact answer is, nor is a graph"
)

_THEORY = (
    "theory: pairs at which nine edges of ten stand above the largest entry that is no edge, by the variance of the "
    "classical estimate, to leading order (diagnostics.graphs.sample_theory)"
)

_WORDS: Mapping[str, str] = {
    "nothing is left": "nothing is left to win: the model is within .01 of skill of the exact answer",
    "neither": "neither: each of them surely wins less than .01 of it; one of them alone is not enough",
    "open": "open: the seeds do not decide; give more of them",
}


def curves_text(curves: Curves, fits: Sequence[CurveFit], *, field: str, head: str, notes: Sequence[str] = ()) -> str:
    """Everything about the curves, as printed."""
    place = current_place(curves)
    parts = [head, points_table(curves, field), answer_text(curves, place, field)]
    parts += [part for part in (elsewhere_text(curves, place, field), fits_text(fits, field)) if part]
    if curves.n_diverged:
        parts.append(f"{curves.n_diverged} trainings diverged and are left out: try a lower --learning-rate")
    parts += [fill(f"Note: {note}.") for note in notes]
    return "\n\n".join(parts)


_Columns = Mapping[str, tuple[tuple[str, str], ...]]

_SHOWN: _Columns = {
    "Skill: 0 is the input-free baseline, 1 the exact answer": (
        ("model", "skill"),
        ("last", "last_skill"),
        ("ridge", "ridge_skill"),
    ),
    "Loss": (
        ("training", "train_loss"),
        ("exact, training", "exact_train_loss"),
        ("held out", "loss"),
        ("Bayes risk", "bayes_risk"),
        ("baseline", "baseline_loss"),
    ),
    "AUPRC of the graph": (
        ("model", "auprc"),
        ("classical", "classical_auprc"),
        ("exact law", "ceiling_auprc"),
        ("chance", "chance"),
    ),
}
"""Columns by table, each with its field of a record; the first has its interval."""

_SHOWN_OF_CELLS: _Columns = {
    "Of the way: 0 is the input-free baseline, 1 the best linear predictor, which can be passed": (
        ("model", "share_of_linear"),
        ("last", "last_share_of_linear"),
        ("ridge", "ridge_share_of_linear"),
    ),
    "Loss": (
        ("training", "train_loss"),
        ("held out", "loss"),
        ("best linear", "best_linear_loss"),
        ("baseline", "baseline_loss"),
    ),
}
"""The same for real cells, whose exact answer and graph are not known."""


def points_table(curves: Curves, field: str) -> str:
    """A table of skills, one of losses and one of graphs; a line for every number of pairs and capacity.

    Means over seeds, the first column with half of its 95 % interval where it is of a skill or an AUPRC.
    """
    shown = _SHOWN if curves.exact_known else _SHOWN_OF_CELLS
    blocks = [
        f"{title}\n{table(['pairs', field, *_head(columns, spread='Loss' not in title)], rows, align='r')}"
        for title, columns in shown.items()
        if curves.graph_known or "AUPRC" not in title
        for rows in [_rows(curves, columns, spread="Loss" not in title)]
    ]
    return "\n\n".join([*blocks, fill(_POINTS + _more(curves))])


def _more(curves: Curves) -> str:
    if not curves.exact_known:
        return _POINTS_OF_CELLS
    return _POINTS_OF_EXACT + (_POINTS_OF_GRAPHS if curves.graph_known else "")


def _head(columns: Sequence[tuple[str, str]], *, spread: bool) -> list[str]:
    names = [name for name, _ in columns]
    return [names[0], "+-", *names[1:]] if spread else names


def _rows(curves: Curves, columns: Sequence[tuple[str, str]], *, spread: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    for n_pairs in curves.pairs:
        for capacity in curves.capacities:
            at = curves.at(n_pairs, capacity)
            if not at:
                continue
            means = [mean_of(at, name) for _, name in columns]
            shown = ["-" if mean is None else f"{mean.value:.3f}" for mean in means]
            half = [("-" if means[0] is None else _half(means[0]))] if spread else []
            rows.append([f"{n_pairs:,}", str(capacity), shown[0], *half, *shown[1:]])
    return rows


def answer_text(curves: Curves, place: Place, field: str) -> str:
    """What more pairs, a bigger model or more steps win from here, and the answer."""
    answer = answer_at(curves, place, field)
    where = f"{place.n_pairs:,} pairs, {field} {place.capacity}, {place.n_steps:,} steps"
    if answer is None:
        return f"More data, or a bigger model? From {where} nothing can be compared: give more than one number of pairs"
    left = "" if answer.left is None else f"; {interval(answer.left)} of skill is left to the exact answer there"
    lines = [
        fill(f"More data, or a bigger model? From {where}{left}:"),
        *(f"  {gain.option:<16} {gain.summary:<26} wins {interval(gain.skill, sign=True)}" for gain in answer.gains),
        fill(f"Answer: {_WORDS.get(answer.verdict, answer.verdict)}{_leaning(answer)}."),
    ]
    fitting = fitting_at(curves, place)
    if fitting:
        lines.append(fill(f"Why: {fitting}."))
    return "\n".join(lines)


def _leaning(answer: Answer) -> str:
    """What is not decided: beside a gain that is named, or, where none is, what looks best and what is ruled out."""
    if answer.undecided:
        verb = "is" if len(answer.undecided) == 1 else "are"
        return f" ({' and '.join(answer.undecided)} {verb} neither shown to win nor shown to win less)"
    if answer.verdict != "open" or not answer.gains:
        return ""
    out = [gain.option for gain in answer.gains if gain.ruled_out]
    best = max(answer.gains, key=lambda gain: gain.skill.value)
    ruled = f"; {' and '.join(out)} surely wins less than .01" if out else ""
    return f" (the largest gain so far is of {best.option}, {best.skill.value:+.3f}, which may be luck{ruled})"


def elsewhere_text(curves: Curves, place: Place, field: str) -> str:
    """The same answer, in short, at all other points that have more above them."""
    lines: list[str] = []
    for n_pairs in curves.pairs:
        for capacity in curves.capacities:
            other = Place(n_pairs=n_pairs, capacity=capacity, n_steps=place.n_steps)
            answer = None if other == place else answer_at(curves, other, field)
            if answer is not None:
                line = f"{n_pairs:,} pairs, {field} {capacity}: {_in_short(answer)}"
                lines += wrap(line, first="  ", indent="    ")
    return "\n".join(["At the other points:", *lines]) if lines else ""


def _in_short(answer: Answer) -> str:
    gains = ", ".join(f"{gain.option} {interval(gain.skill, sign=True)}" for gain in answer.gains)
    left = "" if answer.left is None else f"; left {interval(answer.left)}"
    return f"{answer.verdict} ({gains}{left})"


def fits_text(fits: Sequence[CurveFit], field: str) -> str:
    """The power laws, and the pairs that a skill takes."""
    lines: list[str] = []
    for fit in fits:
        law = fit.refusal if fit.law is None else f"excess loss falls as pairs^-b, b = {interval(fit.law.b)}"
        line = f"{field} {fit.capacity}: {law}; skill {TARGET_SKILL:g} at {_reached(fit)}"
        lines += wrap(line, first="  ", indent="    ")
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
    rows = [
        [
            str(one.n_genes),
            f"{one.chance:.3f}",
            "-" if one.ceiling is None else f"{one.ceiling:.3f}",
            "diverged" if one.model is None else one.model.text(),
            "-" if one.classical is None else one.classical.text(),
            "-" if one.theory is None else f"{float(f'{one.theory:.2g}'):,.0f}",
        ]
        for one in needs
    ]
    lines = [
        head,
        "",
        f"Pairs at which the AUPRC of the graph reaches {TARGET_AUPRC:g}: the middle seed (the least to the most)",
        table(("genes", "chance", "exact", "model", "classical", "theory"), rows, align="rrrll"),
        "",
    ]
    lines += [f"  {_growth(needs, of)}" for of in ("model", "classical")]
    lines.append(fill(_THEORY))
    return "\n".join(lines)


def _growth(needs: Sequence[GenesNeeded], of: str) -> str:
    whose = [one.model_S if of == "model" else one.classical_S for one in needs]
    seeds = common(whose)
    found = growth([one.n_genes for one in needs], [[row[seed] for row in whose] for seed in seeds])
    if found is None:
        return f"{of}: no growth can be estimated: fewer than two numbers of genes, or a bound among what they need"
    return f"{of}: pairs grow as genes^g, g = {interval(found)}"


def interval(found: Interval, *, sign: bool = False) -> str:
    """A mean with its 95 % interval over seeds, which one seed does not have."""
    mean = f"{found.value:+.3f}" if sign else f"{found.value:.3f}"
    if not math.isfinite(found.low):
        return f"{mean} (one seed: no interval)"
    return f"{mean} [{found.low:+.3f}, {found.high:+.3f}]" if sign else f"{mean} [{found.low:.3f}, {found.high:.3f}]"


def _half(found: Interval) -> str:
    return f"{found.value - found.low:.3f}" if math.isfinite(found.low) else "-"
