"""What ``predict-screen`` does: read the model and the cells, predict, show and write."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagnostics.cli.options import named
from diagnostics.cli.progress import Progress
from diagnostics.commands.screens.predict_screen.command import Request
from diagnostics.commands.screens.predict_screen.table import screen
from diagnostics.runs.lock import alone
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.files import write_with
from gpcp.in_silico.by_name import predicted_by_name
from gpcp.in_silico.cells import cells_to_screen, mean_of_genes
from gpcp.in_silico.perturbations import ScreenPerturbation, combinations_named, screened
from gpcp.in_silico.screen import predict_screen
from gpcp.in_silico.unfinished import check_out
from gpcp.model.predictor import ModelPredictor
from gpcp.opening.cells import open_cells, scheme_and_place
from gpcp.opening.screens import open_screen
from gpcp.training.trained import trained_predictor


def execute(checkpoint: Path, out: Path, request: Request, command_line: Sequence[str]) -> int:
    """Predict, write and show.

    Raises
    ------
    InputError
        Something asked for cannot be done.
    """
    start_s = time.perf_counter()
    try:
        check_out(out)
    except InputError as error:
        raise InputError(f"--out: {error}") from None
    scheme, place = scheme_and_place(named(request.source))
    if scheme == "screen" and (by_name := trained_predictor(checkpoint)).perturbations is not None:
        return _of_screen(by_name, place, out, request)
    source = open_cells(named(request.source), **request.source.given())
    predictor = trained_predictor(checkpoint, vocab=source.vocab)
    if predictor.perturbations is not None:
        raise InputError(
            f"the model of {str(checkpoint)!r} reads perturbations by name: give the screen that has them, "
            "--source screen:FILE"
        )
    try:
        if source.vocab != predictor.vocab:
            # Read anew, so that of its other genes nothing is held.
            source = open_cells(named(request.source), genes=predictor.vocab.feature_id, **request.source.given())
        cells = cells_to_screen(source, predictor.vocab, n_cells=request.max_cells, seed=request.seed)
    except InputError as error:
        raise InputError(f"the checkpoint {str(checkpoint)!r} and {request.source.source!r} differ: {error}") from None
    wanted = _wanted(request, cells)
    about = {
        "checkpoint": str(checkpoint),
        "source": named(request.source),
        "provenance": str(getattr(source, "provenance", "")),
        "seed": str(request.seed),
    }
    lock = out.with_name(f".{out.name}.lock")
    with (
        alone(lock, what=f"--out: {out}"),
        Progress(
            "screen", len(cells) * len(wanted), unit="predicted cells", quiet=request.quiet, opening=False
        ) as progress,
    ):
        done = predict_screen(
            predictor,
            cells,
            wanted,
            out,
            shifts=request.shift is not None,
            form=request.form,  # pyright: ignore[reportArgumentType]  # checked
            about=about,
            on_progress=progress.of_total,
        )
    if not request.quiet:
        del command_line
        print(screen(done, time.perf_counter() - start_s), flush=True)
    return 0


def _of_screen(predictor: ModelPredictor, place: str, out: Path, request: Request) -> int:
    """The screen's own perturbations by name: the mean of each in each context."""
    for given, option in (
        (request.combinations, "--combinations"),
        (request.to, "--to"),
        (request.shift, "--shift"),
        (request.form != "auto", "--form"),
    ):
        if given:
            raise InputError(f"{option} has no meaning here: every perturbation of the screen is predicted")
    if out.suffix != ".h5ad":
        raise InputError(f"--out: {str(out)!r} does not end in .h5ad")
    found = open_screen(place, genes=predictor.vocab.feature_id, **request.source.given())
    with Progress("screen", None, unit="means", quiet=request.quiet, opening=False) as progress:
        made = predicted_by_name(
            predictor, found, most_controls=request.max_cells, seed=request.seed, on_progress=progress.of_total
        )
    write_with(out, made.write_h5ad)
    if not request.quiet:
        print(f"{made.n_obs:,} means of {made.n_vars:,} genes, {found.provenance.partition(';')[0]}: {out}", flush=True)
    return 0


def _wanted(request: Request, cells: CellBatch) -> list[ScreenPerturbation]:
    """What is asked of every cell."""
    measured = mean_of_genes(cells)
    sets = _sets(request, cells) if request.combinations else [(gene,) for gene in measured]
    return screened(sets, _values(request, cells, measured))


def _sets(request: Request, cells: CellBatch) -> list[tuple[str, ...]]:
    texts: list[str] = []
    for text in request.combinations:
        file = Path(text)
        if text not in cells.vocab and file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            texts += [line for line in lines if line.strip() and not line.startswith("#")]
        else:
            texts.append(text)
    try:
        found = combinations_named(texts, cells.vocab)
    except InputError as error:
        raise InputError(f"--combinations: {error}") from None
    if not found:
        raise InputError("--combinations names no gene: write A, A+B or a file of them")
    return found


def _values(request: Request, cells: CellBatch, measured: Mapping[str, float]) -> "float | Mapping[str, float]":
    """The value of every gene, or what is added to it."""
    if request.shift is not None:
        return _finite("--shift", request.shift)
    if request.to == "mean":
        # Of a gene that no cell measures there is none, and no perturbation either.
        return {gene: measured.get(gene, 0.0) for gene in cells.vocab.feature_id}
    try:
        value = float(request.to or 0)
    except ValueError:
        raise InputError(f"--to is {request.to!r}: write a number, or mean") from None
    return _finite("--to", value)


def _finite(option: str, value: float) -> float:
    if not math.isfinite(value):
        raise InputError(f"{option} is {value}: write a finite number")
    return value
