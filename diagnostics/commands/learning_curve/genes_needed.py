"""The sample size that a graph of d genes takes: of the model, of the classical estimator, and in theory.

The classical estimator costs next to nothing, so that its curve has numbers of pairs of its own, each twice the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from diagnostics.commands.learning_curve.pairs import drawn, n_pairs_of, source_of
from diagnostics.commands.learning_curve.points import TARGET_AUPRC, curves_of, graph_needs, mean_of
from diagnostics.commands.learning_curve.runs import classical_auprc
from diagnostics.graphs.sample_theory import theory_pairs
from diagnostics.runs.experiment import Experiment
from diagnostics.runs.store import Record
from diagnostics.scoring.sample_size import Needed, NeededOfSeeds, crossing, of_seeds
from gpcp.core.random import seed_of

_FEWEST_PAIRS, _N_MOMENTS = 16, 20_000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GenesNeeded:
    """Pairs that a number of genes takes.

    Parameters
    ----------
    n_genes : int
    chance : float
        AUPRC of chance, the mean over worlds.
    ceiling : float or None
        AUPRC of the exact law in the model's read-out; None where every training diverged.
    model_S, classical_S : mapping of int to Needed
        By seed.
    model, classical : NeededOfSeeds or None
    theory : float or None
        The median over worlds; None where there is none.
    """

    n_genes: int
    chance: float
    ceiling: float | None
    model_S: Mapping[int, Needed]
    classical_S: Mapping[int, Needed]
    model: NeededOfSeeds | None
    classical: NeededOfSeeds | None
    theory: float | None


def genes_needed(runs: Sequence[Experiment], records: Sequence[Record]) -> list[GenesNeeded]:
    """What each number of genes among the runs needs, ascending."""
    by_genes: dict[int, list[tuple[Experiment, Record]]] = {}
    for run, record in zip(runs, records, strict=True):
        by_genes.setdefault(record["n_genes"], []).append((run, record))
    return [_needed(n_genes, by_genes[n_genes]) for n_genes in sorted(by_genes)]


def _needed(n_genes: int, done: Sequence[tuple[Experiment, Record]]) -> GenesNeeded:
    curves = curves_of(record for _, record in done)
    most = max(curves.pairs)
    # One run for each seed stands for its world.
    of_seed = {run.seed: run for run, _ in done if run.n_pairs == most}
    model_S = graph_needs(curves, curves.capacities[0])
    found_of = {seed: _classical(run) for seed, run in of_seed.items()}
    classical_S = {seed: found for seed, found in found_of.items() if found is not None}
    theories = [found for run in of_seed.values() if (found := _theory(run)) is not None]
    ceiling = mean_of(curves.at(most, curves.capacities[0]), "ceiling_auprc")
    return GenesNeeded(
        n_genes=n_genes,
        chance=float(np.mean([record["chance"] for _, record in done])),
        ceiling=None if ceiling is None else ceiling.value,
        model_S=model_S,
        classical_S=classical_S,
        model=of_seeds(list(model_S.values())) if model_S else None,
        classical=of_seeds(list(classical_S.values())) if classical_S else None,
        theory=float(np.median(theories)) if theories else None,
    )


def _classical(run: Experiment) -> Needed | None:
    """Of a run's pairs, how many the classical estimator needs for a high enough AUPRC; no answer counts as 0."""
    made, n_pairs = run.world(), n_pairs_of(run)
    pairs = drawn(source_of(run, made), n_pairs, seed_of(run.seed, "learning curve", "training"))
    sizes = [n for n in (_FEWEST_PAIRS * 2**k for k in range(40)) if n < n_pairs] + [n_pairs]
    auprc = [classical_auprc(run, made, pairs.rows(slice(0, n))) for n in sizes]
    if all(one is None for one in auprc):
        return None
    return crossing(sizes, [0.0 if one is None else one for one in auprc], TARGET_AUPRC)


def _theory(run: Experiment) -> float | None:
    made = run.world()
    sample = drawn(source_of(run, made), _N_MOMENTS, seed_of(run.seed, "learning curve", "moments"))
    return theory_pairs(made, run.regime, sample)
