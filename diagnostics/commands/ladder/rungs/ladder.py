"""``ladder``: the rungs in their order with one model and one budget, and the verdict of the first that fails."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from diagnostics.commands.ladder.rungs.asked import N_GENES, RATE_FACTORS, RUNGS, Budget, LadderRun
from diagnostics.commands.ladder.rungs.cells import LadderCells
from diagnostics.commands.ladder.rungs.exact import exact_rung
from diagnostics.commands.ladder.rungs.known import known_rung
from diagnostics.commands.ladder.rungs.learner import OnStep
from diagnostics.commands.ladder.rungs.matched import matched_rung, recoveries
from diagnostics.commands.ladder.rungs.opened import Data, cells_of, opened
from diagnostics.commands.ladder.rungs.results import Cause, RungResult
from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen
from diagnostics.commands.ladder.rungs.screens.record import screen_record
from diagnostics.commands.ladder.rungs.spiked import spiked_rung
from diagnostics.commands.ladder.rungs.verdict import judged, needs_rates
from diagnostics.inputs.models import Model, shown_model
from diagnostics.runs.experiment import one_thread
from diagnostics.runs.store import Record
from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError, nearest
from gpcp.screens.h5ad_screen import H5adScreen
from simulators.twins.fidelity import fidelity

READY: dict[str, str] = {
    "bug": "a bug",
    "learning rate": "the learning rate",
    "architecture": "the architecture",
    "pairing": "the pairing",
    "measurement": "the measurement",
    "too little data": "too little data",
    "no signal": "no signal in the cells",
    "none": "ready for the real thing",
    "open": "no verdict: not all rungs were asked",
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """All rungs that were asked, in their order.

    Parameters
    ----------
    results : tuple of RungResult
    source, model : str
    summary : tuple of str
        How the cells were read and paired.
    seed : int
    complete : bool
        Whether all rungs were asked, or one failed.
    twin : mapping or None
        The fidelity table, where it was asked for.
    """

    results: tuple[RungResult, ...]
    source: str
    model: str
    summary: tuple[str, ...]
    seed: int
    complete: bool
    twin: dict[str, Any] | None = None

    @property
    def first(self) -> RungResult | None:
        """The first rung that failed."""
        return next((one for one in self.results if not one.passed), None)

    @property
    def recovered(self) -> str:
        """What is recovered: the graph, or of a screen the effects of its perturbations."""
        return "effects" if any(one.record.get("screen") for one in self.results) else "graph"

    @property
    def cause(self) -> Cause:
        """That of the first failure; ``"none"`` where all passed, ``"open"`` where not all were asked."""
        if self.first is not None:
            return self.first.cause
        return "none" if self.complete else "open"

    @property
    def exit_code(self) -> int:
        """0 where the verdict is ready, 1 where a rung failed or not all were asked."""
        return 0 if self.cause == "none" or (not self.results and self.twin is not None) else 1

    @property
    def verdict(self) -> str:
        """One line."""
        if self.first is None:
            return READY[self.cause]
        return f"{READY[self.cause]}: {self.first.message}"

    def to_json(self) -> dict[str, Any]:
        """As JSON's types."""
        return {
            "source": self.source,
            "model": self.model,
            "summary": list(self.summary),
            "seed": self.seed,
            "cause": self.cause,
            "verdict": self.verdict,
            "next_step": "" if self.first is None else self.first.next_step,
            "rungs": [one.to_json() for one in self.results],
            "twin": self.twin,
        }


Do = Callable[[Sequence[tuple[str, float]]], list[Record]]
"""Carries out rungs, each with a factor of the learning rate; their records in the same order."""


def rungs_named(names: Sequence[str]) -> tuple[str, ...]:
    """The rungs of some names in their order; all but the twin's table where none is named.

    Raises
    ------
    InputError
        There is no such rung; the message gives the nearest.
    """
    for name in names:
        if name not in RUNGS:
            raise InputError(f"no rung is named {name!r}; {nearest(name, RUNGS)}")
    return tuple(name for name in RUNGS if (name in names if names else name != "twin"))


def climbed(rungs: Sequence[str], do: Do, *, go_on: bool) -> tuple[list[RungResult], dict[str, Any] | None, bool]:
    """Carry the rungs out: one after the other to the first that fails, or all at once.

    Returns
    -------
    results, twin, complete
    """
    results: list[RungResult] = []
    twin: dict[str, Any] | None = None
    found = iter(do([(rung, 1.0) for rung in rungs])) if go_on else None
    for rung in rungs:
        record = next(found) if found is not None else do([(rung, 1.0)])[0]
        if rung == "twin":
            twin = record["facts"]
            continue
        rates = do([(rung, factor) for factor in RATE_FACTORS]) if needs_rates(record) else []
        results.append(judged(record, rates))
        if not results[-1].passed and not go_on:
            return results, twin, True
    return results, twin, {*RUNGS} - {"twin"} <= {*rungs}


def rung_record(
    cells: Data, rung: str, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None = None
) -> Record:
    """The figures of one rung, in one thread."""
    start_s = time.perf_counter()
    with one_thread():
        made = screen_record if isinstance(cells, LadderScreen) else _record
        record = made(cells, rung, model, budget, seed=seed, on_step=on_step)  # pyright: ignore[reportArgumentType]
    return {"rung": rung, "factor": budget.factor, **record, "seconds": time.perf_counter() - start_s}


def _record(
    cells: LadderCells, rung: str, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None
) -> dict[str, Any]:
    vocab, n_perturbed = cells.vocab, cells.n_perturbed
    if rung == "twin":
        real = cells.all_cells
        table = fidelity(real, cells.twin.cells(len(real), seed=seed), seed=seed)
        return {"facts": {**table.to_json(), "settings": cells.twin.to_json()}}
    if rung == "exact":
        return exact_rung(vocab, model, budget, n_perturbed=n_perturbed, seed=seed)
    if rung in ("counterfactual", "interventional"):
        return known_rung(rung, vocab, model, budget, n_perturbed=n_perturbed, seed=seed, on_step=on_step)
    if rung == "spike-in":
        return spiked_rung(cells, model, budget, seed=seed, on_step=on_step)
    record = matched_rung(rung, cells, model, budget, seed=seed, on_step=on_step)
    facts = record["facts"]
    if rung in ("pairing", "assay"):
        unmeasured = recoveries(cells, measured=False, seed=seed)
        found = unmeasured if rung == "pairing" else recoveries(cells, measured=True, seed=seed)
        facts["depth_share"] = float(np.median(cells.twin.assay.depth_loading_G**2))
        facts |= {"recovery": found, "unmeasured_recovery": unmeasured["matched"]}
        record |= {"recovery": found["as paired" if rung == "pairing" else "assay"], "recovery_baseline": 0.0}
        record["recovery_ceiling"] = unmeasured["matched"] if rung == "assay" else 1.0
    else:
        facts["signal_z"] = cells.twin.strength.z
    return record


def carry_out(run: LadderRun, on_step: OnStep) -> Record:
    """One rung of a named source and model; its record."""
    cells = cells_named(run)
    return {"key": run.key, **rung_record(cells, run.rung, run.model, run.budget, seed=run.seed, on_step=on_step)}


def cells_named(run: LadderRun) -> Data:
    """The cells of a run's source."""
    return cells_of(run.source, run.options, run.stamp, run.genes, run.n_genes, run.match_on, run.n_perturbed, run.seed)


def ladder(
    source: CellSource | H5adScreen | str,
    model: Model = "default",
    *,
    rungs: Sequence[str] = (),
    genes: Sequence[str] | str | None = None,
    n_genes: int = N_GENES,
    match_on: tuple[str, ...] | None = None,
    n_perturbed: tuple[int, int] | None = None,
    budget: Budget | None = None,
    go_on: bool = False,
    seed: int = 0,
    **options: Any,
) -> Ladder:
    """Train one model on data that come closer to some cells step by step, and name the cause where it fails.

    Parameters
    ----------
    source : CellSource, H5adScreen or str
        Cells, or a screen; or ``KIND:PLACE``, with its options.
    model : str or callable
        A preset, ``file.py:factory``, or a factory: a function of the number of genes that gives a module, a
        ``Subject``, or a dict of what :func:`diagnostics.inputs.diagnose.diagnose` takes.
    rungs : sequence of str
        Names of those to ask; by default all but ``twin``, the table of how close the twin comes.
    genes : sequence of str, or str, optional
        The panel, or a file of it.
    n_genes : int
        Genes of largest variance that make the panel where none is given.
    match_on : tuple of str, optional
        What the two cells of a pair share; ``("cell_type",)`` by default, where it is known; empty for any two cells.
    n_perturbed : (int, int), optional
        Perturbed genes of a pair.
    budget : Budget, optional
        Steps, batch size and learning rate, on every rung alike.
    go_on : bool
        Ask all rungs, though one fails.
    seed : int
    **options
        Of a named source.

    Returns
    -------
    Ladder

    Raises
    ------
    InputError
        The source, the model or a number is no good.
    """
    asked = rungs_named(rungs)
    cells = opened(
        source, genes=genes, n_genes=n_genes, match_on=match_on, n_perturbed=n_perturbed, seed=seed, **options
    )
    usual = LadderRun(rung="exact", source="", model=model if isinstance(model, str) else "own:factory").budget
    training = usual if budget is None else budget

    def do(wanted: Sequence[tuple[str, float]]) -> list[Record]:
        return [rung_record(cells, rung, model, replace(training, factor=factor), seed=seed) for rung, factor in wanted]

    results, twin, complete = climbed(asked, do, go_on=go_on)
    return Ladder(
        results=tuple(results),
        source=source if isinstance(source, str) else _called(source),
        model=shown_model(model),
        summary=tuple(line for line in cells.summary if line),
        seed=seed,
        complete=complete,
        twin=twin,
    )


def _called(source: object) -> str:
    return "the screen" if isinstance(source, H5adScreen) else "the cells"
