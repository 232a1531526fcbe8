"""What ``train`` does with its arguments: train, by one process or several, measure, show and write."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from diagnostics.cli.ending import finish
from diagnostics.cli.progress import Progress
from diagnostics.commands.train.command import Request
from diagnostics.commands.train.figure import draw_history
from diagnostics.commands.train.plan import CHECKPOINT, HISTORY, Plan, begin, plan_of
from diagnostics.commands.train.table import Trained, screen
from diagnostics.scoring.levels import levels_of
from diagnostics.scoring.model_losses import model_losses
from gpcp.core.perturbations import perturbations_of
from gpcp.core.random import seed_of
from gpcp.loading.sharding import rank_and_number
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitResult
from gpcp.training.fit import fit
from gpcp.training.ranks import launched, taken_leave


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Train, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained or written then.
    """
    first = rank_and_number()[0] == 0
    folder = request.output.taken("train") if first else nullcontext(request.output.folder("train"))
    with folder as out, taken_leave():
        return _trained(request, command_line, out, first=first)


def _trained(request: Request, command_line: Sequence[str], out: Path, *, first: bool) -> int:
    start_s = time.perf_counter()
    plan = plan_of(request)
    fabric = launched(plan.fit)
    if first:
        begin(out, request, plan)
    if fabric is not None:
        fabric.barrier()
    model = GenePerturbationTransformer(plan.model, seed=seed_of(plan.seed, "weights"))
    with Progress("training", plan.fit.n_steps, unit="steps", quiet=request.output.quiet or not first) as progress:

        def on_step(n_done: int, loss: float) -> None:
            progress.reach(n_done, f"loss {loss:.4g}", found=n_done > progress.done + 1)

        result = fit(
            model,
            plan.training,
            plan.fit,
            held_out=plan.split.held_out,
            checkpoint=out / CHECKPOINT,
            on_step=on_step,
            fabric=fabric,
        )
    if first:
        _show_and_write(request, command_line, out, plan, model, result, start_s)
    return 1 if result.stopped == "diverged" else 0


def _show_and_write(
    request: Request,
    command_line: Sequence[str],
    out: Path,
    plan: Plan,
    model: GenePerturbationTransformer,
    result: FitResult,
    start_s: float,
) -> None:
    """Measure the model beside the reference losses, print the table, write the files."""
    result.save(out / HISTORY)
    held_out, exact = plan.split.held_out, plan.opened.exact
    answer = None if exact is None else exact(held_out)
    sample = plan.sample()
    levels = levels_of(sample, held_out, exact=answer, ridge_on=sample)
    predictor = ModelPredictor(model.float().cpu(), held_out.vocab, perturbations=perturbations_of(plan.split.training))
    trained = Trained(
        plan=plan,
        result=result,
        losses=None if result.stopped == "diverged" else model_losses(predictor, held_out, levels, exact=answer),
        levels=levels,
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        n_processes=rank_and_number()[1],
    )
    finish(
        request.output,
        out,
        screen(trained),
        trained.to_json(),
        files=("table.txt", "results.json"),
        draw=lambda: [draw_history(result.history, levels, out / "loss.png", title=plan.opened.name)],
        command_line=command_line,
        start_s=start_s,
        beside=f"; the model is {CHECKPOINT}, the curve {HISTORY}",
    )
