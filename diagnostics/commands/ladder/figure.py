"""The figure of ``ladder``: each rung's loss and recovery between baseline and ceiling."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.cli.figures import MODEL, SERIES, SMALL, TITLE, TRAINING, legend_below, new_axes, save
from diagnostics.commands.ladder.rungs.ladder import Ladder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_LOWEST, _HIGHEST = -0.5, 1.5
"""Of a bar; one that is cut there has its number beside it."""


def figure_of(found: Ladder) -> "Figure":
    """Bars of skill and of recovery, rung by rung."""
    figure, ax = new_axes(7.2, 3.6)
    shown = [one for one in found.results if one.record.get("skill") is not None]
    for place, one in enumerate(shown):
        skill, recovery = one.record["skill"], one.record.get("recovery")
        height = max(min(skill, _HIGHEST), _LOWEST)
        ax.bar(place - 0.2, height, 0.36, color=MODEL, label="skill of the model")
        if height != skill:
            ax.text(
                place - 0.2, height, f"{skill:.2g}", ha="center", va="bottom" if skill > 0 else "top", fontsize=SMALL
            )
        if recovery is not None:
            ax.bar(place + 0.2, recovery, 0.36, color=TRAINING, label=f"recovery of the {found.recovered}")
            ceiling = one.record.get("recovery_ceiling")
            if ceiling is not None:
                ax.plot([place + 0.02, place + 0.38], [ceiling, ceiling], color=SERIES[2], label="its ceiling")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.axhline(1, color=SERIES[2], linewidth=0.8)
    ax.set_xticks(range(len(shown)), [one.rung if one.passed else f"{one.rung}\nFAIL" for one in shown])
    ax.set_ylabel("0 baseline, 1 ceiling", fontsize=SMALL)
    ax.set_title(f"verdict: {found.verdict.partition(':')[0]}", fontsize=TITLE, loc="left")
    legend_below(figure)
    return figure


def draw(found: Ladder, path: Path) -> Path:
    """Draw it; the path."""
    return save(figure_of(found), path)
