"""What ``power`` does: read the pilot, plant, test, keep what is finished, write table, curves, figure and page."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from diagnostics.audit.power.analysis import DetectionPower, detection_power
from diagnostics.audit.power.design import PowerDesign
from diagnostics.cli.options import named
from diagnostics.cli.progress import Progress
from diagnostics.cli.text import show
from diagnostics.commands.power.command import Request
from diagnostics.commands.power.graphs import budget_of, graphs_found
from diagnostics.graphs.planted import GraphRecovery
from diagnostics.inputs.planted.untreated import untreated_cells
from diagnostics.results.report import versions
from diagnostics.runs.store import ResultStore
from gpcp.core.files import to_json, write_text
from gpcp.opening.stamps import stamp_of
from simulators.spike_ins.real_cells import RealCells, real_cells

_FORMAT = 2


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PowerReport:
    """All that was found.

    Parameters
    ----------
    source, pilot : str
        Where the cells came from, and what they are.
    seed : int
    detection : DetectionPower
    graphs : GraphRecovery or None
    model : str or None
        That was trained on every planted graph.
    n_steps : int
        Of its training.
    seconds, cpu_seconds : float
    """

    source: str
    pilot: str
    seed: int
    detection: DetectionPower
    graphs: GraphRecovery | None
    model: str | None
    n_steps: int
    seconds: float
    cpu_seconds: float


def execute(request: Request, design: PowerDesign, command_line: Sequence[str]) -> int:
    """Plant, test, show and write.

    Raises
    ------
    InputError
        As the source, or the pilot is too small.
    """
    from diagnostics.commands.power.figures import curves_figure
    from diagnostics.commands.power.page import page
    from diagnostics.commands.power.table import csv_of, text_of

    with request.output.taken("power") as folder:
        report = _measured(request, design, folder)
        text = text_of(report)
        content = {"format": _FORMAT, "command": list(command_line), "versions": versions(), **json_of(report)}
        request.output.keep(folder / "results.json", content)
        write_text(folder / "table.txt", text + "\n")
        write_text(folder / "curves.csv", csv_of(report.detection.rows()))
        if report.graphs is not None:
            write_text(folder / "graph_curves.csv", csv_of(report.graphs.rows()))
        curves_figure(report, folder / "power.png")
        write_text(folder / "report.html", page(report, command_line))
    show(text)
    if not request.output.quiet:
        show(f"\n{report.seconds:.0f} s; report.html, table.txt, curves.csv, results.json and power.png in {folder}/")
    return 0


def _measured(request: Request, design: PowerDesign, folder: Path) -> PowerReport:
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    source, options = named(request.source), request.source.given()
    cells, pilot = untreated_cells(source, genes=request.source.genes, **options)
    real = real_cells(cells, max_cells=request.max_cells, seed=request.seed)
    stamp = stamp_of(source, **options)
    key = _key(source, stamp, real, options, request.seed)
    store = ResultStore(folder / "finished.jsonl")
    known = {} if request.fresh else store.read()
    detection = _detection(real, design, store, known, key, request)
    graphs = None if request.no_graph else graphs_found(real, store, key, request)
    return PowerReport(
        source=source,
        pilot=pilot,
        seed=request.seed,
        detection=detection,
        graphs=graphs,
        model=None if graphs is None else request.model,
        n_steps=budget_of(request).n_steps,
        seconds=time.perf_counter() - start_s,
        cpu_seconds=time.process_time() - start_cpu_s,
    )


def _key(source: str, stamp: str, real: RealCells, options: Mapping[str, Any], seed: int) -> str:
    """What decides a result, beside its own design."""
    about = [source, stamp, sorted((name, str(value)) for name, value in options.items()), seed, len(real), _FORMAT]
    values = hashlib.blake2b(np.ascontiguousarray(real.value_NG).tobytes(), digest_size=8).hexdigest()
    return hashlib.blake2b(json.dumps([about, values]).encode(), digest_size=8).hexdigest()


def _detection(
    real: RealCells, design: PowerDesign, store: ResultStore, known: Mapping[str, Any], key: str, request: Request
) -> DetectionPower:
    # What is found at one number of cells depends neither on the others nor on the power that is wanted.
    own = asdict(design) | {"n_cells": None, "cells": None, "power": None, "level": None, "effects": design.effect_grid}
    name = json.dumps([key, "detection", own | {"effect": None}])
    kept = {
        n: np.array(known[at]["found"], dtype=np.float64) for n in design.cells_grid if (at := f"{name} {n}") in known
    }
    with Progress(
        "experiments", len(design.cells_grid), unit="numbers of cells", quiet=request.output.quiet
    ) as progress:
        return detection_power(
            real,
            design,
            seed=request.seed,
            kept=kept,
            keep=lambda n, found: _add(store, f"{name} {n}", found),
            on_progress=progress.of_total,
        )


def _add(store: ResultStore, key: str, found: "np.ndarray[Any, Any]") -> None:
    store.add({"key": key, "found": found.tolist()})


def json_of(report: PowerReport) -> dict[str, Any]:
    """The report as JSON's types.

    ``limits`` and ``expression_needed`` go along ``cells``, ``cells_needed`` along ``effects``.
    """
    found = report.detection
    content: dict[str, Any] = {
        "source": report.source,
        "pilot": report.pilot,
        "seed": report.seed,
        "design": asdict(found.design),
        "n_pilot": found.n_pilot,
        "n_genes": found.n_genes,
        "planted_by": found.rule,
        "effects": list(found.design.effect_grid),
        "cells": list(found.design.cells_grid),
        "limits": to_json({name: [asdict(one) for one in many] for name, many in found.limits.items()}),
        "limits_by_expression": to_json({k: [asdict(one) for one in many] for k, many in found.class_limits.items()}),
        "cells_needed": to_json({name: [asdict(one) for one in many] for name, many in found.cells_needed.items()}),
        "expression_needed": to_json({k: [asdict(one) for one in many] for k, many in found.expression_needed.items()}),
        "curves": found.rows(),
        "seconds": report.seconds,
        "cpu_seconds": report.cpu_seconds,
    }
    if report.graphs is not None:
        content["graph"] = {
            "model": report.model,
            "n_steps": report.n_steps if report.model else None,
            "design": asdict(report.graphs.design),
            "chance": report.graphs.chance,
            "curves": report.graphs.rows(),
        }
    return content
