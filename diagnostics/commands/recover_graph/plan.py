"""From the arguments of ``recover_graph`` to its runs, each checked to the end before the first one starts."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from diagnostics.cli.experiments import cells_fields, is_world, world_fields
from diagnostics.cli.options import SourceOptions
from diagnostics.commands.recover_graph.command import Request
from diagnostics.commands.recover_graph.recover import check, recover
from diagnostics.commands.recover_graph.training import budget_of
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import WORLD, Experiment
from diagnostics.runs.folder import begin_folder
from diagnostics.runs.store import Record
from gpcp.core.errors import InputError
from gpcp.training.config import FitConfig
from simulators.graphs.gene_graph import find_cycle
from simulators.graphs.networks import read_network
from simulators.scm.regimes import Regime, regime_of

_REGIMES: tuple[Regime, ...] = ("counterfactual", "interventional", "matched")
"""From the regime that needs no statistics to the one that shows no cause."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that was asked, checked.

    Parameters
    ----------
    world : str
        What the runs are on, as shown.
    jobs : tuple of Experiment
    """

    world: str
    jobs: tuple[Experiment, ...]


def plan_of(request: Request) -> Plan:
    """The runs that the arguments ask for, each of them checked.

    Raises
    ------
    InputError
        An option does not go with the others, or as the checks of the runs.
    """
    source = replace(request.source, source=request.text)
    return _world_plan(request, source) if is_world(source) else _cells_plan(request, source)


def _world_plan(request: Request, source: SourceOptions) -> Plan:
    asked = {regime_of(regime) for regime in request.regimes or _REGIMES}
    first = Experiment(
        **world_fields(source, takes=("network", "world_seed"), n_genes=request.n_genes),
        n_perturbed=request.n_perturbed,
        dose_sd=2.0 if request.dose_sd is None else request.dose_sd,
        seed=request.seeds[0],
        **_training(request, "matched", 2),
    )
    made = first.world()
    n_genes = made.graph.n_genes
    network: str | None = source.given().get("network")
    if network is not None:
        _refuse_cycles(network, n_genes)
    jobs = [
        replace(
            first,
            source=f"{WORLD}:{made.name}",
            regime=regime,
            seed=seed,
            n_perturbed=request.n_perturbed or (1, n_genes - 1),
            **_training(request, regime, n_genes, linear=made.scm.mechanism.name == "linear"),
        )
        for regime in _REGIMES
        if regime in asked
        for seed in request.seeds
    ]
    for job in jobs:
        check(job)
    return Plan(world=made.name, jobs=tuple(jobs))


def _refuse_cycles(table: str, n_genes: int) -> None:
    """Refuse a cyclic graph where the whole table is asked for.

    A module sampled from a large network leaves its feedback edges out, as networks have them everywhere; a table
    of which every gene is asked for is a graph that somebody wrote down, and is taken at its word.
    """
    network = read_network(table)
    if network.n_genes > n_genes:
        return
    edge_GG = np.zeros((n_genes, n_genes), dtype=np.bool_)
    edge_GG[network.regulator_E, network.target_E] = True
    cycle = [network.genes[token] for token in find_cycle(edge_GG)]
    if cycle:
        raise InputError(
            f"the graph of {table!r} has a cycle: {' -> '.join([*cycle, cycle[0]])}; remove one of its edges, or ask "
            f"for fewer than its {n_genes} genes: a sampled module leaves feedback edges out"
        )


def _cells_plan(request: Request, source: SourceOptions) -> Plan:
    from diagnostics.commands.recover_graph.cells import check_cells
    from diagnostics.inputs.data import N_GENES

    of_worlds = {"--dose-sd": request.dose_sd}
    data = cells_fields(source, n_genes=request.n_genes, regimes=request.regimes, of_worlds=of_worlds)
    jobs = [
        Experiment(
            **data,
            n_perturbed=request.n_perturbed,
            seed=seed,
            **_training(request, "matched", request.n_genes or N_GENES),
        )
        for seed in request.seeds
    ]
    for job in jobs:
        check_cells(job)
    return Plan(world=jobs[0].title, jobs=tuple(jobs))


def _training(request: Request, regime: str, n_genes: int, *, linear: bool = True) -> dict[str, Any]:
    """What was asked of the training, and the usual where nothing was."""
    budget = budget_of(request.preset, regime, n_genes, linear=linear)
    usual = FitConfig().learning_rate
    return {
        "preset": request.preset,
        "n_steps": request.steps or budget.n_steps,
        "batch_size": request.batch_size or budget.batch_size,
        "learning_rate": usual if request.learning_rate is None else request.learning_rate,
        "n_held_out": budget.n_held_out,
        "thorough": request.thorough,
    }


def carry_out(run: Experiment, on_step: OnStep, *, out: Path) -> Record:
    """Do one run, of either kind, in its folder below ``out``; go on from a checkpoint of the same run there."""
    folder = begin_folder(out, run)
    return {"key": run.key, **_recovered(run, folder, on_step).to_json()}


def _recovered(run: Experiment, folder: Path, on_step: OnStep) -> RunRecord:
    if run.is_world:
        return recover(run, folder, on_step)
    from diagnostics.commands.recover_graph.cells import recover_cells

    return recover_cells(run, folder, on_step)
