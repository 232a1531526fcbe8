"""The timeline of ``throughput``: who read, who waited and who computed, synchronous training above prefetched.

Both panels have one scale of time.
"""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from diagnostics.cli.figures import CLASSICAL, MODEL, SMALL, TITLE, new_figure, save
from diagnostics.throughput.pass_times import PassTimes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_READ, _STEP, _WAIT = CLASSICAL, MODEL, "#f5cfa8"
_N_STEPS = 14
"""Steps that are shown at least, of the slower of the two passes."""


def draw_timeline(synchronous: PassTimes, prefetched: PassTimes, path: Path, *, title: str) -> Path:
    """Draw the beginning of two passes over the same batches, and write the figure whole; its path.

    Parameters
    ----------
    synchronous, prefetched : PassTimes
    path : Path
        Its ending says which kind of file, such as ``.png`` or ``.svg``.
    title : str
    """
    until_s = shown_s(synchronous, prefetched)
    figure = new_figure(11.0, 4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2, 3.2]})
    _plain_panel(upper, synchronous, until_s)
    _ahead_panel(lower, prefetched, until_s)
    unit_s, unit = (1e-3, "ms") if until_s < 2 else (1.0, "s")

    def in_unit(value: float, place: int) -> str:
        del place
        return f"{value / unit_s:g}"

    for ax in (upper, lower):
        ax.set_xlim(0, until_s)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_formatter(in_unit)
    lower.set_xlabel(f"{unit} since the pass began")
    handles = dict(zip(*reversed(lower.get_legend_handles_labels()), strict=True))
    handles |= dict(zip(*reversed(upper.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL)
    figure.suptitle(title, fontsize=TITLE)
    return save(figure, path)


def shown_s(synchronous: PassTimes, prefetched: PassTimes) -> float:
    """Seconds that are shown: some steps of both and the longest read twice, or all that there is."""
    first_s = max(synchronous.first_batch_s, prefetched.first_batch_s)
    long_s = float(synchronous.wait_s[1:].max())
    wanted_s = first_s + max(_N_STEPS * synchronous.batch_s, 2.5 * long_s)
    return min(wanted_s, max(float(synchronous.got_s[-1]), float(prefetched.got_s[-1])))


def _bars(
    ax: "Axes", row: float, from_batch: NDArray[np.float64], to_batch: NDArray[np.float64], colour: str, label: str
) -> None:
    """Spans of time; those that follow one another are separated by a thin gap."""
    spans = list(zip(from_batch.tolist(), (to_batch - from_batch).tolist(), strict=True))
    ax.broken_barh(spans, (row - 0.36, 0.72), facecolors=colour, edgecolors="white", linewidth=0.6, label=label)


def _n_done(one: PassTimes, until_s: float) -> str:
    n_done = int((one.done_s[:-1] <= until_s).sum())
    each = f"{one.batch_s:.3g} s" if one.batch_s >= 1 else f"{1e3 * one.batch_s:.3g} ms"
    return f"{n_done} steps done in the time shown; {each} a batch"


def _plain_panel(ax: "Axes", one: PassTimes, until_s: float) -> None:
    # A consumer that waits for its own reading reads.
    _bars(ax, 1, one.asked_s, one.got_s, _READ, "reads")
    _bars(ax, 0, one.got_s[:-1], one.done_s[:-1], _STEP, "steps")
    ax.set_yticks([1, 0], ["reading", "model"], fontsize=SMALL)
    ax.set_ylim(-0.6, 1.6)
    ax.set_title(f"synchronous: {_n_done(one, until_s)}", loc="left", fontsize=TITLE)


def _ahead_panel(ax: "Axes", one: PassTimes, until_s: float) -> None:
    if len(one.read_from_s):
        _bars(ax, 2, one.read_from_s, one.read_to_s, _READ, "reads")
    time_s, queued_E = one.queued()
    shown_E = queued_E[time_s <= until_s]
    most = max(1, int(shown_E.max(initial=0)))
    ax.fill_between(
        time_s, 0.64 + 0 * queued_E, 0.64 + 0.72 * queued_E / most, step="post", color="#bdbdbd", label="lies ready"
    )
    _bars(ax, 0, one.got_s[:-1], one.done_s[:-1], _STEP, "steps")
    _bars(ax, 0, one.asked_s, one.got_s, _WAIT, "the model waits, or makes a batch ready")
    ax.set_yticks([2, 1, 0], ["reader's thread", f"queue, up to {most}", "model"], fontsize=SMALL)
    ax.set_ylim(-0.6, 2.6)
    ax.set_title(f"prefetched: {_n_done(one, until_s)}", loc="left", fontsize=TITLE)
