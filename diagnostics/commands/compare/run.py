"""What ``compare`` does with its arguments: plan, train, judge, show and write."""

import time
from collections.abc import Sequence
from pathlib import Path

from diagnostics.architecture.head_rank import output_rank
from diagnostics.architecture.static_limits import limits
from diagnostics.cli.ending import finish
from diagnostics.cli.options import n_workers
from diagnostics.cli.progress import EndingRuns
from diagnostics.commands.compare.command import Request
from diagnostics.commands.compare.compare import Entry, compared
from diagnostics.commands.compare.plan import Plan, plan_of
from diagnostics.commands.compare.report import contents, draw, screen
from diagnostics.commands.compare.runs import references_of, train
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.experiment import Experiment
from diagnostics.runs.store import Record, ResultStore


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Plan, train, judge, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained or written then.
    """
    with request.output.taken("compare") as out:
        return _compared(request, command_line, out)


def _compared(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    plan = plan_of(request)
    rank_of = {name: output_rank(model.head, model.n_genes, model.width) for name, (model, _) in plan.configs.items()}
    skip = any(model.skip for model, _ in plan.configs.values())
    levels, ceilings = references_of(plan.data, skip=skip, ranks=set(rank_of.values()) | {0, 1, 2, 3})

    with EndingRuns(len(plan.runs), unit="trainings", quiet=request.output.quiet) as progress:

        def shown(ended: Ended) -> None:
            if not ended.resumed:
                record = ended.record
                loss = "diverged" if record["loss"] is None else f"loss {record['loss']:.4f}"
                name, run = plan.runs[ended.index]
                progress.ended(ended.n_left, f"{name}, seed {run.replicate}: {loss} ({record['seconds']:.0f} s)")

        records = execute_runs(
            [run for _, run in plan.runs],
            train,
            ResultStore(out / "trainings.jsonl"),
            workers=n_workers(request.workers),
            scheduler=request.scheduler,
            fresh=request.fresh,
            on_run=shown,
            on_step=progress.step,
        )
    result = compared(_entries(plan, records, rank_of), levels, ceilings, reference=request.reference)
    about = _about(plan, request)
    text = screen(result, levels, ceilings, part=plan.part, about=about, notes=plan.notes)
    measured = {
        "part": plan.part,
        "about": about,
        **contents(result, levels, ceilings),
        "notes": list(plan.notes),
        "configurations": {
            name: {"model": model.to_json(), "fit": fit.to_json()} for name, (model, fit) in plan.configs.items()
        },
    }
    title = about.partition("; every")[0]
    finish(
        request.output,
        out,
        text,
        measured,
        files=("compared.txt", "compared.json"),
        draw=lambda: [draw(result, levels, ceilings, out / "compared.png", title=title)],
        command_line=command_line,
        start_s=start_s,
    )
    return 0


def _entries(plan: Plan, records: Sequence[Record], rank_of: dict[str, int]) -> list[Entry]:
    records_of: dict[str, list[tuple[Experiment, Record]]] = {name: [] for name in plan.configs}
    for (name, run), record in zip(plan.runs, records, strict=True):
        records_of[name].append((run, record))
    return [
        Entry(
            name=name,
            loss_of={run.replicate: record["loss"] for run, record in records_of[name]},
            n_parameters=records_of[name][0][1]["n_parameters"],
            rank=rank_of[name],
            objective=fit.objective,
            limits=limits(model),
        )
        for name, (model, fit) in plan.configs.items()
    ]


def _about(plan: Plan, request: Request) -> str:
    data = plan.data
    least, most = data.n_perturbed or (1, next(iter(plan.configs.values()))[0].n_genes - 1)
    what = f"{data.regime}, {least if least == most else f'{least} to {most}'} perturbed"
    if data.is_screen:
        what = "perturbations by name"
    model, fit = next(iter(plan.configs.values()))
    changed = f", {', '.join(request.set)}" if request.set else ""
    name = data.title if data.is_world else f"{data.title}, {model.n_genes} genes"
    return (
        f"{name}, {what}, preset {request.preset}{changed}, "
        f"{fit.n_steps} steps of {fit.batch_size} pairs, {len(plan.seeds)} seeds; "
        f"every {plan.part.replace('_', ' ')} sees the same pairs in the same order "
        f"and is measured on the same {'' if data.is_screen else f'{data.n_held_out} '}held-out pairs"
    )
