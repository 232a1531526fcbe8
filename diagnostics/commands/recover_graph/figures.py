"""The figures of ``recover-graph``: loss curves, true against recovered matrices, precision-recall curves.

Each shows what the input-free baseline and what the exact law would give. Of many seeds those that did worst are shown.
"""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.cli.figures import (
    CEILING,
    DIVERGING,
    MODEL,
    SERIES,
    SMALL,
    TITLE,
    TRAINING,
    Reference,
    legend_below,
    new_figure,
    plain,
    reference_line,
    save,
)
from diagnostics.commands.recover_graph.graph_figure import graph_figure
from diagnostics.graphs.rankings import precision_recall
from diagnostics.graphs.scores import entries
from diagnostics.results.run_record import RunRecord, in_words
from diagnostics.runs.folder import ARRAYS, HISTORY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SEEDS = 4
"""Columns of a figure at most."""

_LEVELS: tuple[Reference, ...] = ("baseline", "ridge", "linear", "bayes")


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunArrays:
    """What a finished run leaves for its figures.

    Parameters
    ----------
    record : RunRecord
    recovered_GG, exact_GG : float64, (G, G)
        The main read-out of the model, and of the exact law.
    target_GG : bool, (G, G)
    step_point, train_loss_point, held_out_loss_point : float64, (point,)
        The history; NaN where a loss was not measured.
    levels : mapping of str to float
        ``baseline``, ``ridge`` or ``linear`` and, where known, ``bayes``: on the pairs of ``held_out_loss_point``.
    """

    record: RunRecord
    recovered_GG: NDArray[np.float64]
    exact_GG: NDArray[np.float64]
    target_GG: NDArray[np.bool_]
    step_point: NDArray[np.float64]
    train_loss_point: NDArray[np.float64]
    held_out_loss_point: NDArray[np.float64]
    levels: Mapping[str, float]


def load_arrays(record: RunRecord, folder: Path) -> RunArrays:
    """Read what a run left in its folder."""
    rows: list[dict[str, float | None]] = json.loads((folder / HISTORY).read_text(encoding="utf-8"))["history"]

    def column(name: str) -> NDArray[np.float64]:
        return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)

    with np.load(folder / ARRAYS) as arrays:
        return RunArrays(
            record=record,
            recovered_GG=arrays["recovered_GG"],
            exact_GG=arrays["exact_GG"],
            target_GG=arrays["target_GG"],
            step_point=column("step"),
            train_loss_point=column("train_loss"),
            held_out_loss_point=column("held_out_loss"),
            levels={name: float(arrays[f"level_{name}"]) for name in _LEVELS if f"level_{name}" in arrays},
        )


def draw_all(runs: Sequence[RunArrays], out: Path) -> list[Path]:
    """Draw the figures of some finished runs into ``out`` and give their paths."""
    return [save(figure, out / name) for name, figure in figures_of(runs).items()]


def figures_of(runs: Sequence[RunArrays]) -> "dict[str, Figure]":
    """The figures of some finished runs, by the names of their files."""
    regimes = list(dict.fromkeys(run.record.regime for run in runs))
    by_regime = {
        regime: sorted(
            sorted((run for run in runs if run.record.regime == regime), key=lambda run: run.record.auprc)[:MOST_SEEDS],
            key=lambda run: run.record.seed,
        )
        for regime in regimes
    }
    drawn = {"loss.png": _loss_figure(by_regime), "precision_recall.png": _precision_recall_figure(by_regime)}
    for regime, shown in by_regime.items():
        drawn[f"matrices_{regime}.png"] = _matrix_figure(shown)
        worst = min(shown, key=lambda run: run.record.auprc)
        record = worst.record
        title = f"{regime}, seed {record.seed}: {_edges(record)}\nread from {in_words(record.read_out)}"
        graph = graph_figure(worst.recovered_GG, worst.target_GG, title)
        if graph is not None:
            drawn[f"graph_{regime}.png"] = graph
    return drawn


def _loss_figure(by_regime: dict[str, list[RunArrays]]) -> "Figure":
    n_columns = max(len(runs) for runs in by_regime.values())
    figure = new_figure(max(3.6 * n_columns + 0.6, 7.0), 2.5 * len(by_regime) + 0.7)
    axes = figure.subplots(len(by_regime), n_columns, squeeze=False, sharey="row")
    for row, (regime, runs) in enumerate(by_regime.items()):
        for ax in axes[row, len(runs) :]:
            ax.set_axis_off()
        for ax, run in zip(axes[row], runs, strict=False):
            _loss_panel(ax, run)
        axes[row, 0].set_ylabel(f"{regime}\nmean squared error", fontsize=SMALL)
        axes[row, 0].set_ylim(*_loss_range(runs))
    for ax in axes[-1]:
        ax.set_xlabel("training step", fontsize=SMALL)
    legend_below(figure, most_columns=5)
    known = all(run.record.bayes_risk is not None for runs in by_regime.values() for run in runs)
    best = "exact answer" if known else "best linear predictor"
    figure.suptitle(f"Loss between the input-free baseline and the {best}", fontsize=TITLE)
    return figure


def _loss_range(runs: Sequence[RunArrays]) -> tuple[float, float]:
    """Of one row: all levels and every held-out loss, and of the first training losses what comes near."""
    levels = [level for run in runs for level in run.levels.values()]
    lowest = [float(np.nanmin(run.held_out_loss_point)) for run in runs if np.isfinite(run.held_out_loss_point).any()]
    bottom, top = min([*levels, *lowest]), max(levels)
    return bottom - 0.06 * (top - bottom), top + 0.25 * (top - bottom)


def _loss_panel(ax: "Axes", run: RunArrays) -> None:
    record = run.record
    plain(ax)
    ax.plot(run.step_point, run.train_loss_point, color=TRAINING, linewidth=0.9, label="training")
    seen_point = np.isfinite(run.held_out_loss_point)
    ax.plot(
        run.step_point[seen_point],
        run.held_out_loss_point[seen_point],
        color=MODEL,
        linewidth=1.6,
        marker=".",
        markersize=4,
        label="held out",
    )
    for name in _LEVELS:
        reference_line(ax, run.levels.get(name), name)
    ax.set_xlim(left=0)
    skill = "" if record.skill is None else f": skill {record.skill:.4f}"
    ax.set_title(f"seed {record.seed}{skill}", fontsize=SMALL)


def _matrix_figure(runs: Sequence[RunArrays]) -> "Figure":
    figure = new_figure(max(3.3 * len(runs) + 1.0, 6.0), 7.0)
    axes = figure.subplots(2, len(runs), squeeze=False)
    # One scale for all panels, cut at a high quantile so that one large effect does not fade the others.
    shown = np.concatenate([np.abs(_off_diagonal(run.exact_GG)).ravel() for run in runs])
    limit = float(np.quantile(shown, 0.995)) or 1.0
    image = None
    for column, run in enumerate(runs):
        for row, (matrix_GG, title) in enumerate(((run.exact_GG, beside(run.record)), (run.recovered_GG, "recovered"))):
            ax = axes[row, column]
            image = ax.imshow(_off_diagonal(matrix_GG), cmap=DIVERGING, vmin=-limit, vmax=limit)
            i_E, j_E = np.nonzero(run.target_GG)
            size = 900 / len(run.target_GG) ** 2 + 0.5
            ax.scatter(j_E, i_E, s=size * 8, marker="s", facecolors="none", edgecolors="black", linewidths=0.6)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(f"seed {run.record.seed}: {title}", fontsize=SMALL)
    for ax in axes[:, 0]:
        ax.set_ylabel("gene i")
    for ax in axes[1]:
        ax.set_xlabel("gene j")
    first = runs[0].record
    if image is not None:
        both = first.read_out.endswith("partial")
        figure.colorbar(
            image, ax=axes, shrink=0.6, label="partial correlation of i and j" if both else "effect of i on j"
        )
    figure.suptitle(f"{first.regime}: {in_words(first.read_out)}\nboxes: {_edges(first)}", fontsize=TITLE)
    return figure


def beside(record: RunRecord) -> str:
    """What a read-out of the model is held against: of real cells no law is known."""
    return "exact law" if record.bayes_risk is not None else "linear predictor"


def _edges(record: RunRecord) -> str:
    target = record.target
    return f"edges of the\n{target}" if " " in target else f"{target} edges"


def _off_diagonal(matrix_GG: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.eye(len(matrix_GG), dtype=np.bool_), 0.0, matrix_GG)


def _precision_recall_figure(by_regime: dict[str, list[RunArrays]]) -> "Figure":
    figure = new_figure(3.9 * len(by_regime) + 0.4, 5.0)
    axes = figure.subplots(1, len(by_regime), squeeze=False, sharey=True)
    for ax, (regime, runs) in zip(axes[0], by_regime.items(), strict=True):
        plain(ax)
        reference_line(ax, runs[0].record.base_rate, "chance")
        for index, run in enumerate(runs):
            recall_point, precision_point = curve(run.exact_GG, run.target_GG)
            label = None if index else f"{beside(run.record)}, same read-out"
            ax.step(recall_point, precision_point, color=CEILING, linewidth=4, alpha=0.3, label=label)
        for run, colour in zip(runs, SERIES, strict=False):
            recall_point, precision_point = curve(run.recovered_GG, run.target_GG)
            label = f"seed {run.record.seed}: AUPRC {run.record.auprc:.3f}"
            ax.step(recall_point, precision_point, color=colour, linewidth=1.3, label=label)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.04), xlabel="recall")
        first = runs[0].record
        ax.set_title(f"{regime}: {_edges(first)}\nread from {in_words(first.read_out)}", fontsize=10)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=SMALL, frameon=False)
    axes[0, 0].set_ylabel("precision")
    return figure


def curve(
    score_GG: NDArray[np.float64], target_GG: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision (point,) as ever more edges are called, the strongest first."""
    symmetric = bool((target_GG == target_GG.T).all())
    strength_GG = np.abs(score_GG)
    if symmetric:
        strength_GG = np.maximum(strength_GG, strength_GG.T)
    score_E = entries(strength_GG, symmetric=symmetric).astype(np.float64)
    return precision_recall(score_E, entries(target_GG, symmetric=symmetric).astype(np.bool_))
