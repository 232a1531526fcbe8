"""From the arguments of ``recover_graph`` to its runs, each checked to the end before the first one starts.

Dimension key: ``G`` genes.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from diagnostics.commands.recover_graph.recover import check, recover
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import OnStep
from diagnostics.runs.folder import begin_folder
from diagnostics.runs.settings import CellsRun, Training, WorldRun
from diagnostics.runs.store import Record
from diagnostics.runs.trained import budget_of
from gpcp.core.errors import InputError
from gpcp.core.files import existing_file
from simulators.graphs.families import find_cycle
from simulators.graphs.networks import read_network
from simulators.scm.regimes import Regime, regime_of
from simulators.worlds import world

Run = WorldRun | CellsRun

_LADDER: tuple[Regime, ...] = ("counterfactual", "interventional", "matched")
"""From the regime that needs no statistics to the one that shows no cause."""

_WORLD_OPTIONS = ("world", "network", "regime", "dose-sd")
_CELL_OPTIONS = ("cell-type-key", "gene-id-key", "layer", "values", "nan", "n-genes")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that was asked, checked.

    Parameters
    ----------
    world : str
        What the runs are on, as shown.
    jobs : tuple of runs
    """

    world: str
    jobs: tuple[Run, ...]


def plan_of(arguments: argparse.Namespace) -> Plan:
    """The runs that the arguments ask for, each of them checked.

    Raises
    ------
    InputError
        An option does not go with the others, or as the checks of the runs.
    """
    seeds: list[int] = list(dict.fromkeys(arguments.seed))
    foreign = _WORLD_OPTIONS if arguments.cells else _CELL_OPTIONS
    for option in foreign:
        if getattr(arguments, option.replace("-", "_")) is not None:
            other = "leave it out, or leave out --cells" if arguments.cells else "give --cells, or leave it out"
            raise InputError(f"--{option} is for {'simulated worlds' if arguments.cells else 'real cells'}: {other}")
    return _cells_plan(arguments, seeds) if arguments.cells else _world_plan(arguments, seeds)


def _world_plan(arguments: argparse.Namespace, seeds: Sequence[int]) -> Plan:
    name = arguments.world or "scale_free/20"
    asked = {regime_of(regime) for regime in arguments.regime or _LADDER}
    regimes = [regime for regime in _LADDER if regime in asked]
    made = world(name, seed=seeds[0], network=arguments.network)
    digest = None
    if arguments.network is not None:
        _refuse_cycles(arguments.network, made.graph.n_genes)
        digest = hashlib.sha256(Path(arguments.network).read_bytes()).hexdigest()
    jobs = [
        WorldRun(
            world=made.name,
            network=arguments.network,
            network_digest=digest,
            regime=regime,
            seed=seed,
            n_perturbed=arguments.n_perturbed or (1, made.graph.n_genes - 1),
            dose_sd=2.0 if arguments.dose_sd is None else arguments.dose_sd,
            training=_training(arguments, regime, made.graph.n_genes),
        )
        for regime in regimes
        for seed in seeds
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


def _cells_plan(arguments: argparse.Namespace, seeds: Sequence[int]) -> Plan:
    from diagnostics.commands.recover_graph.cells import check_cells

    path = existing_file(arguments.cells, what="AnnData file")
    if arguments.cell_type_key is None:
        raise InputError("--cells needs --cell-type-key, the column of obs with cell types: pairs are of one type")
    about = path.stat()
    n_genes = arguments.n_genes or 20
    jobs = [
        CellsRun(
            cells=str(path),
            n_bytes=about.st_size,
            modified_ns=about.st_mtime_ns,
            cell_type_key=arguments.cell_type_key,
            gene_id_key=arguments.gene_id_key or "auto",
            layer=arguments.layer or "auto",
            values=arguments.values or "auto",
            nan=arguments.nan or "error",
            n_genes=n_genes,
            seed=seed,
            n_perturbed=arguments.n_perturbed or (1, n_genes - 1),
            training=_training(arguments, "matched", n_genes),
        )
        for seed in seeds
    ]
    for job in jobs:
        check_cells(job)
    return Plan(world=path.name, jobs=tuple(jobs))


def _training(arguments: argparse.Namespace, regime: str, n_genes: int) -> Training:
    budget = budget_of(arguments.preset, regime, n_genes)
    return Training(
        preset=arguments.preset,
        n_steps=arguments.steps or budget.n_steps,
        batch_size=arguments.batch_size or budget.batch_size,
        learning_rate=budget.learning_rate if arguments.lr is None else arguments.lr,
    )


def carry_out(run: Run, on_step: OnStep, *, out: Path) -> Record:
    """Do one run, of either kind, in its folder below ``out``; go on from a checkpoint of the same run there."""
    folder = out / run.name
    begin_folder(folder, run)
    return {"key": run.key, **_recovered(run, folder, on_step).to_json()}


def _recovered(run: Run, folder: Path, on_step: OnStep) -> RunRecord:
    if isinstance(run, WorldRun):
        return recover(run, folder, on_step)
    from diagnostics.commands.recover_graph.cells import recover_cells

    return recover_cells(run, folder, on_step)
