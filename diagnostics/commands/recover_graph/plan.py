"""From the arguments of ``recover_graph`` to its runs, each checked to the end before the first one starts.

Dimension key: ``G`` genes.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from diagnostics.commands.recover_graph.recover import check, recover
from diagnostics.commands.recover_graph.training import N_HELD_OUT, N_STEPS
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import WORLD, Experiment, steps_for
from diagnostics.runs.folder import begin_folder
from diagnostics.runs.store import Record
from gpcp.core.errors import InputError
from gpcp.core.files import existing_file
from gpcp.opening.cells import stamp_of
from gpcp.training.config import FitConfig
from simulators.graphs.families import find_cycle
from simulators.graphs.networks import read_network
from simulators.scm.regimes import Regime, regime_of

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
    jobs : tuple of Experiment
    """

    world: str
    jobs: tuple[Experiment, ...]


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
    asked = {regime_of(regime) for regime in arguments.regime or _LADDER}
    first = Experiment(
        source=f"{WORLD}:{arguments.world or 'scale_free/20'}",
        options=() if arguments.network is None else (("network", arguments.network),),
        n_perturbed=arguments.n_perturbed,
        dose_sd=2.0 if arguments.dose_sd is None else arguments.dose_sd,
        seed=seeds[0],
        **_training(arguments, "matched", 2),
    )
    made = first.world()
    n_genes = made.graph.n_genes
    if arguments.network is not None:
        _refuse_cycles(arguments.network, n_genes)
        first = replace(first, stamp=hashlib.sha256(Path(arguments.network).read_bytes()).hexdigest())
    jobs = [
        replace(
            first,
            source=f"{WORLD}:{made.name}",
            regime=regime,
            seed=seed,
            n_perturbed=arguments.n_perturbed or (1, n_genes - 1),
            **_training(arguments, regime, n_genes),
        )
        for regime in _LADDER
        if regime in asked
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
    from diagnostics.commands.recover_graph.cells import N_GENES, check_cells

    path = existing_file(arguments.cells, what="AnnData file")
    if arguments.cell_type_key is None:
        raise InputError("--cells needs --cell-type-key, the column of obs with cell types: pairs are of one type")
    source, n_genes = f"h5ad:{path}", arguments.n_genes or N_GENES
    given = {name: getattr(arguments, name) for name in ("cell_type_key", "gene_id_key", "layer", "values", "nan")}
    jobs = [
        Experiment(
            source=source,
            options=tuple(sorted((name, value) for name, value in given.items() if value is not None)),
            stamp=stamp_of(source),
            n_genes=n_genes,
            n_perturbed=arguments.n_perturbed or (1, n_genes - 1),
            seed=seed,
            **_training(arguments, "matched", n_genes),
        )
        for seed in seeds
    ]
    for job in jobs:
        check_cells(job)
    return Plan(world=path.name, jobs=tuple(jobs))


def _training(arguments: argparse.Namespace, regime: str, n_genes: int) -> dict[str, Any]:
    """What was asked of the training, and the usual where nothing was."""
    usual = FitConfig()
    return {
        "preset": arguments.preset,
        "n_steps": arguments.steps or steps_for(n_genes, N_STEPS[regime]),
        "batch_size": arguments.batch_size or usual.batch_size,
        "learning_rate": usual.learning_rate if arguments.lr is None else arguments.lr,
        "n_held_out": N_HELD_OUT,
    }


def carry_out(run: Experiment, on_step: OnStep, *, out: Path) -> Record:
    """Do one run, of either kind, in its folder below ``out``; go on from a checkpoint of the same run there."""
    folder = out / run.name
    begin_folder(folder, run)
    return {"key": run.key, **_recovered(run, folder, on_step).to_json()}


def _recovered(run: Experiment, folder: Path, on_step: OnStep) -> RunRecord:
    if run.is_world:
        return recover(run, folder, on_step)
    from diagnostics.commands.recover_graph.cells import recover_cells

    return recover_cells(run, folder, on_step)
