"""What ``ladder`` does with its arguments: carry the rungs out, show and write."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from diagnostics.cli.ending import finish
from diagnostics.cli.options import n_workers, named
from diagnostics.cli.progress import EndingRuns
from diagnostics.commands.ladder.command import NOTHING, Request
from diagnostics.commands.ladder.figure import draw
from diagnostics.commands.ladder.page import page
from diagnostics.commands.ladder.rungs.asked import N_GENES, N_STEPS, RATE_FACTORS, LadderRun
from diagnostics.commands.ladder.rungs.ladder import Ladder, carry_out, cells_named, climbed, rungs_named
from diagnostics.commands.ladder.table import screen, short
from diagnostics.inputs.models import model_named
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.store import Record, ResultStore
from gpcp.core.files import existing_file, write_text
from gpcp.opening.stamps import stamp_of


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Carry out, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained or written then.
    """
    with request.output.taken("ladder") as out:
        return _done(request, command_line, out)


def _done(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    rungs, first = rungs_named(request.rungs), _run(request)
    cells = cells_named(first)
    # A name that is none is refused before the first training.
    model_named(first.model, len(cells.vocab))
    store = ResultStore(out / "rungs.jsonl")
    n_most = len(rungs) + len(RATE_FACTORS)
    with EndingRuns(n_most, unit="rungs", quiet=request.output.quiet) as progress:

        def do(wanted: Sequence[tuple[str, float]]) -> list[Record]:
            runs = [first.on(rung, factor) for rung, factor in wanted]

            def shown(ended: Ended) -> None:
                if not ended.resumed:
                    progress.ended(ended.n_left, f"{runs[ended.index].name}: {short(ended.record)}")

            return execute_runs(
                runs,
                carry_out,
                store,
                workers=n_workers(request.workers),
                scheduler=request.scheduler,
                fresh=request.fresh,
                on_run=shown,
            )

        results, twin, complete = climbed(rungs, do, go_on=request.go_on)
    found = Ladder(
        results=tuple(results),
        source=first.source,
        model=first.model,
        summary=tuple(line for line in cells.summary if line),
        seed=first.seed,
        complete=complete,
        twin=twin,
    )
    _written(request, command_line, out, found, first, start_s)
    return found.exit_code


def _written(
    request: Request, command_line: Sequence[str], out: Path, found: Ladder, first: LadderRun, start_s: float
) -> None:
    def drawn() -> list[Path]:
        report = out / "report.html"
        seconds = time.perf_counter() - start_s
        write_text(report, page(found, command=list(command_line), seconds=seconds))
        return [report, draw(found, out / "rungs.png")] if found.results else [report]

    finish(
        request.output,
        out,
        screen(found, first),
        found.to_json(),
        files=("ladder.txt", "ladder.json"),
        draw=drawn,
        command_line=command_line,
        start_s=start_s,
    )


def _run(request: Request) -> LadderRun:
    """The first run, which names source, model and budget of all."""
    source, given = named(request.source), request.source.given()
    match_on = () if request.match_on is not None and NOTHING in request.match_on else request.match_on
    genes = request.source.genes
    panel = "" if genes is None else _digest(existing_file(genes, what="file of genes"))
    return LadderRun(
        rung="exact",
        source=source,
        options=tuple(sorted(given.items())),
        stamp=stamp_of(source, **given) + panel,
        genes=genes,
        n_genes=request.n_genes or N_GENES,
        match_on=match_on,
        n_perturbed=request.n_perturbed,
        model=request.model,
        model_stamp=_model_stamp(request.model),
        n_steps=request.steps or N_STEPS,
        batch_size=request.batch_size or LadderRun(rung="exact", source=source).batch_size,
        learning_rate=request.learning_rate,
        seed=request.seed,
    )


def _model_stamp(model: str) -> str:
    """What changes with the file of a model; nothing of a preset."""
    file = Path(model.rpartition(":")[0])
    return _digest(file) if file.suffix == ".py" and file.is_file() else ""


def _digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
