"""The figures of ``audit-metrics``: what known answers get in each metric, and how scores follow each dial."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.audit.evaluation.cell_eval import SHORT
from diagnostics.audit.metrics.dials import WORLD_DIALS
from diagnostics.audit.metrics.summary import Entry, MetricsAudit
from diagnostics.cli.figures import (
    BASELINE,
    CEILING,
    CLASSICAL,
    INK,
    MODEL,
    QUIET,
    SERIES,
    SMALL,
    TITLE,
    TRAINING,
    WRONG,
    legend_below,
    new_figure,
    plain,
    save,
)
from gpcp.core.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DOTS = (
    ("law", "exact law", CEILING, "o"),
    ("mean", "exact mean, no spread", TRAINING, "D"),
    ("copy", "copy of the reference", WRONG, "s"),
    ("empirical", "the scorer's own control", INK, "|"),
    ("free", "best without information", CLASSICAL, "v"),
    ("chance", "shuffled labels", BASELINE, "x"),
)
_LEAST, _MOST = -1.0, 2.0
"""What lies beyond is drawn at the edge."""

MOST_METRICS = 6
"""Rows of the figure of dials."""


def draw(found: MetricsAudit, out: Path) -> list[Path]:
    """Draw the figures and write each whole; their paths."""
    drawn = [_draw_answers(found, out / "answers.png")]
    dials = list(dict.fromkeys(one.dial for one in found.entries if one.dial))
    if dials:
        drawn.append(_draw_dials(found, dials, out / "dials.png"))
    return drawn


def _draw_answers(found: MetricsAudit, path: Path) -> Path:
    """One row a metric: where truth, noise and nothing lie on its own scale."""
    shown = [one for one in found.verdicts if one.law_or_copy is not None]
    figure = new_figure(8.5, 1.6 + 0.27 * len(shown))
    ax = figure.add_subplot()
    plain(ax)
    for row, one in enumerate(shown):
        for place, (name, label, colour, shape) in enumerate(_DOTS):
            value: Interval | None = getattr(one, name)
            if value is None:
                continue
            at = row + (place - 2.5) * 0.09
            low, high = (min(max(end, _LEAST), _MOST) for end in (value.low, value.high))
            ax.plot([low, high], [at, at], color=colour, linewidth=0.8)
            middle = min(max(value.value, _LEAST), _MOST)
            ax.plot([middle], [at], shape, color=colour, markersize=5, label=label)
    for end in (0, 1):
        ax.axvline(end, color=QUIET, linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(shown)), [SHORT.get(one.metric, one.metric) for one in shown], fontsize=SMALL)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlim(_LEAST - 0.05, _MOST + 0.05)
    ax.set_xlabel("on the benchmark's own scale; beyond the edges at the edge", fontsize=SMALL)
    ax.set_title(f"what known answers get, {len(found.seeds)} seeds", loc="left", fontsize=TITLE)
    legend_below(figure, most_columns=3)
    return save(figure, path)


def _draw_dials(found: MetricsAudit, dials: Sequence[str], path: Path) -> Path:
    """One row a metric, one column a dial: the score of each answer against the dose."""
    from matplotlib.ticker import NullLocator

    turned = [one for one in found.entries if one.dial]
    metrics = list(dict.fromkeys(one.metric for one in turned if one.scaled is not None))
    six = [one for one in SHORT if one in metrics]
    metrics = (six + [one for one in metrics if one not in six])[:MOST_METRICS]
    figure = new_figure(2.0 + 2.6 * len(dials), 1.2 + 1.9 * max(len(metrics), 1))
    grid = figure.subplots(max(len(metrics), 1), len(dials), squeeze=False, sharex="col")
    answers = list(dict.fromkeys(one.answer for one in turned))
    for row, metric in enumerate(metrics):
        for column, dial in enumerate(dials):
            ax: Axes = grid[row][column]
            plain(ax)
            for answer in answers:
                points = _points(found, metric, answer, dial)
                _line(ax, points, answer, _colour(answer, answers))
            if dial in WORLD_DIALS:
                doses = sorted((*WORLD_DIALS[dial], 1.0))
                ax.set_xscale("log")
                ax.set_xticks(doses, [f"x {dose:g}" for dose in doses])
                ax.xaxis.set_minor_locator(NullLocator())
            ax.axhline(0, color=QUIET, linewidth=0.6, zorder=0)
            ax.axhline(1, color=QUIET, linewidth=0.6, zorder=0)
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, _LEAST - 0.1), min(high, _MOST + 0.1))
            if row == 0:
                ax.set_title(dial, fontsize=TITLE)
            if column == 0:
                ax.set_ylabel(SHORT.get(metric, metric), fontsize=SMALL)
    legend_below(figure, most_columns=max(2, len(dials)))
    return save(figure, path)


def _points(found: MetricsAudit, metric: str, answer: str, dial: str) -> list[Entry]:
    """Doses of a dial in order, the plain run among them where the dial is of the experiment."""
    mine = [one for one in found.entries if (one.metric, one.answer, one.dial) == (metric, answer, dial)]
    if mine and dial in WORLD_DIALS:
        usual = found.entry(metric, answer)
        mine += [] if usual is None else [usual]
    return sorted((one for one in mine if one.scaled is not None), key=lambda one: one.dose)


def _line(ax: "Axes", points: Sequence[Entry], answer: str, colour: str) -> None:
    spans = [(one.dose, one.scaled) for one in points if one.scaled is not None]
    if not spans:
        return
    doses = [dose for dose, _ in spans]
    ax.plot(doses, [each.value for _, each in spans], "o-", color=colour, markersize=3, linewidth=1.2, label=answer)
    ax.fill_between(
        doses, [each.low for _, each in spans], [each.high for _, each in spans], color=colour, alpha=0.15, linewidth=0
    )


def _colour(answer: str, answers: Sequence[str]) -> str:
    fixed = {"exact sampler": CEILING, "copy of the reference": WRONG, "mean response": CLASSICAL, "replicate": MODEL}
    return fixed.get(answer, SERIES[answers.index(answer) % len(SERIES)])
