"""What ``recover-graph`` does with a screen: plan the runs, do them, show and write what came out."""

import csv
import io
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.cli.ending import finish
from diagnostics.cli.experiments import cells_fields
from diagnostics.cli.options import n_workers
from diagnostics.cli.progress import EndingRuns
from diagnostics.cli.text import width
from diagnostics.commands.recover_graph.command import Request
from diagnostics.commands.recover_graph.screens.figure import draw_responses
from diagnostics.commands.recover_graph.screens.one_run import carry_out, check_screen_run
from diagnostics.commands.recover_graph.screens.page import screen_page
from diagnostics.commands.recover_graph.screens.table import screen_table
from diagnostics.commands.recover_graph.screens.verdicts import screen_verdicts
from diagnostics.commands.recover_graph.training import budget_of
from diagnostics.inputs.data import N_GENES
from diagnostics.results.report import Report
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.experiment import Experiment
from diagnostics.runs.folder import ARRAYS, folder_of, keep_results
from diagnostics.runs.store import Record, ResultStore
from gpcp.core.files import write_text
from gpcp.training.config import FitConfig

RESPONSES = "responses.csv"
"""The graph that was read out: a row for each seed, perturbation and gene."""


def execute_screen(request: Request, command_line: Sequence[str], out: Path) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained or written then.
    """
    start_s = time.perf_counter()
    jobs = runs_of(request)
    store = ResultStore(out / "runs.jsonl")
    keep_results(jobs, store, out, resume=not request.fresh)
    with EndingRuns(len(jobs), unit="runs", quiet=request.output.quiet) as progress:

        def shown(ended: Ended) -> None:
            if not ended.resumed:
                record = ended.record
                progress.ended(ended.n_left, f"seed {record['seed']}: loss {record['loss']:.4f}")

        records = execute_runs(
            jobs,
            partial(carry_out, out=out),
            store,
            workers=n_workers(request.workers),
            scheduler=request.scheduler,
            cost=lambda run: run.n_steps,
            on_run=shown,
            on_step=progress.step,
        )
    report = Report(
        results=screen_verdicts(records),
        world=jobs[0].title,
        seed=tuple(sorted({int(record["seed"]) for record in records})),
    )
    folders = [folder_of(out, job) for job in jobs]
    _show_and_write(request, command_line, out, folders, records, report, start_s)
    return report.exit_code


def runs_of(request: Request) -> list[Experiment]:
    """A run for each seed, each checked to the end.

    Raises
    ------
    InputError
        An option has no meaning for a screen, or as :func:`check_screen_run`.
    """
    of_worlds = {"--dose-sd": request.dose_sd, "--regime": request.regimes, "--n-perturbed": request.n_perturbed}
    fields = cells_fields(request.source, n_genes=request.n_genes, regimes=(), of_worlds=of_worlds)
    budget = budget_of(request.preset, "interventional", request.n_genes or N_GENES, linear=False)
    rate = FitConfig().learning_rate if request.learning_rate is None else request.learning_rate
    jobs = [
        Experiment(
            **fields,
            preset=request.preset,
            n_steps=request.steps or budget.n_steps,
            batch_size=request.batch_size or budget.batch_size,
            learning_rate=rate,
            n_held_out=budget.n_held_out,
            seed=seed,
        )
        for seed in request.seeds
    ]
    for job in jobs:
        check_screen_run(job)
    return jobs


def _show_and_write(
    request: Request,
    command_line: Sequence[str],
    out: Path,
    folders: Sequence[Path],
    records: Sequence[Record],
    report: Report,
    start_s: float,
) -> None:
    def draw() -> list[Path]:
        write_text(out / RESPONSES, _csv(folders, records))
        page = screen_page(folders, records, report, command=command_line, seconds=time.perf_counter() - start_s)
        write_text(out / "report.html", page)
        return [out / "report.html", out / RESPONSES, draw_responses(folders, records, out / "responses.png")]

    measured = {
        "world": report.world,
        "preset": request.preset,
        "verdict": "pass" if report.passed else "fail",
        "regimes": [{name: value for name, value in record.items() if name != "key"} for record in records],
        "report": report.to_json(),
    }
    finish(
        request.output,
        out,
        f"{screen_table(records)}\n\n{report.text(width=width())}",
        measured,
        files=("table.txt", "results.json"),
        draw=draw,
        command_line=command_line,
        start_s=start_s,
    )


def _csv(folders: Sequence[Path], records: Sequence[Record]) -> str:
    """Every response: of the model, of the training cells and, where they are known, of the world and its graph."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "perturbation", "gene", "model", "training_cells", "exact", "downstream"])
    for folder, record in zip(folders, records, strict=True):
        with np.load(folder / ARRAYS) as arrays:
            writer.writerows(_rows(record["seed"], dict(arrays)))
    return text.getvalue()


def _rows(seed: int, arrays: dict[str, Any]) -> list[list[object]]:
    exact_PG, true_PG, scored_PG = (arrays.get(name) for name in ("exact_PG", "true_PG", "scored_PG"))
    return [
        [
            seed,
            perturbation,
            gene,
            f"{arrays['model_PG'][p, g]:.6g}",
            f"{arrays['measured_PG'][p, g]:.6g}",
            "" if exact_PG is None else f"{exact_PG[p, g]:.6g}",
            "" if true_PG is None or scored_PG is None or not scored_PG[p, g] else int(true_PG[p, g]),
        ]
        for p, perturbation in enumerate(arrays["perturbation_P"].tolist())
        for g, gene in enumerate(arrays["gene_G"].tolist())
    ]
