"""The report of ``recover-graph``: losses, matrices, graphs, settings and versions in one HTML file."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from diagnostics.cli.pages import outcome_class, render
from diagnostics.cli.svg import svg
from diagnostics.cli.text import duration, interval, number, score, whole_span
from diagnostics.commands.recover_graph.figures import RunArrays, beside, figures_of
from diagnostics.commands.recover_graph.table import about
from diagnostics.commands.recover_graph.verdicts import linear_loss, share_of_linear
from diagnostics.results.report import Report
from diagnostics.results.run_record import RunRecord, in_words

TEMPLATE = Path(__file__).with_name("report.html")

_ON = "Losses are mean squared errors on the same held-out pairs."
_LEGENDS = {
    True: f"{_ON} Of way: 0 is the input-free baseline, 1 the best linear predictor, which can be passed. The ceiling "
    "is the AUPRC of the linear predictor through the same read-out.",
    False: f"{_ON} Skill: 0 is the input-free baseline, 1 the exact answer. The ceiling is the AUPRC of the exact law "
    "through the same read-out.",
}
"""How the table of runs is read: of real cells, and of a known world."""

_LOSSES, _LOSSES_OF_CELLS = ("Bayes risk", "ridge", "skill"), ("ridge", "best linear", "of way")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A figure of the report.

    Parameters
    ----------
    title, message : str
        What it is, and how it is read.
    svg : str
    """

    title: str
    message: str
    svg: str


def report_page(runs: Sequence[RunArrays], report: Report, *, command: Sequence[str], seconds: float) -> str:
    """The whole page.

    Parameters
    ----------
    runs : sequence of RunArrays
    report : Report
        Of the same runs.
    command : sequence of str
        That gives it again.
    seconds : float
        What it cost.
    """
    records = [run.record for run in runs]
    real = records[0].bayes_risk is None
    between = _LOSSES_OF_CELLS if real else _LOSSES
    judged = [one for one in report.results if one.outcome in ("pass", "fail")]
    return render(
        TEMPLATE,
        report=report,
        kind=outcome_class(report.results),
        n_passed=sum(one.outcome == "pass" for one in judged),
        n_judged=len(judged),
        about=about(records),
        head=("regime", "seed", "baseline", "loss", *between, "AUPRC", "95 % CI", "chance", "ceiling"),
        legend=_LEGENDS[real],
        rows=[_row(record) for record in records],
        figures=drawings(runs),
        settings=_settings(records, report, seconds),
        command=shlex.join(command),
    )


def drawings(runs: Sequence[RunArrays]) -> list[Drawing]:
    """Every figure with its title and how it is read."""
    return [
        Drawing(title=title, message=message, svg=svg(figure, title))
        for name, figure in figures_of(runs).items()
        for title, message in [_words(name, runs[0].record)]
    ]


def _words(name: str, record: RunRecord) -> tuple[str, str]:
    law, real = beside(record), record.bayes_risk is None
    kind, _, regime = name.removesuffix(".png").partition("_")
    if kind == "loss":
        best = "loss of the best linear predictor" if real else "Bayes risk"
        return "Losses", f"Training and held-out loss between the input-free baseline and the {best}."
    if kind == "precision":
        return "Precision and recall", (
            "Precision and recall as ever more edges are called, the strongest first; the wide green line is the "
            f"{law} through the same read-out."
        )
    if kind == "matrices":
        return f"Matrices: {regime}", (
            f"Above the read-out of the {law}, below that of the trained model, on one scale; boxes are "
            + ("edges of the data's own graph." if real else "true edges.")
        )
    return f"Graph: {regime}", (
        f"The seed that did worst. As many edges are called as there are {'in the data' if real else 'true ones'}: "
        "found (solid), missed (dotted), invented (dashed)."
    )


def _row(record: RunRecord) -> list[str]:
    return [
        record.regime,
        str(record.seed),
        number(record.baseline_loss),
        number(record.loss),
        *_between(record),
        score(record.auprc, 3),
        interval(score(record.ci_low, 3), score(record.ci_high, 3)),
        score(record.base_rate, 3),
        score(record.ceiling_auprc, 3),
    ]


def _between(record: RunRecord) -> list[str]:
    if record.bayes_risk is None:
        return [number(record.ridge_loss), number(linear_loss(record)), score(share_of_linear(record))]
    return [number(record.bayes_risk), number(record.ridge_loss), score(record.skill)]


def _settings(records: Sequence[RunRecord], report: Report, seconds: float) -> dict[str, str]:
    """What was run, and with what."""

    def each(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(values))

    return {
        "World": each([record.world for record in records]),
        "Regimes": each([record.regime for record in records]),
        "Read-outs": each([f"{record.regime}: {in_words(record.read_out)}" for record in records]),
        "Target graphs": each([f"{record.regime}: {record.target}" for record in records]),
        "Seeds": each([str(record.seed) for record in records]),
        "Perturbed genes": each([whole_span(*record.n_perturbed) for record in records]),
        "Preset": each([record.preset for record in records]),
        "Parameters": each([f"{record.n_parameters:,}" for record in records]),
        "Training": each([f"{record.n_pairs:,} pairs in {record.n_steps:,} steps" for record in records]),
        "Held-out pairs": each([f"{record.n_held_out:,}" for record in records]),
        "Time": duration(seconds),
        "Versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }
