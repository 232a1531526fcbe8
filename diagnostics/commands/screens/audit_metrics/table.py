"""What ``audit-metrics`` shows and writes: for each metric what truth, noise and nothing get, and what follows."""

import csv
import io
import math
from collections.abc import Sequence

from diagnostics.audit.evaluation.cell_eval import SHORT
from diagnostics.audit.metrics.case import Design, ScreenFile
from diagnostics.audit.metrics.summary import MetricsAudit, Verdict
from diagnostics.cli.text import fill, table
from gpcp.core.intervals import Interval

FREE_FROM = 0.1
"""Part of a benchmark's scale from which points without information are named in the text."""

_COLUMNS = ("law", "mean", "copy", "empirical", "chance", "free", "copying")


def audit_text(found: MetricsAudit, subject: Design | ScreenFile) -> str:
    """All that the command prints of what it found."""
    parts = [_head(found, subject)]
    protocols = list(dict.fromkeys(one.protocol for one in found.verdicts))
    presets = [one for one in protocols if any(v.protocol == one != v.metric for v in found.verdicts)]
    for preset in presets:
        mine = [one for one in found.verdicts if one.protocol == preset and one.law_or_copy is not None]
        title = f"{preset}: 0 the scorer's baseline, 1 its replicate anchor"
        parts.append(_table(title, mine, empirical=False))
    others = [one for one in found.verdicts if one.protocol not in presets and one.law_or_copy is not None]
    if others:
        parts.append(
            _table("scPertEval: dynamic range fraction, 0 negative control, 1 perfect", others, empirical=True)
        )
        parts.append(_bds(others))
    parts.append("\n".join(_sentences(found)))
    parts.append(_legend(found))
    if found.notes:
        parts.append("\n".join(fill(one, first="- ", indent="  ") for one in found.notes))
    return "\n\n".join(part for part in parts if part)


def _head(found: MetricsAudit, subject: Design | ScreenFile) -> str:
    shape = found.shape
    size = f"{shape['cells']:,} cells of {shape['genes']:,} genes, {shape['perturbations']} perturbations scored"
    what = (
        f"{len(found.seeds)} worlds {subject.world}, one a seed: {size}"
        if isinstance(subject, Design)
        else f"{subject.path}: {size}, halved and held out by {len(found.seeds)} seeds"
    )
    law = "" if found.known else "; no exact law is known: empirical controls alone"
    return f"{what}{law}\n{', '.join(found.scorers)}; mean over seeds ± half of Student's 95 % interval"


def _table(title: str, verdicts: Sequence[Verdict], *, empirical: bool) -> str:
    head = [title, "exact law", "exact mean", "copy", *(["own control"] if empirical else [])]
    head += ["chance", "free", "copy - law"]
    rows: list[list[str]] = []
    for one in verdicts:
        cells = [
            one.law,
            one.mean,
            one.copy,
            *([one.empirical] if empirical else []),
            one.chance,
            one.free,
            one.copying,
        ]
        rows.append([SHORT.get(one.metric, one.metric), *map(span, cells)])
    return table(head, rows)


def _bds(verdicts: Sequence[Verdict]) -> str:
    rows = [[one.metric, span(one.bds_law), span(one.bds_empirical)] for one in verdicts]
    return table(["bound discrimination score", "exact law", "own control"], rows)


def _sentences(found: MetricsAudit) -> list[str]:
    """What follows, beyond chance."""
    shown = [one for one in found.verdicts if one.law_or_copy is not None]
    free = [one for one in shown if one.free is not None and one.free.above(FREE_FROM)]
    pays = [one for one in shown if one.copying_pays]
    above = [one for one in shown if one.law is not None and one.protocol != one.metric and one.law.above(1)]
    lines = [
        f"free: {_name(one)} gives {span(one.free)} of its scale to '{one.free_answer}', which has no information"
        for one in free
    ]
    if found.known:
        lines.append(f"copying noise beats the exact law in {len(pays)} of {len(shown)} metrics{_list(pays)}")
    if above:
        lines.append(f"the exact law lies above the 1 of the scale in {len(above)}{_list(above)}")
    return [fill(one, first="- ", indent="  ") for one in lines]


def _legend(found: MetricsAudit) -> str:
    text = (
        "copy: the reference itself, with its noise; chance: other perturbations' cells; free: the best of the answers "
        "without information (no change, mean response and mean of controls with spread and without, another depth, "
        "random data and its logarithm), chosen by its mean over seeds"
    )
    if found.known:
        text = (
            "exact law: fresh cells, as many as the reference has (scPertEval: as its half); exact mean: without "
            f"cell-to-cell spread; {text}"
        )
    return fill(text)


def _list(verdicts: Sequence[Verdict]) -> str:
    return f" ({', '.join(_name(one) for one in verdicts)})" if verdicts else ""


def _name(one: Verdict) -> str:
    return SHORT.get(one.metric, one.metric)


def span(found: Interval | None) -> str:
    """A mean and half of its interval."""
    if found is None:
        return "-"
    half = (found.high - found.low) / 2
    mean = f"{found.value:.2f}" if abs(found.value) < 100 else f"{found.value:.0e}"
    if not math.isfinite(half):
        return mean
    return f"{mean} ± {half:.2f}" if half < 100 else f"{mean} ± {half:.0e}"


def verdicts_csv(found: MetricsAudit) -> str:
    """A line for each metric."""
    head = ["protocol", "metric", "direction", "free_answer"]
    head += [f"{name}{end}" for name in (*_COLUMNS, "bds_law", "bds_empirical") for end in ("", "_low", "_high")]
    rows: list[list[str]] = []
    for one in found.verdicts:
        row = [one.protocol, one.metric, str(one.direction), one.free_answer]
        for name in (*_COLUMNS, "bds_law", "bds_empirical"):
            row += _three(getattr(one, name))
        rows.append(row)
    return _csv([head, *rows])


def entries_csv(found: MetricsAudit) -> str:
    """A line for each answer, metric, dial and dose."""
    head = ["protocol", "metric", "answer", "kind", "dial", "dose", "n_seeds"]
    head += [f"{name}{end}" for name in ("raw", "scaled", "bds") for end in ("", "_low", "_high")]
    rows: list[list[str]] = []
    for one in found.entries:
        known = one.raw or one.scaled
        row = [one.protocol, one.metric, one.answer, one.kind, one.dial, f"{one.dose:g}", str(known.n if known else 0)]
        rows.append([*row, *_three(one.raw), *_three(one.scaled), *_three(one.bds)])
    return _csv([head, *rows])


def _three(found: Interval | None) -> list[str]:
    return ["", "", ""] if found is None else [f"{one:.6g}" for one in (found.value, found.low, found.high)]


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
