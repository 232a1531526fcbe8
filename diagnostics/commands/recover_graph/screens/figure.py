"""The figure of ``recover-graph`` on a screen: the history of the loss, and the responses that were read out."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.cli.figures import (
    DIVERGING,
    MODEL,
    SMALL,
    TITLE,
    TRAINING,
    legend_below,
    new_figure,
    plain,
    reference_line,
    save,
)
from diagnostics.runs.folder import ARRAYS, HISTORY
from diagnostics.runs.store import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 60
"""Perturbations or genes that are named along a side."""

_SHOWN = (("model_PG", "model"), ("measured_PG", "training cells"), ("exact_PG", "exact law"))


def draw_responses(folders: Sequence[Path], records: Sequence[Record], path: Path) -> Path:
    """Draw the first seed into ``path``, in one atomic write, and give it."""
    return save(responses_figure(folders, records), path)


def responses_figure(folders: Sequence[Path], records: Sequence[Record]) -> "Figure":
    """The first seed's loss, and the responses that were read out of its model beside those of the cells."""
    with np.load(folders[0] / ARRAYS) as stored:
        arrays = dict(stored)
    shown = [(title, arrays[name]) for name, title in _SHOWN if name in arrays]
    figure = new_figure(3.6 * (1 + len(shown)) + 0.6, 4.8)
    axes = figure.subplots(1, 1 + len(shown))
    _history(axes[0], folders[0], records[0])
    limit = float(np.quantile(np.abs(arrays["measured_PG"]), 0.995)) or 1.0
    image: Any = None
    for ax, (title, response_PG) in zip(axes[1:], shown, strict=True):
        image = ax.imshow(response_PG, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        if "true_PG" in arrays:
            p_E, g_E = np.nonzero(arrays["true_PG"])
            ax.scatter(g_E, p_E, s=14, marker="s", facecolors="none", edgecolors="black", linewidths=0.6)
        _names(ax, arrays["perturbation_P"], arrays["gene_G"])
        ax.set_title(title, fontsize=SMALL)
    figure.colorbar(image, ax=list(axes[1:]), shrink=0.6, label="response of a gene")
    known = "boxes: genes downstream of the target" if "true_PG" in arrays else "no graph is known"
    figure.suptitle(f"Responses to perturbations by name, seed {records[0]['seed']}; {known}", fontsize=TITLE)
    legend_below(figure)
    return figure


def _history(ax: "Axes", folder: Path, record: Record) -> None:
    rows: list[dict[str, Any]] = json.loads((folder / HISTORY).read_text(encoding="utf-8"))["history"]
    plain(ax)
    for name, colour, label in (("train_loss", TRAINING, "training"), ("held_out_loss", MODEL, "held out")):
        points = [(row["step"], row[name]) for row in rows if row[name] is not None]
        ax.plot([step for step, _ in points], [loss for _, loss in points], color=colour, label=label)
    reference_line(ax, record["curve_baseline"], "baseline")
    reference_line(ax, record["curve_best"], "ridge" if record["bayes_risk"] is None else "bayes")
    ax.set(xlabel="training step", ylabel="mean squared error")
    ax.set_title("loss", fontsize=SMALL)


def _names(ax: "Axes", perturbation_P: NDArray[np.str_], gene_G: NDArray[np.str_]) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    if len(perturbation_P) <= MOST_NAMES:
        ax.set_yticks(range(len(perturbation_P)), perturbation_P.tolist(), fontsize=6)
    if len(gene_G) <= MOST_NAMES:
        ax.set_xticks(range(len(gene_G)), gene_G.tolist(), fontsize=6, rotation=90)
    ax.set(xlabel="gene", ylabel="perturbation")
