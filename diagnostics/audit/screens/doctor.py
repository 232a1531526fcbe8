"""All checks of a screen in their order, and ``check_screen``, which carries them out on a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from diagnostics.audit.screens import alignment, contexts, design, duplicates, names, targets, values
from diagnostics.audit.screens.check import ScreenCheck
from diagnostics.audit.screens.reading import AS_RECOGNISED, MAX_CELLS, Asked, read_screen
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult
from diagnostics.results.rendering import outcome_text, titled
from gpcp.core.files import to_json
from gpcp.core.html import html_table

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

SCREEN_CHECKS: tuple[ScreenCheck, ...] = tuple(
    ScreenCheck(code=code, name=name, question=question, function=function)
    for code, name, question, function in (
        ("SC101", "values.finite", "is every value finite?", values.finite),
        ("SC102", "values.kind", "counts, or logarithms, and one of them alone?", values.one_kind),
        ("SC103", "values.depth", "are batches of one cell type about as deep?", values.depth),
        ("SC104", "values.empty", "does every cell express something?", values.none_empty),
        ("SC201", "design.labels", "does every cell have a label that says what was done?", design.labels_present),
        ("SC202", "design.cells", "has each perturbation cells enough?", design.n_cells),
        ("SC203", "design.controls", "are there controls wherever cells are perturbed?", design.controls_everywhere),
        ("SC204", "design.guides", "has each guide one perturbation?", design.guides_mean_one_thing),
        ("SC205", "design.guide_balance", "has no perturbation nearly one guide alone?", design.guides_balanced),
        ("SC301", "names.spelling", "is no label another one misspelt?", names.spelling),
        ("SC302", "names.genes", "has each gene one name, of one form?", names.gene_names),
        ("SC303", "names.targets", "are targets measured genes?", names.targets_measured),
        ("SC401", "duplicates.cells", "is each cell there once?", duplicates.cells_once),
        ("SC402", "duplicates.splits", "is no cell in two splits?", duplicates.splits_disjoint),
        ("SC501", "effects.targets", "is each target changed as its kind lets expect?", targets.targets_changed),
        ("SC502", "effects.labels", "do labels explain any expression?", alignment.labels_explain),
        ("SC503", "effects.in_step", "do labels fit their own rows best?", alignment.labels_in_step),
        ("SC504", "effects.contexts", "do cell types go with expression?", contexts.contexts_agree),
    )
)
"""In the order in which they are shown."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenReport:
    """What was found in a screen.

    Parameters
    ----------
    screen : Screen
    results : tuple of CheckResult
    """

    screen: Screen
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """What is wrong with the file."""
        return tuple(one for one in self.results if one.outcome == "fail")

    def _repr_html_(self) -> str:
        screen = self.screen
        rows = [(outcome_text(one), titled(one), one.message, one.next_step) for one in self.results]
        size = f"{len(screen):,} cells x {len(screen.gene_G):,} genes, {len(screen.n_of):,} perturbations"
        head = ("outcome", "check", "what was measured", "next step")
        return html_table(f"{screen.name}: {size}", rows, head=head, note=f"read as: {screen.columns.summary}")

    def to_json(self) -> dict[str, Any]:
        """Everything that was found, as JSON's types."""
        screen = self.screen
        return {
            "file": screen.name,
            "columns": to_json({name: getattr(screen.columns, name) for name in screen.columns.__slots__}),
            "layer": screen.layer,
            "values": screen.look.kind,
            "n_cells": len(screen),
            "n_genes": len(screen.gene_G),
            "n_perturbations": len(screen.n_of),
            "n_controls": int(screen.control_N.sum()),
            "seed": screen.seed,
            "notes": list(screen.notes),
            "results": [one.to_json() for one in self.results],
        }


def check_screen(
    path: "str | Path | AnnData",
    *,
    asked: Asked = AS_RECOGNISED,
    max_cells: int = MAX_CELLS,
    seed: int = 0,
    checks: Sequence[ScreenCheck] = SCREEN_CHECKS,
) -> ScreenReport:
    """Check the file of a perturbation screen: values, labels, controls, guides, and labels against expression.

    Parameters
    ----------
    path : str, Path or AnnData
        An AnnData file, or what else :class:`gpcp.sources.h5ad.cells.H5adCells` reads.
    asked : Asked
        Columns and labels that are given rather than recognised.
    max_cells : int
        Cells whose expression is kept; labels, totals and targets are read of all.
    seed : int
        Which cells, where there are more.
    checks : sequence of ScreenCheck
        All by default.

    Raises
    ------
    InputError
        The file cannot be read, or its columns are not recognised and not given.

    Examples
    --------
    >>> report = check_screen("screen.h5ad")  # doctest: +SKIP
    >>> [result.message for result in report.failed]  # doctest: +SKIP
    """
    screen = read_screen(path, asked=asked, max_cells=max_cells, seed=seed)
    return ScreenReport(screen=screen, results=tuple(check(screen) for check in checks))
