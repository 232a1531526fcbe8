"""What ``compare`` shows: a table between the baseline and the best that is known, the verdicts, JSON and a figure."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostics.cli.figures import MODEL, SERIES, TITLE, TRAINING, WRONG, legend_below, new_axes, reference_line, save
from diagnostics.cli.text import fill, interval, number, plural, score, table
from diagnostics.commands.compare.compare import Compared, Judged, RankCeilings, needed_words
from diagnostics.commands.compare.compare import interval as difference_text
from diagnostics.scoring.levels import Levels
from gpcp.core.files import to_json
from gpcp.core.intervals import Interval, student_factor

_WIDE = 10.0
"""Standard errors to either side of a difference above which more seeds are advised."""

_OF_WAY = "of way: from the baseline to the best linear predictor, which a model can pass; no exact answer is known"

_SEED_OUT, _ALTERNATIVE = "linear", "mlp"
"""The author's ``out`` where every gene asks, and the same with a hidden layer."""


def screen(
    result: Compared, levels: Levels, ceilings: RankCeilings | None, *, part: str, about: str, notes: Sequence[str]
) -> str:
    """All that the command prints of its results."""
    blocks = [fill(about), _table(result, levels, ceilings, part), _ranks(ceilings), _verdicts(result)]
    if answer := out_line(result):
        blocks.append(answer)
    n, level = result.n_comparisons, 100 * result.level
    blocks.append(
        fill(
            f"Intervals are paired over seeds and hold together in 95 % of repetitions: Bonferroni over "
            f"{plural(n, 'comparison')}, {level:.2f} % each. The seeds are trainings "
            + (
                "on one split of these cells: nothing is said of other cells."
                if ceilings is None
                else "in one world: nothing is said of other worlds."
            )
        )
    )
    if few := _few_seeds(result):
        blocks.append(few)
    blocks += [fill(f"Note: {note}.") for note in notes]
    return "\n\n".join(blocks)


def out_line(result: Compared) -> str | None:
    """Whether the author's ``out`` loses anything against a hidden layer, where both were compared."""
    difference = result.between(_SEED_OUT, _ALTERNATIVE)
    if difference is None:
        return None
    if difference.ties:
        judged = f"tie: paired difference {difference_text(difference)} holds 0"
    else:
        less, more = (_SEED_OUT, _ALTERNATIVE) if difference.value > 0 else (_ALTERNATIVE, _SEED_OUT)
        judged = f"differ: {less} learns less than {more} within these steps, {difference_text(difference)}"
    losing = next((one.loses_information for one in result.judged if one.entry.name == _SEED_OUT), False)
    lost = "Not known here" if losing is None else "Yes, see its verdict" if losing else "Not shown"
    return fill(f"Is `out` losing information? {lost}. {_SEED_OUT} and {_ALTERNATIVE} {judged}.")


def _few_seeds(result: Compared) -> str | None:
    """Said where intervals are wide because of the number of seeds, whatever the seeds say."""
    n = min((difference.n for _, _, difference in result.pairs), default=0)
    if n < 2:
        return None
    factor = student_factor(n, result.level)
    if factor <= _WIDE:
        return None
    return fill(
        f"With {n} seeds an interval reaches {factor:.0f} standard errors to either side; with {2 * n} it would be "
        f"{student_factor(2 * n, result.level):.1f}: give more --seeds, or name a --reference, for fewer ties."
    )


def _table(result: Compared, levels: Levels, ceilings: RankCeilings | None, part: str) -> str:
    measure = "of way" if ceilings is None else "skill"
    head = (part.replace("_", " "), "weights", "loss", measure, "over seeds", "rank", "", "to the reference")
    rows = [
        ["input-free baseline", "", number(levels.baseline), "0", "", "", "", f"({levels.baseline_name})"],
        [levels.reference_name, "", number(levels.reference), score(levels.of_way(levels.reference), 3)],
        *(_row(one, levels) for one in reversed(result.judged)),
    ]
    if ceilings is None:
        return f"{table(head, rows, align='lrrrrrrl')}\n{_OF_WAY}"
    kind = "closed form" if levels.bayes_is_exact else "simulated"
    rows.append(["exact answer", "", number(levels.bayes_risk), "1", "", f"{needed_words(ceilings)}*", "", f"({kind})"])
    return f"{table(head, rows, align='lrrrrrrl')}\n* the rank that is needed"


def _row(one: Judged, levels: Levels) -> list[str]:
    entry = one.entry
    skills = [skill for loss in entry.finite.values() if (skill := levels.of_way(loss)) is not None]
    known = [number(entry.loss) if entry.finite else "-", score(statistics.fmean(skills), 3) if skills else "-"]
    spread = interval(score(min(skills), 3), score(max(skills), 3)) if skills else "-"
    beside = ["", one.outcome]
    if one.difference is not None:
        ends = interval(f"{one.difference.low:+.3f}", f"{one.difference.high:+.3f}")
        beside = [f"{one.difference.value:+.3f}", f"{ends}  {one.outcome}"]
    return [entry.name, f"{entry.n_parameters:,d}", *known, spread, str(entry.rank), *beside]


def _ranks(ceilings: RankCeilings | None) -> str:
    if ceilings is None:
        return fill(
            "How much of the answer a rank can carry is not known here: that takes the exact answer of a known world. "
            "The ranks above are of the configurations alone."
        )
    shown = [
        f"rank {rank}: {number(ceilings.reach(rank))}"
        + (f" (none expected below {number(ceilings.bayes_risk + bound)})" if bound is not None else "")
        for rank in range(min(len(ceilings.residuals), 4))
        for bound in [ceilings.bounds.get(rank)]
    ]
    return fill(
        "Least loss found of answers of a rank, whatever gives them (alternating least squares on the exact answer; "
        f"gene means{' and skip' if ceilings.skip else ''} free): " + ", ".join(shown) + "."
    )


def _verdicts(result: Compared) -> str:
    return "\n".join(fill(one.summary, indent="  ") for one in result.judged)


def contents(result: Compared, levels: Levels, ceilings: RankCeilings | None) -> dict[str, Any]:
    """Everything that was found, under the names of the JSON file; null where it needs an exact answer."""

    def of(difference: Interval | None) -> dict[str, Any] | None:
        return None if difference is None else {**to_json(difference), "tie": difference.ties}

    return {
        "reference": result.reference,
        "correction": "Bonferroni",
        "n_comparisons": result.n_comparisons,
        "level": result.level,
        "baseline": levels.baseline,
        "baseline_name": levels.baseline_name,
        "ridge": None if levels.ridge is None else levels.ridge.loss,
        "best_linear": None if levels.linear is None else levels.reference,
        "bayes": levels.bayes_risk,
        "bayes_exact": None if ceilings is None else levels.bayes_is_exact,
        "needed_rank": None if ceilings is None else ceilings.needed,
        "rank_residuals": None if ceilings is None else list(ceilings.residuals),
        "rank_losses": None if ceilings is None else list(ceilings.reached),
        "rank_bounds": None if ceilings is None else {str(rank): bound for rank, bound in ceilings.bounds.items()},
        "compared": [
            {
                "name": one.entry.name,
                "outcome": one.outcome,
                "loses_information": one.loses_information,
                "summary": one.summary,
                "losses": {str(seed): loss for seed, loss in one.entry.loss_of.items()},
                "loss": one.entry.loss,
                "skill": levels.skill(one.entry.loss),
                "share_of_linear": levels.share_of_linear(one.entry.loss),
                "n_parameters": one.entry.n_parameters,
                "rank": one.entry.rank,
                "objective": one.entry.objective,
                "limits": list(one.entry.limits),
                "difference": of(one.difference),
            }
            for one in result.judged
        ],
        "pairs": [{"first": one, "second": other, **(of(diff) or {})} for one, other, diff in result.pairs],
    }


def draw(result: Compared, levels: Levels, ceilings: RankCeilings | None, path: Path, *, title: str) -> Path:
    """Draw into ``path``, in one atomic write, and give it; configurations from the worst at the top to the best."""
    shown = list(reversed(result.judged))
    narrow = {one.entry.rank for one in shown if ceilings is not None and ceilings.narrow(one.entry.rank)}
    figure, ax = new_axes(8.6, 1.9 + 0.36 * len(shown))
    reference_line(ax, levels.baseline, "baseline", vertical=True)
    reference_line(ax, levels.reference, "ridge" if levels.linear is None else "linear", vertical=True)
    reference_line(ax, levels.bayes_risk, "bayes", vertical=True)
    last = len(shown) - 1
    for place, one in enumerate(shown):
        y = last - place
        losses = sorted(one.entry.finite.values())
        colour = WRONG if one.loses_information else TRAINING
        ax.scatter(losses, [y] * len(losses), s=26, color=colour, alpha=0.65, edgecolors="none", zorder=3)
        ax.scatter([one.entry.loss], [y], s=150, marker="|", color=MODEL, linewidths=1.8, zorder=4)
        if ceilings is not None and one.entry.rank in narrow:
            # Where answers of this rank could be at best.
            reach = ceilings.reach(one.entry.rank)
            ax.plot([reach, reach], [y - 0.36, y + 0.36], color=SERIES[2], linewidth=2.2, zorder=2)
    ax.scatter([], [], s=26, color=TRAINING, label="one seed")
    if any(one.loses_information for one in shown):
        ax.scatter([], [], s=26, color=WRONG, label="one seed, information lost")
    ax.plot([], [], color=MODEL, marker="|", markersize=11, markeredgewidth=1.8, linestyle="none", label="mean")
    if narrow:
        ax.plot([], [], color=SERIES[2], linewidth=2.2, label="best of its rank")
    ax.set_yticks(range(len(shown)), [_label(one.entry.name, one.outcome) for one in reversed(shown)])
    ax.set_ylim(-0.6, last + 0.6)
    ax.set_xlabel("mean squared error on held-out pairs")
    ax.set_title(title, fontsize=TITLE)
    ax.grid(axis="y", color="#eeeeee", zorder=0)
    legend_below(figure)
    return save(figure, path)


def _label(name: str, outcome: str) -> str:
    return f"{name} ({outcome})"
