"""What ``audit`` does with its arguments: choose two panels, read the cells, measure, show and write."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from diagnostics.audit.audit import STAGES, HowPaired, PanelAudit, audit_panel
from diagnostics.audit.verdicts import can_teach, findings, verdict
from diagnostics.cli.ending import finish
from diagnostics.cli.options import named
from diagnostics.cli.progress import Stages
from diagnostics.commands.audit.command import Request
from diagnostics.commands.audit.figure import draw
from diagnostics.commands.audit.table import screen
from gpcp.core.files import to_json
from gpcp.opening.cells import open_annotation, open_cells, options_taken
from gpcp.panels.annotation import GeneAnnotation, notes_of_table
from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.panel import GenePanel, choose_genes, first_genes
from gpcp.panels.panel_file import read_genes
from gpcp.panels.statistics import GeneStatistics
from gpcp.sources.in_memory import InMemoryCells, sample_cells

N_AUTHOR = 100
AUTHOR, CHOSEN, BOTH = "author's setting", "chosen panel", "all genes"
MATCH = ("cell_type",)
MIN_EXPRESSED = 0.05


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A panel, and how its cells are paired: a column of the table.

    Parameters
    ----------
    name, summary : str
    genes : tuple of str
    paired : HowPaired or None
        None for the default, which the cells decide.
    """

    name: str
    summary: str
    genes: tuple[str, ...]
    paired: HowPaired | None


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Audit, show and write; 0 where the chosen panel's pairs can teach, else 1.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been written then.
    """
    with request.output.taken("audit") as out:
        return _audited(request, command_line, out)


def _audited(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    text, given = named(request.source), request.source.given()
    options = options_taken(text, given, but=("gene_table",))
    asked = None if request.panel is None else read_genes(request.panel)
    source = open_cells(text, genes=request.source.genes, **options)
    with Stages(2 + 2 * len(STAGES), quiet=request.output.quiet) as stages:
        stages("first pass")
        statistics = gene_statistics(
            source, seed=request.seed, max_cells=request.max_cells, on_progress=stages.within("cells")
        )
        columns = columns_of(request, statistics, asked, _notes(given.get("gene_table"), text, options))
        stages("reading cells")
        union = sorted({gene for column in columns for gene in column.genes})
        cells = sample_cells(source, union, max_cells=request.max_cells, seed=request.seed)
        audits = [_audit(column, cells, request, stages) for column in columns]
    provenance: str = getattr(source, "provenance", "")
    title = f"{text}: {len(cells):,} cells{'' if cells.whole else ', a random sample'}, {len(source.vocab):,} genes"
    shown = screen(audits, title=title + (f"; {provenance}" if provenance else ""))
    measured: dict[str, Any] = {
        "seed": request.seed,
        "source": text,
        "provenance": provenance,
        "panels": [
            {
                **to_json(audit),
                "verdict": verdict(audit),
                "can_teach": can_teach(audit),
                "findings": to_json(findings(audit)),
                "feature_id": list(column.genes),
            }
            for audit, column in zip(audits, columns, strict=True)
        ],
    }
    finish(
        request.output,
        out,
        shown,
        measured,
        files=("audit.txt", "audit.json"),
        draw=lambda: [draw(audits, out / "audit.png")],
        command_line=command_line,
        start_s=start_s,
    )
    return 0 if can_teach(audits[-1]) else 1


def columns_of(
    request: Request, statistics: GeneStatistics, asked: Sequence[str] | None, notes: GeneAnnotation
) -> list[Column]:
    """The author's setting and the chosen panel; one column where both are the same."""
    among = notes.of_biotype() if notes.biotype_of else None
    kind = "protein-coding genes" if among else "genes (which of them are protein-coding is not known)"
    known = [gene for gene in statistics.vocab.feature_id if among is None or gene in among]
    n_first = min(N_AUTHOR, len(known))
    first = first_genes(statistics, n_genes=n_first, among=among)
    first_summary = f"the first {n_first} {kind} in the source's order"
    paired = _paired(request)
    if asked is None:
        chosen = _chosen(request, statistics, among)
        genes, summary = chosen.feature_id, chosen.chosen_by
    else:
        # Asked for by name: unknown ones are refused with the nearest.
        statistics.vocab.tokens(asked)
        genes, summary = tuple(asked), f"the {len(asked)} genes of {str(request.panel)!r}"
    same = set(genes) == set(first.feature_id)
    if same and paired is None:
        return [Column(name=BOTH, summary=first_summary, genes=first.feature_id, paired=None)]
    author = Column(name=AUTHOR, summary=first_summary, genes=first.feature_id, paired=None)
    return [author, Column(name=CHOSEN, summary=summary, genes=genes, paired=paired)]


def _chosen(request: Request, statistics: GeneStatistics, among: frozenset[str] | None) -> GenePanel:
    """The genes of largest variance, or as ``--by`` says, that enough cells express."""
    usable = statistics.expressed_share_G >= MIN_EXPRESSED
    n_usable = int((usable & (np.isin(statistics.vocab.feature_id, list(among)) if among else usable)).sum())
    n_genes = request.n_genes or max(2, min(N_AUTHOR, n_usable))
    return choose_genes(
        statistics, n_genes=n_genes, among=among, by=request.by, min_expressed=MIN_EXPRESSED, min_measured=0.5
    )


def _notes(table: str | None, text: str, options: Mapping[str, Any]) -> GeneAnnotation:
    """Kinds of genes, from a table that was given or from the source."""
    return notes_of_table(table) if table is not None else open_annotation(text, **options)


def _paired(request: Request) -> HowPaired | None:
    """How the chosen panel is paired; None where nothing was asked."""
    pairs = request.pairs
    other = (pairs.differ_on, request.prefer_on, pairs.n_perturbed)
    if pairs.match_on is None and not any(other) and request.best_of == 1:
        return None
    return HowPaired(
        match_on=MATCH if pairs.match_on is None else pairs.match_on,
        differ_on=pairs.differ_on,
        prefer_on=request.prefer_on,
        best_of=request.best_of,
        n_perturbed=pairs.n_perturbed,
    )


def _audit(column: Column, cells: InMemoryCells, request: Request, stages: "Stages") -> PanelAudit:
    default = HowPaired(match_on=tuple(name for name in MATCH if name in cells.index.covariates))
    return audit_panel(
        cells.genes(column.genes),
        column.paired or default,
        name=column.name,
        panel_summary=column.summary,
        max_pairs=request.max_pairs,
        seed=request.seed,
        on_stage=lambda stage: stages(f"{column.name}: {stage}"),
    )
