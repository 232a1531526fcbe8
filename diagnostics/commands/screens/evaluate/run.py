"""What ``evaluate`` does: read the screen and the predictions, score everything, show and write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.audit.evaluation.data import ScreenData, Split, read_screen, split_of
from diagnostics.audit.evaluation.evaluate import Evaluation, evaluate
from diagnostics.audit.evaluation.predictions import FilePrediction, named_prediction
from diagnostics.audit.evaluation.references import Answer
from diagnostics.audit.exchange.answer import answered
from diagnostics.audit.exchange.program import Program, named_program
from diagnostics.cli.progress import Stages
from diagnostics.cli.text import show
from diagnostics.commands.screens.evaluate.command import Request
from diagnostics.commands.screens.evaluate.table import screen_text
from gpcp.core.errors import InputError
from gpcp.core.files import write_text
from gpcp.imports import need


def execute(path: Path, request: Request, command_line: Sequence[str]) -> int:
    """Evaluate, show and write.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been scored then.
    """
    predictions = [named_prediction(text) for text in request.prediction]
    programs = [named_program(text, time_limit=request.time_limit) for text in request.program]
    _check_names(predictions, programs, [text.partition("=")[0].strip() for text in request.model])
    need("cell_eval2", extra="evaluate", use="gpcp evaluate")
    with request.output.taken("evaluate") as out:
        screen = read_screen(path, perturbation=request.perturbation, control=request.control)
        split = split_of(screen, share=request.test_share, seed=request.seed, named=request.test)
        with Stages(None, quiet=request.output.quiet) as stages:
            first = True

            def stage(name: str) -> None:
                nonlocal first
                stages(f"scoring {name}" + (" (the first call compiles for up to a minute)" if first else ""))
                first = False

            answers = list[Answer]()
            for program in programs:
                stages(f"running {program.name}")
                place = out / "programs" / program.folder_name
                again = {"fresh": request.fresh, "ablations": request.ablations}
                answers.append(answered(program, screen, split, folder=place, seed=request.seed, **again))
            for text in request.model:
                stages(f"fitting {text.partition('=')[0]}")
                answers.append(_of_module(text, screen, split, seed=request.seed, ablations=request.ablations))
            found = evaluate(
                screen,
                split,
                predictions=[*predictions, *answers],
                preset=request.preset,
                scorer=request.scorer,
                with_baselines=request.baselines or not (predictions or answers),
                n_splits=request.splits,
                ablations=request.ablations,
                seed=request.seed,
                on_stage=stage,
            )
        text = screen_text(screen, found)
        show(text)
        write_text(out / "evaluation.txt", text + "\n")
        write_text(out / "perturbations.csv", per_perturbation(found))
        request.output.keep(out / "evaluation.json", content(found, path, request, command_line))
        if not request.output.quiet:
            show(f"\n{out}: evaluation.txt, evaluation.json, perturbations.csv")
    return 0


def _of_module(text: str, screen: ScreenData, split: Split, *, seed: int, ablations: bool) -> Answer:
    """The answer of ``--model``."""
    # Torch takes seconds, and most evaluations do without.
    from diagnostics.inputs.frameworks.screen_module import ScreenPairs, module_answer, named_module

    pairs = ScreenPairs(screen, split, seed=seed)
    name, parts = named_module(text, len(screen.genes), len(pairs.inputs))
    assert parts.model is not None
    try:
        return module_answer(
            pairs, parts.model, name=name, fit=parts.fit, predict=parts.predict, seed=seed, ablations=ablations
        )
    except InputError as refusal:
        n_more = len(pairs.inputs) - len(screen.genes)
        if not n_more:
            raise
        raise InputError(
            f"{refusal}\n(perturbation has {len(pairs.inputs)} columns: {n_more} targets, such as {pairs.inputs[-1]}, "
            "are no measured genes. A factory that takes n_inputs by that name is given the number of columns)"
        ) from refusal


def _check_names(predictions: Sequence[FilePrediction], programs: Sequence[Program], models: Sequence[str]) -> None:
    names = [*(one.name for one in predictions), *(one.name for one in programs), *models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} is the name of two predictions: give each its own")
    folders = [one.folder_name for one in programs]
    for program in programs:
        if folders.count(program.folder_name) > 1:
            raise InputError(f"--program: {program.name!r} and another name differ in signs alone: name them apart")


def content(found: Evaluation, path: Path, request: Request, command_line: Sequence[str]) -> dict[str, Any]:
    """What the JSON file holds."""
    import gpcp

    return {
        "command": " ".join(command_line),
        "gpcp_version": gpcp.__version__,
        "screen": path,
        "seed": request.seed,
        "scorer": found.scorer,
        "adapted": found.adapted,
        "split": found.split,
        "metrics": {one: found.directions[one] for one in found.metrics},
        "answers": [
            {name: getattr(row, name) for name in ("name", "kind", "note", "values", "scaled", "shape", "leak")}
            for row in found.rows
        ],
        "floor": found.floor,
        "ablations": found.ablations,
        "against_mean_response": found.comparisons,
        "left_out": found.left_out,
    }


def per_perturbation(found: Evaluation) -> str:
    """A line for each answer, metric and perturbation; of a ratio of sums both its parts are in the file."""
    lines = ["answer,metric,perturbation,value,weight"]
    for row in found.rows:
        for metric, parts in row.scores.parts.items():
            for label, (above, below) in zip(row.scores.labels, parts.tolist(), strict=True):
                if np.isfinite(above):
                    lines.append(f'"{row.name}",{metric},"{label}",{above:.8g},{below:.8g}')
    return "\n".join(lines) + "\n"
