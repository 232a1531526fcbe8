"""The planted graphs of ``power`` as runs of the one executor: a screen each, read by estimators and by a model."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import final

from diagnostics.cli.options import n_workers
from diagnostics.cli.progress import Progress
from diagnostics.commands.ladder.rungs.asked import OWN_RATE, Budget
from diagnostics.commands.power.command import Request
from diagnostics.commands.power.model import BUDGET, ModelReadOut
from diagnostics.graphs.planted import GraphDesign, GraphRecovery, Place, ReadOut, panel_of, recovery_of, scores_at
from diagnostics.inputs.models import model_named
from diagnostics.runs.execute import Ended, OnStep, execute
from diagnostics.runs.store import Record, ResultStore
from gpcp.training.config import FitConfig
from simulators.spike_ins.real_cells import RealCells

MODEL_GENES = 40
"""Genes that graphs are planted on where a model is trained, unless a number is given."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GraphRun:
    """One screen with a planted graph, and who is asked about it.

    Parameters
    ----------
    pilot : str
        Changes with the cells and how they were read.
    design : GraphDesign
    place : (float, int, int)
        Dose, cells and repeat.
    seed : int
    model : str or None
    model_stamp : str
        Changes with the model's file.
    budget : Budget
    """

    pilot: str
    design: GraphDesign
    place: Place
    seed: int
    model: str | None
    model_stamp: str
    budget: Budget

    @property
    def key(self) -> str:
        """All that decides the result; not how many other screens there are."""
        size = {"n_targets": self.design.n_targets, "n_genes": self.design.n_genes}
        trained = [self.model, self.model_stamp, asdict(self.budget)] if self.model else []
        return json.dumps([self.pilot, "graph", size, list(self.place), self.seed, *trained])

    @property
    def name(self) -> str:
        """What messages call it."""
        dose, n, repeat = self.place
        return f"dose {dose:g}, {n} cells, graph {repeat + 1}"


def carried_out(cells: RealCells, run: GraphRun, on_step: OnStep) -> Record:
    """The scores of one run."""
    more: dict[str, ReadOut] = {}
    if run.model is not None:
        more["model"] = ModelReadOut(model=run.model, budget=run.budget, on_step=on_step)
    return {"key": run.key, "found": scores_at(cells, run.design, run.place, seed=run.seed, more=more)}


def graphs_found(real: RealCells, store: ResultStore, pilot: str, request: Request) -> GraphRecovery:
    """Plant all graphs that a request asks for; what the store has is not done again.

    Raises
    ------
    InputError
        As the model, or there are too few genes.
    """
    design = design_of(request, len(real.vocab))
    panel = panel_of(real, design)
    if request.model is not None:
        model_named(request.model, len(panel.vocab))  # a name that is none is refused before the first training
    budget = budget_of(request)
    stamp = "" if request.model is None else stamp_of_model(request.model)
    runs = [
        GraphRun(
            pilot=pilot, design=design, place=place, seed=request.seed, model=request.model, model_stamp=stamp,
            budget=budget,
        )
        for place in design.every
    ]  # fmt: skip
    # Without a model all of it takes seconds, less than processes take to start.
    workers = 1 if request.model is None and request.workers is None else n_workers(request.workers)
    with Progress("planted graphs", len(runs), unit="screens", quiet=request.output.quiet) as progress:

        def ended(one: Ended) -> None:
            progress.reach(len(runs) - one.n_left, found=one.resumed)

        def step(index: int, n_done: int, loss: float) -> None:
            progress.reach(progress.done, f"{runs[index].name}, step {n_done:,}: loss {loss:.4g}")

        records = execute(
            runs,
            partial(carried_out, panel),
            store,
            workers=workers,
            scheduler=request.scheduler,
            fresh=request.fresh,
            on_run=ended,
            on_step=step,
        )
    return recovery_of(design, {run.place: record["found"] for run, record in zip(runs, records, strict=True)})


def design_of(request: Request, n_genes: int) -> GraphDesign:
    """The graphs that are planted: fewer, and on fewer genes, where a model is trained on each."""
    if request.model is None:
        panel = None if request.graph_genes is None else min(request.graph_genes, n_genes)
        return GraphDesign(n_targets=min(10, n_genes if panel is None else panel // 2), n_genes=panel)
    panel = min(request.graph_genes or MODEL_GENES, n_genes)
    return GraphDesign(
        doses=(0.5, 1.0, 2.0), n_cells=(50, 200), n_repeats=4, n_targets=min(10, panel // 2), n_genes=panel
    )


def budget_of(request: Request) -> Budget:
    """Of the training on each screen."""
    rate = request.learning_rate
    if rate is None:
        rate = OWN_RATE if ":" in (request.model or "") else FitConfig().learning_rate
    return Budget(
        n_steps=request.steps or BUDGET.n_steps, batch_size=request.batch_size or BUDGET.batch_size, learning_rate=rate
    )


def stamp_of_model(model: str) -> str:
    """What changes with the file of a model; nothing of a preset."""
    file = Path(model.rpartition(":")[0])
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.suffix == ".py" and file.is_file() else ""
