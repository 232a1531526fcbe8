"""What ``power`` shows: the answer in sentences, limits by cells, by expression and by effect, and the graph."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diagnostics.audit.power.analysis import class_name
from diagnostics.audit.power.design import percent
from diagnostics.audit.power.limits import Crossing
from diagnostics.audit.power.surface import TESTS
from diagnostics.cli.text import table, wrap

if TYPE_CHECKING:
    from diagnostics.commands.power.run import PowerReport

NAMES = {"welch": "Welch t", "wilcoxon": "Wilcoxon"}
"""What tests are called."""

RULES = {
    "counts": "effects were planted by thinning its counts",
    "fold": "its counts are not known: effects multiply its levels, which flatters (zeros stay as many)",
    "shift": "its values are no logarithms of levels: effects were added",
}
"""How effects were planted."""


def text_of(report: "PowerReport") -> str:
    """All that is printed."""
    lines = [line for sentence in sentences(report) for line in wrap(sentence)]
    parts = [("\n".join(lines)), *(f"{title}\n{table(head, rows)}" for title, head, rows in tables(report))]
    return "\n\n".join(parts)


def sentences(report: "PowerReport") -> list[str]:
    """The answer to the question, and what it rests on."""
    found, design = report.detection, report.detection.design
    n_controls = design.controls or found.n_pilot
    best = _best({name: found.limit(name).value for name in found.trusted(design.cells)})
    wants = {name: found.needed(name).value for name in TESTS}
    kept = {name: n for name, n in wants.items() if n is not None and name in found.trusted(n)}
    quickest = _best(kept or wants)
    limit, needed = found.limit(best), found.needed(quickest)
    can = (
        f"With {design.cells} cells of a perturbation and {n_controls:,} controls no change up to "
        f"{percent(max(design.effect_grid), design.direction)} is found in {design.power:.0%} of the affected genes"
        if limit.value is None
        else f"With {design.cells} cells of a perturbation and {n_controls:,} controls, {NAMES[best]} finds "
        f"{design.power:.0%} of the genes that change by {change(limit, design.direction)} or more"
    )
    wanted = percent(design.effect, design.direction)
    takes = (
        f"A change of {wanted} cannot be found so often with up to {max(design.cells_grid):,} cells"
        if needed.value is None
        else f"A change of {wanted} takes {count(needed)} cells of a perturbation with {NAMES[quickest]}"
    )
    basis = (
        f"Pilot: {report.pilot}, {found.n_pilot:,} cells; {found.n_genes:,} genes that {design.expressed:.0%} of them "
        f"express or more; {RULES[found.rule]}. {design.affected:.0%} of the genes are affected; false discovery rate "
        f"{design.fdr:g}; intervals are of {design.level:.0%}, for the size of the pilot."
    )
    return [f"{can}. {takes}. {_expressed(report, best)}", basis, *_warnings(report)]


def _expressed(report: "PowerReport", test: str) -> str:
    """From which expression on the wanted effect is found."""
    found, design = report.detection, report.detection.design
    least, wanted = found.expression(test), percent(design.effect, design.direction)
    if least.value is None:
        return f"With {design.cells} cells, {NAMES[test]} misses {wanted} too often even in the most expressed genes."
    if least.below:
        return f"With {design.cells} cells, {wanted} is found in genes of every expression that is tested."
    return (
        f"With {design.cells} cells, {wanted} is found by {NAMES[test]} in genes that {share(least)} of the cells "
        "express or more."
    )


def _best(value_of: Mapping[str, float | None]) -> str:
    """The test with the smallest value."""
    return min(value_of, key=lambda name: float("inf") if (one := value_of[name]) is None else one)


def _warnings(report: "PowerReport") -> list[str]:
    found = report.detection
    effect = found.design.effect_grid.index(found.design.effect)
    lines: list[str] = []
    for test, name in enumerate(TESTS):
        false = dict(zip(found.design.cells_grid, found.false[test, effect].tolist(), strict=True))
        bad = [n for n in found.design.cells_grid if false[n] > 2 * found.design.fdr]
        if bad:
            lines.append(
                f"Note: up to {max(bad):,} cells, {NAMES[name]}'s p-values are too small on genes like these: of its "
                f"discoveries {false[min(bad)]:.0%} are false with {min(bad)} cells and {false[max(bad)]:.0%} with "
                f"{max(bad):,}, where {found.design.fdr:.0%} was asked for."
            )
    return lines


def tables(report: "PowerReport") -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, head and rows of each table."""
    found, design = report.detection, report.detection.design
    effect = design.effect_grid.index(design.effect)
    tests = [NAMES[name] for name in TESTS]
    limits = [
        [f"{n:,}"]
        + [change(found.limits[name][place], design.direction) for name in TESTS]
        + [f"{found.power[test, effect, place, 0]:.0%}" for test in range(len(TESTS))]
        + [f"{found.false[test, effect, place]:.0%}" for test in range(len(TESTS))]
        for place, n in enumerate(design.cells_grid)
    ]
    wanted = percent(design.effect, design.direction)
    needed = [
        [f"{size:g}", percent(size, design.direction), *(count(found.cells_needed[name][place]) for name in TESTS)]
        for place, size in enumerate(design.effect_grid)
    ]
    classes = [
        [class_name(number), f"{n:,}", *(change(found.class_limits[name][number], design.direction) for name in TESTS)]
        for number, n in enumerate(found.n_class)
        if n
    ]
    shown = [
        (
            f"limit of detection: the smallest change found in {design.power:.0%} of the affected genes",
            ["cells", *tests, *(f"{one}: {wanted}" for one in tests), *(f"{one}: false" for one in tests)],
            limits,
        ),
        (f"limit of detection by expression, {design.cells} cells", ["expressed in", "genes", *tests], classes),
        (
            f"expression from which on a change of {wanted} is found: share of the cells that express a gene",
            ["cells", *tests],
            [
                [f"{n:,}", *(share(found.expression_needed[name][place]) for name in TESTS)]
                for place, n in enumerate(design.cells_grid)
            ],
        ),
        ("cells needed, by effect", ["log fold change", "change", *tests], needed),
    ]
    return [*shown, *_graph_table(report)]


def _graph_table(report: "PowerReport") -> list[tuple[str, list[str], list[list[str]]]]:
    if report.graphs is None:
        return []
    graphs, design = report.graphs, report.graphs.design
    rows = [
        [f"{n:,}", NAMES.get(name, name)]
        + [
            f"{one.value:.2f} ({max(one.low, 0):.2f} .. {min(one.high, 1):.2f})"
            for one in (graphs.auprc[name][dose, n] for dose in design.doses)
        ]
        for n in design.n_cells
        for name in graphs.auprc
    ]
    title = (
        f"planted graph: AUPRC of the total effects of {design.n_targets} targets (chance {graphs.chance:.2f}), by the "
        f"change of a target{_of_model(report)}"
    )
    return [(title, ["cells", "estimator", *(percent(dose, "down") for dose in design.doses)], rows)]


def _of_model(report: "PowerReport") -> str:
    if report.model is None or report.graphs is None:
        return ""
    design = report.graphs.design
    return f"; {design.n_genes} genes; model: {report.model}, {report.n_steps:,} steps on each screen"


def change(limit: Crossing, direction: Any) -> str:
    """A limit of detection as a change in percent, with its interval."""
    if limit.value is None:
        return "-"
    shown = percent(limit.value, direction)
    if limit.below:
        return f"{shown} or less"
    ends = [percent(one, direction) if one is not None else "..." for one in (limit.low, limit.high)]
    return f"{shown} ({ends[0]} .. {ends[1]})"


def count(needed: Crossing) -> str:
    """A number of cells with its interval."""
    if needed.value is None:
        return "-"
    if needed.below:
        return f"{needed.value:.0f} or fewer"
    low = f"{needed.low:.0f}" if needed.low is not None else "..."
    high = f"{needed.high:.0f}" if needed.high is not None else "..."
    return f"{needed.value:.0f} ({low} .. {high})"


def share(least: Crossing) -> str:
    """A share of cells in percent, with its interval."""
    if least.value is None:
        return "-"
    if least.below:
        return f"{least.value:.0%} or less"
    low, high = (f"{one:.0%}" if one is not None else "..." for one in (least.low, least.high))
    return f"{least.value:.0%} ({low} .. {high})"


def csv_of(rows: Sequence[dict[str, Any]]) -> str:
    """A tidy table as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
