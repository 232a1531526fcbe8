"""What ``evaluate`` shows: scores with their intervals, the same between baseline and replicate, and what follows."""

from collections.abc import Iterable, Mapping, Sequence

from diagnostics.audit.evaluation.cell_eval import SHORT
from diagnostics.audit.evaluation.data import ScreenData
from diagnostics.audit.evaluation.evaluate import Evaluation
from diagnostics.audit.evaluation.leak import LEVEL
from diagnostics.audit.evaluation.results import MEAN_RESPONSE, Row
from diagnostics.audit.evaluation.shape import SET_SIZE, Floor
from diagnostics.cli.text import fill, table
from gpcp.core.intervals import Interval

_ORDER = ("exact", "reference", "prediction", "baseline")


def screen_text(screen: ScreenData, found: Evaluation) -> str:
    """All that the command prints of what it found."""
    parts = [_head(screen, found), _table("score", found, {row.name: row.values for row in found.rows})]
    if any(row.scaled for row in found.rows):
        values = {row.name: row.scaled for row in found.rows}
        parts.append(_table("0 baseline, 1 replicate", found, values, scaled=True))
    parts.append(_shapes(found))
    parts.append("\n".join([*verdicts(found), *uses(found), *leaks(found)]))
    notes = [f"{row.name}: {row.note}" for row in found.rows if row.note]
    notes += [f"left out: {one}" for one in found.left_out] + list(found.adapted)
    parts.append("\n".join(fill(one, first="- ", indent="  ") for one in notes))
    return "\n\n".join(parts)


def _head(screen: ScreenData, found: Evaluation) -> str:
    n_test, n_train = len(found.split.test), len(found.split.train)
    lines = [
        f"{screen.name}: {len(screen.label_B):,} cells of {len(screen.genes):,} genes, {screen.scale}; "
        f"{n_train} training and {n_test} test perturbations in {len(screen.contexts)} "
        f"{'context' if len(screen.contexts) == 1 else 'contexts'}",
        f"columns: {screen.columns.summary}",
        f"scores of {found.scorer}; +: more is better, -: less; below each its 95 % interval over test perturbations",
    ]
    return "\n".join(fill(line, indent="  ") for line in lines)


def shown_metrics(found: Evaluation) -> tuple[str, ...]:
    """The six scores of the challenge, or the first eight of another preset."""
    six = tuple(one for one in found.metrics if one in SHORT)
    return six or found.metrics[:8]


def _table(
    title: str, found: Evaluation, values_of: Mapping[str, Mapping[str, Interval]], *, scaled: bool = False
) -> str:
    metrics = [one for one in shown_metrics(found) if any(one in values for values in values_of.values())]
    signs = {one: "" if scaled else _sign(found.directions[one]) for one in metrics}
    head = [title, *(f"{SHORT.get(one, one)} {signs[one]}".strip() for one in metrics)]
    rows: list[list[str]] = []
    for row in ordered(found.rows):
        values = values_of[row.name]
        if not values:
            continue
        rows.append([row.name, *(_number(values[one].value) if one in values else "-" for one in metrics)])
        rows.append(["", *(_span(values[one]) if one in values else "" for one in metrics)])
    return table(head, rows)


def _shapes(found: Evaluation) -> str:
    known = any(row.leak for row in found.rows)
    head = ["cells", "collapse", "spread", "energy", "MMD", "Sinkhorn", *(["noise shared", "p"] if known else [])]
    rows: list[list[str]] = []
    for row in ordered(found.rows):
        if row.shape is None:
            continue
        numbers = [f"{row.shape.collapse:.2f}", f"{row.shape.spread:.2f}", f"{row.shape.energy:.3f}"]
        numbers += [f"{row.shape.mmd:.3f}", f"{row.shape.sinkhorn:.3f}"]
        if row.leak is not None:
            numbers += [f"{row.leak.correlation:.2f}", f"{row.leak.p:.1g}"]
        rows.append([row.name, *numbers])
    about = (
        "collapse: variance across perturbations over the screen's, 0 where all have one answer; spread: variance "
        f"between cells over the screen's; energy, MMD, Sinkhorn: distances between {SET_SIZE} predicted and as many "
        "real cells, where there are as many, of which the exact sampler's is the floor: they are not 0 for the truth"
    )
    if found.floor is not None:
        rows.append(["truth against truth", "", "", *(f"{one:.3f}" for one in _floor(found.floor))])
        about += f"; truth against truth: {found.floor.n} real cells and as many others of the same perturbation"
    if known:
        about += "; noise shared: correlation of an answer's error with the noise of the very test cells"
    return "\n".join([table(head, rows), fill(about)])


def _floor(found: Floor) -> tuple[float, float, float]:
    return found.energy, found.mmd, found.sinkhorn


def leaks(found: Evaluation) -> list[str]:
    """A line for each prediction that has seen the cells that it is scored on."""
    return [
        line
        for row in found.rows
        if row.leak is not None and row.leak.accused and row.kind == "prediction"
        for line in fill(
            f"- LEAK: {row.name} depends on the noise of the test cells themselves (correlation "
            f"{row.leak.correlation:.2f}, p {row.leak.p:.1g} below {LEVEL:g}): no prediction from other cells can",
            indent="  ",
        ).splitlines()
    ]


def ordered(rows: Iterable[Row]) -> list[Row]:
    """The exact answers first, then references, predictions and baselines."""
    return sorted(rows, key=lambda row: _ORDER.index(row.kind))


def verdicts(found: Evaluation) -> list[str]:
    """For each answer that is compared: in which scores it beats the mean response, and in which it does not."""
    lines: list[str] = []
    shown = set(shown_metrics(found))
    for name in dict.fromkeys(one.name for one in found.comparisons):
        mine = [one for one in found.comparisons if one.name == name and one.metric in shown]
        metrics = list(dict.fromkeys(one.metric for one in mine))
        beaten = [m for m in metrics if all(one.difference.above(0) for one in mine if one.metric == m)]
        rest = [m for m in metrics if m not in beaten]
        worse = [m for m in metrics if any(one.difference.high < 0 for one in mine if one.metric == m)]
        text = f"{name} beats the mean response in {len(beaten)} of {len(metrics)} scores"
        text += f" ({_names(beaten)})" if beaten else ""
        text += f", and does not in {_names(rest)}" if rest else ""
        text += f"; it is worse in {_names(worse)}" if worse else ""
        lines += fill(text, first="- ", indent="  ").splitlines()
    if lines:
        lines.insert(0, f"Beyond chance, and both {MEAN_RESPONSE[0]} with and without cell-to-cell spread:")
    return lines


def uses(found: Evaluation) -> list[str]:
    """For each prediction and what was taken from it: in which scores it loses by that beyond chance."""
    shown = set(shown_metrics(found))
    lines: list[str] = []
    for name, what in dict.fromkeys((one.name, one.against) for one in found.ablations):
        mine = [one for one in found.ablations if (one.name, one.against) == (name, what) and one.metric in shown]
        lost = [one for one in mine if one.difference.above(0)]
        losses = ", ".join(
            f"{SHORT.get(one.metric, one.metric)} {_number(one.difference.value)} ({_span(one.difference)})"
            for one in lost
        )
        text = f"{name} uses {what}: without it it loses {losses}" if lost else ""
        text = text or f"{name} shows no use of {what}: without it no score is lower beyond chance"
        lines += fill(text, first="- ", indent="  ").splitlines()
    return lines


def _names(metrics: Sequence[str]) -> str:
    return ", ".join(SHORT.get(one, one) for one in metrics)


def _sign(direction: int) -> str:
    return {1: "+", -1: "-"}.get(direction, "")


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1e}"


def _span(found: Interval) -> str:
    return f"{_short(found.low)}..{_short(found.high)}"


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0e}"
