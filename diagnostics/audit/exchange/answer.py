"""What a program hands back: asked for once, checked whole, and used again where the same question comes again."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import ScreenData, Split, read_h5ad
from diagnostics.audit.evaluation.predictions import Groups, groups_in
from diagnostics.audit.evaluation.references import Answer
from diagnostics.audit.evaluation.shape import log_cells
from diagnostics.audit.exchange.program import Program, Ran, run_in
from diagnostics.audit.exchange.request import CONTEXT, PERTURBATION, Request, request_of
from diagnostics.audit.exchange.shuffled import CELL, cell_use, used
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import write_json
from gpcp.core.random import stream


def answered(
    program: Program,
    screen: ScreenData,
    split: Split,
    *,
    folder: Path,
    seed: int = 0,
    fresh: bool = False,
    ablations: bool = False,
) -> Answer:
    """What a program predicts for the test perturbations of a screen.

    Parameters
    ----------
    program : Program
    screen : ScreenData
    split : Split
    folder : Path
        Of the exchange. A complete answer that is there to the same question, by the same command, is used again.
    seed : int
        Handed on to the program.
    fresh : bool
        Ask anew in any case.
    ablations : bool
        Run it a second time, in ``FOLDER/without_the_cell``, with cells whose genes were shuffled apart.

    Raises
    ------
    InputError
        The program fails or takes too long, or its answer is not complete, of other genes, perturbations or units, or
        not finite. Nothing is filled in.
    """
    request = request_of(screen, split, seed=seed, asker=program.argv)
    ran, reused = _run(program, request, folder, fresh=fresh)
    groups = read_answer(folder / "answer.h5ad", request, screen, split, name=program.name, seed=seed)
    _keep(program, request, folder, ran)
    note = f"program of {ran.cpu_s:.0f} CPU s" + (f", its answer in {folder} used again" if reused else "")
    silent = silent_genes(groups, request)
    if silent:
        note += (
            f"; 0 in every predicted cell though controls express them: {len(silent)} genes, {', '.join(silent[:3])}"
        )
    if not ablations:
        return Answer(name=program.name, kind="prediction", groups=groups, note=note)
    place = folder / "without_the_cell"
    other = request_of(screen, split, seed=seed, asker=program.argv, shuffled=True)
    again, _ = _run(program, other, place, fresh=fresh)
    found = read_answer(place / "answer.h5ad", other, screen, split, name=program.name, seed=seed)
    _keep(program, other, place, again)
    note += f"; {used(_use(request, other, groups, found, screen))}"
    return Answer(name=program.name, kind="prediction", groups=groups, note=note, without={CELL: found})


def _run(program: Program, request: Request, folder: Path, *, fresh: bool) -> tuple[Ran, bool]:
    """Run a program, unless its complete answer to the same question is there; whether it was."""
    done, there = folder / "done.json", folder / "answer.h5ad"
    ran = None if fresh else _finished(done, there, request.key)
    if ran is not None:
        return ran, True
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (done, there):
        stale.unlink(missing_ok=True)
    request.write(folder)
    return run_in(program, folder), False


def _keep(program: Program, request: Request, folder: Path, ran: Ran) -> None:
    """Record that the answer in a folder is complete, after it was read."""
    content = {"key": request.key, "cpu_s": ran.cpu_s, "wall_s": ran.wall_s, "command": program.argv}
    write_json(folder / "done.json", content)


def _use(request: Request, other: Request, groups: Groups, found: Groups, screen: ScreenData) -> float:
    def logs(cells: Any) -> NDArray[np.float64]:
        return log_cells(cells, screen.scale)

    return cell_use(
        logs(request.ask.X.toarray()),
        logs(other.ask.X.toarray()),
        answer_BG=logs(np.concatenate([groups[at] for at in groups])),
        other_answer_BG=logs(np.concatenate([found[at] for at in groups])),
    )


def silent_genes(groups: Groups, request: Request) -> tuple[str, ...]:
    """Genes that no predicted cell expresses, and some control that was asked about does.

    A ReLU at the output that no cell passes any more is the usual reason: it gets no gradient and stays there.
    """
    asked_G = np.asarray(request.ask.X.max(axis=0).todense()).ravel() > 0
    found_G = np.max([cell_BG.max(axis=0) for cell_BG in groups.values()], axis=0) > 0
    return tuple(str(gene) for gene in request.ask.var_names[asked_G & ~found_G])


def read_answer(path: Path, request: Request, screen: ScreenData, split: Split, *, name: str, seed: int) -> Groups:
    """The cells of an answer, checked against what was asked.

    Parameters
    ----------
    path : Path
        Of ``answer.h5ad``: as many rows of each perturbation and context as were asked for, or one row for each, its
        mean.

    Raises
    ------
    InputError
        See :func:`answered`.
    """
    what = f"the answer of program {name!r}"
    if not path.is_file():
        raise InputError(f"program {name!r} ended without an error and wrote no {path}: its answer is missing")
    adata = read_h5ad(path, what=f"answer of program {name!r}")
    for column in (PERTURBATION, CONTEXT):
        if column not in adata.obs.columns:
            raise InputError(f"{what} has no column {column!r} in obs; {nearest(column, map(str, adata.obs.columns))}")
    _only_known(map(str, adata.var_names), screen.genes, f"{what} has a gene that was not asked for")
    asked = {(one[PERTURBATION], one[CONTEXT]): one["n_cells"] for one in request.content["asked"]}
    _only_known(
        adata.obs[PERTURBATION].astype(str), [label for label, _ in asked], f"{what} has a perturbation not asked for"
    )
    _only_known(adata.obs[CONTEXT].astype(str), screen.contexts, f"{what} has a context that was not asked for")
    found = Counter(zip(adata.obs[PERTURBATION].astype(str), adata.obs[CONTEXT].astype(str), strict=True))
    if set(found.values()) != {1}:
        for (label, context), n in asked.items():
            if found[label, context] not in (0, n):
                raise InputError(
                    f"{what} has {found[label, context]} rows of {label!r} in context {context!r}, where {n} were "
                    "asked for: give as many, or one row for every perturbation and context, its mean"
                )
    rng = stream(seed, "exchange", "answer", name)
    return groups_in(adata, screen, split.test, what=what, columns=(PERTURBATION, CONTEXT), rng=rng)


def _only_known(names: Any, known: Any, otherwise: str) -> None:
    choices = list(dict.fromkeys(known))
    there = set(choices)
    for name in dict.fromkeys(names):
        if name not in there:
            raise InputError(f"{otherwise}, {name!r}; {nearest(name, choices)}")


def _finished(done: Path, answer: Path, key: str) -> Ran | None:
    """The run that answered the same question before, if there is one."""
    if not (done.is_file() and answer.is_file()):
        return None
    try:
        held = json.loads(done.read_text(encoding="utf-8"))
        return Ran(cpu_s=float(held["cpu_s"]), wall_s=float(held["wall_s"])) if held["key"] == key else None
    except (ValueError, KeyError, TypeError):
        return None
