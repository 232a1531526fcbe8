"""What ``learning-curve`` does with its arguments: plan the trainings, do them, show and write what came out."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from diagnostics.cli.ending import finish
from diagnostics.cli.experiments import cells_fields, is_world, world_fields, world_of
from diagnostics.cli.options import n_workers
from diagnostics.cli.progress import EndingRuns
from diagnostics.cli.text import fill
from diagnostics.commands.learning_curve.command import Request
from diagnostics.commands.learning_curve.figures import draw_curves, draw_genes
from diagnostics.commands.learning_curve.genes_needed import genes_needed
from diagnostics.commands.learning_curve.pairs import N_HELD_OUT, data_of_cells
from diagnostics.commands.learning_curve.points import Curves, Place, answer_at, current_place, curves_of, fits_of
from diagnostics.commands.learning_curve.runs import CAPACITIES, capacity_of, carry_out, check
from diagnostics.commands.learning_curve.table import curves_text, genes_text
from diagnostics.inputs.data import ScreenRunData
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.experiment import WORLD, Experiment, steps_for
from diagnostics.runs.store import Record, ResultStore
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import to_json
from simulators.worlds import world

N_STEPS, BATCH_SIZE = 600, 64
"""Of a training, for up to :data:`diagnostics.runs.experiment.FEW_GENES` genes; half as many steps again for more."""

PAIRS, GENES_PAIRS = (500, 2000, 8000), (50, 100, 400, 1600)
"""Numbers of pairs for a curve, and for the sample size of a graph, which can be read before the loss looks good."""

_SECONDS_A_STEP = 1.5e-3
"""For each gene, with 64 pairs a step: measured on one core at width 32 with 20 genes. A rough rule, said as such."""

_Found: TypeAlias = tuple[dict[str, Any], str, Callable[[], list[Path]]]
"""What was measured, what is shown, and what draws the figures."""

_LONGER = 2
"""How many times the steps a longer training has."""


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained or written then.
    """
    with request.output.taken("learning_curve") as out:
        return _measured(request, command_line, out)


def _measured(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    runs = genes_runs(request) if request.graph_genes else curve_runs(request)
    check(runs)
    n_jobs = n_workers(request.workers)
    with EndingRuns(
        len(runs), unit="trainings", quiet=request.output.quiet, roughly_s=_cost_s(runs, n_jobs)
    ) as progress:

        def report(ended: Ended) -> None:
            if not ended.resumed:
                progress.ended(ended.n_left, _in_a_line(ended.record))

        ordered = execute_runs(
            runs,
            carry_out,
            ResultStore(out / "runs.jsonl"),
            workers=n_jobs,
            scheduler=request.scheduler,
            fresh=request.fresh,
            cost=lambda run: run.n_steps * capacity_of(run)[1],
            on_run=report,
            on_step=progress.step,
        )
    found, shown, draw = (_genes if request.graph_genes else _curves)(runs, ordered, out)
    measured = {
        **found,
        "runs": [{name: value for name, value in record.items() if name != "key"} for record in ordered],
    }
    files = ("table.txt", "results.json")
    finish(request.output, out, shown, measured, files=files, draw=draw, command_line=command_line, start_s=start_s)
    return 1 if all(record["loss"] is None for record in ordered) else 0


def curve_runs(request: Request) -> list[Experiment]:
    """A training for every number of pairs, capacity, rate and seed, and the longer ones where the answer is given.

    Raises
    ------
    InputError
        The world cannot be made or the cells cannot be read, or an option is no good.
    """
    if is_world(request.source):
        fields = world_fields(request.source, n_genes=request.n_genes)
        made = world(fields["source"].partition(":")[2], seed=0)
        fields["source"], n_genes = f"{WORLD}:{made.name}", made.graph.n_genes
    else:
        fields = cells_fields(request.source, n_genes=request.n_genes, regimes=(request.regime,))
        n_genes = len(data_of_cells(_run(request, fields, request.seeds[0], 1, "width", 1, 1.0, 1)).vocab)
    field, values = _capacity(request, n_genes)
    pairs = sorted(set(request.pairs or PAIRS))
    runs = [
        _run(request, fields, seed, n_pairs, field, value, rate, _steps(request, n_genes))
        for seed in request.seeds
        for n_pairs in pairs
        for value in values
        for rate in _rates(request)
    ]
    stands = ([0, *pairs])[-2] or pairs[-1], ([0, *values])[-2] or values[-1]
    return runs + [
        _run(request, fields, seed, *stands[:1], field, stands[1], rate, _LONGER * runs[0].n_steps)
        for seed in request.seeds
        for rate in _rates(request)
    ]


def genes_runs(request: Request) -> list[Experiment]:
    """A training for every number of genes, of pairs and seed, with one capacity.

    Raises
    ------
    InputError
        More than one capacity is given, or a world cannot be made.
    """
    runs: list[Experiment] = []
    for n_genes in sorted(set(request.graph_genes)):
        family, _, rest = world_of(request.source, n_genes=request.n_genes).partition("/")
        made = world("/".join([family, str(n_genes), *rest.split("/")[1:]]), seed=0)
        fields = {"source": f"{WORLD}:{made.name}"}
        field, values = _capacity(request, n_genes)
        if len(values) > 1 and not request.capacity:
            values = values[-1:]
        if len(values) > 1:
            raise InputError(f"--graph-genes asks about one model, but --capacity names {len(values)}: give one value")
        runs += [
            _run(
                request,
                fields,
                seed,
                n_pairs,
                field,
                values[0],
                rate,
                _steps(request, n_genes),
            )
            for seed in request.seeds
            for n_pairs in sorted(set(request.pairs or GENES_PAIRS))
            for rate in _rates(request)
        ]
    return runs


def _run(
    request: Request,
    fields: Mapping[str, Any],
    seed: int,
    n_pairs: int,
    field: str,
    value: int,
    rate: float,
    n_steps: int,
) -> Experiment:
    return Experiment(
        **fields,
        regime=request.regime or "interventional" if is_world(request.source) else "matched",
        seed=seed,
        n_perturbed=request.n_perturbed,
        n_pairs=n_pairs,
        n_held_out=N_HELD_OUT,
        preset=request.preset,
        changed=((field, value),),
        n_steps=n_steps,
        batch_size=request.batch_size,
        learning_rate=rate,
    )


def _capacity(request: Request, n_genes: int) -> tuple[str, list[int]]:
    """Field and values, ascending: those asked for, or the preset's own width and half of it."""
    from gpcp.model.config import preset

    if not request.capacity:
        width = preset(request.preset, n_genes).width
        return "width", [width // 2, width]
    text = " ".join(request.capacity).replace(",", " ")
    field, equals, values = text.partition("=")
    field = field.strip()
    if not equals or field not in CAPACITIES:
        what = f"{field!r} is no capacity; {nearest(field, CAPACITIES)}" if equals else f"{text!r} names no field"
        raise InputError(f"--capacity: {what}; write it as width=16 32 64")
    bad = next((one for one in values.split() if not (one.isascii() and one.isdigit())), None)
    if bad is not None or not values.split():
        raise InputError(f"--capacity: {bad or 'nothing'} is not a whole number; write it as {field}=16 32 64")
    return field, sorted({int(one) for one in values.split()})


def _steps(request: Request, n_genes: int) -> int:
    return request.steps or steps_for(n_genes, N_STEPS)


def _rates(request: Request) -> list[float]:
    from gpcp.training.config import FitConfig

    return sorted(set(request.learning_rates or [FitConfig().learning_rate]))


def _cost_s(runs: Sequence[Experiment], n_jobs: int) -> float:
    """Roughly how long all runs take."""
    genes_of = {run.source: _n_genes(run) for run in {run.source: run for run in runs}.values()}
    total_s = sum(_SECONDS_A_STEP * genes_of[run.source] * run.n_steps * run.batch_size / 64 for run in runs)
    return total_s / min(n_jobs, len(runs))


def _n_genes(run: Experiment) -> int:
    return run.world().graph.n_genes if run.is_world else len(data_of_cells(run).vocab)


def _in_a_line(record: Record) -> str:
    """A finished training in one line."""
    skill = "diverged" if record["loss"] is None else f"loss {record['loss']:.4f}"
    if record["skill"] is not None:
        skill = f"skill {record['skill']:.3f}"
    if record["auprc"] is not None:
        skill += f", AUPRC {record['auprc']:.3f}"
    return (
        f"{record['world']} seed {record['seed']}: {record['n_pairs']:,} pairs, {record['field']} "
        f"{record['capacity']}, {record['n_steps']} steps: {skill} ({record['seconds']:.0f} s)"
    )


def _curves(runs: Sequence[Experiment], records: Sequence[Record], out: Path) -> _Found:
    curves, field = curves_of(records), capacity_of(runs[0])[0]
    fits = fits_of(curves)
    notes = () if runs[0].is_world else _notes(runs)
    shown = curves_text(curves, fits, field=field, head=_head(runs), notes=notes)
    place = current_place(curves)
    found = {
        "stands": to_json(place),
        "answer": to_json(answer_at(curves, place, field)),
        "elsewhere": _elsewhere(curves, field),
        "fits": to_json(fits) if curves.exact_known else None,
        "notes": list(notes),
        "n_diverged": curves.n_diverged,
    }
    return found, shown, partial(draw_curves, curves, field, out)


def _notes(runs: Sequence[Experiment]) -> tuple[str, ...]:
    """How cells became pairs, and what more pairs of them are."""
    data = data_of_cells(runs[0])
    if isinstance(data, ScreenRunData):
        n_pairs = data.training_pairs.n_pairs
        return (
            *data.summary,
            f"{n_pairs:,} perturbed training cells make as many pairs: more pairs are of the same cells with other "
            "controls, and what they win says nothing of more cells",
        )
    n_cells = len(data.training_cells.cells)
    return (
        *data.summary,
        f"{n_cells:,} training cells make at most {n_cells // 2:,} pairs in which no cell comes twice: more pairs are "
        "of the same cells, and what they win says nothing of more cells",
    )


def _elsewhere(curves: Curves, field: str) -> list[dict[str, Any]]:
    grid = [Place(n_pairs=n, capacity=c, n_steps=curves.n_steps) for n in curves.pairs for c in curves.capacities]
    return [{"place": to_json(place), "answer": to_json(answer_at(curves, place, field))} for place in grid]


def _genes(runs: Sequence[Experiment], records: Sequence[Record], out: Path) -> _Found:
    needs = genes_needed(runs, records)
    return {"genes": to_json(needs)}, genes_text(needs, head=_head(runs)), partial(draw_genes, needs, out)


def _head(runs: Sequence[Experiment]) -> str:
    """What was run, in two lines."""
    first, seeds = runs[0], sorted({run.seed for run in runs})
    names = ", ".join(dict.fromkeys(run.title for run in runs))
    n_perturbed = (
        "1 to all but one" if first.n_perturbed is None else f"{first.n_perturbed[0]} to {first.n_perturbed[1]}"
    )
    steps = " or ".join(f"{n:,}" for n in sorted({run.n_steps for run in runs}))
    rates = ", ".join(f"{rate:g}" for rate in sorted({run.learning_rate for run in runs}))
    made = "world" if first.is_world else "split of the cells"
    whose = f"{len(seeds)} seeds, each a {made}, its pairs and a model's beginning"
    budget = f"a fixed budget of {steps} steps of {first.batch_size} pairs, the same pairs gone through again"
    if not first.is_world:
        names += f", {_n_genes(first)} genes"
    what = "perturbations by name" if first.is_screen else f"{first.regime}, {n_perturbed} genes perturbed"
    asked = f"{names}, {what}; {whose}"
    asked += f"; preset {first.preset}; {budget}; rate {rates}"
    return fill(asked)
