"""The figure of ``train``: training and held-out loss by steps, between baseline, ridge and the exact answer."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from collections.abc import Sequence
from pathlib import Path

from diagnostics.cli.figures import MODEL, SMALL, TITLE, TRAINING, legend_below, new_axes, reference_line, save
from diagnostics.cli.text import cut
from diagnostics.scoring.levels import Levels
from gpcp.training.config import HistoryRow

_LONGEST_TITLE = 64


def draw_history(history: Sequence[HistoryRow], levels: Levels, path: Path, *, title: str) -> Path:
    """Draw the curves; the path."""
    figure, ax = new_axes(7.2, 4.6)
    step = [row.step for row in history]
    ax.plot(step, [row.train_loss for row in history], color=TRAINING, marker=".", label="training")
    held_out = [float("nan") if row.held_out_loss is None else row.held_out_loss for row in history]
    ax.plot(step, held_out, color=MODEL, marker=".", label="held out")
    reference_line(ax, levels.baseline, "baseline")
    reference_line(ax, None if levels.ridge is None else levels.ridge.loss, "ridge")
    reference_line(ax, levels.bayes_risk, "bayes")
    ax.set_xlabel("steps", fontsize=SMALL)
    ax.set_ylabel("mean squared error", fontsize=SMALL)
    ax.set_title(cut(title, _LONGEST_TITLE), fontsize=TITLE, loc="left")
    legend_below(figure)
    return save(figure, path)
