"""Healthy pairs of several kinds, for checks of data that must leave them alone and find what is planted in them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpcp.core.pairs import PairBatch, concatenate
from gpcp.pairing.paired import Paired
from simulators.assay import build_assay, log1p_tpm
from simulators.scm.regimes import Regime
from simulators.sources import SimulatedCells, SimulatedPairs
from simulators.worlds import world

Ground = Callable[[int, int], tuple[PairBatch, PairBatch]]
"""``(seed, n_pairs)`` to training and held-out pairs of one world."""


def simulated(name: str, regime: Regime, *, n_perturbed: tuple[int, int] | None = (1, 1)) -> Ground:
    def made(seed: int, n_pairs: int) -> tuple[PairBatch, PairBatch]:
        scm = world(name, seed=seed).scm
        source = SimulatedPairs(scm=scm, regime=regime, n_pairs=n_pairs, n_perturbed=n_perturbed)
        return _first(source, n_pairs, seed), _first(source, n_pairs, seed + 1_000)

    return made


def sequenced(seed: int, n_pairs: int) -> tuple[PairBatch, PairBatch]:
    """Interventions of fresh noise, one gene a pair, both cells counted: log1p of counts per million."""
    assay = build_assay(world("scale_free/10", seed=seed).scm.graph.vocab, rng=np.random.default_rng(seed))
    training, held_out = simulated("scale_free/10", "interventional")(seed, n_pairs)
    rng = np.random.default_rng([seed, 1])

    def counted(value_BG: NDArray[np.float32]) -> NDArray[np.float32]:
        code_B = np.zeros(len(value_BG), dtype=np.int64)
        reads = assay.reads(value_BG.astype(np.float64), cell_type_B=code_B, dataset_B=code_B, rng=rng)
        return log1p_tpm(reads.count_BG)

    def read(pairs: PairBatch) -> PairBatch:
        return replace(pairs, before_BG=counted(pairs.before_BG), after_BG=counted(pairs.after_BG))

    return read(training), read(held_out)


def matched(seed: int, n_pairs: int) -> tuple[PairBatch, PairBatch]:
    """Unperturbed counted cells of two types, paired within a type."""
    scm = world("scale_free/10", seed=seed).scm
    assay = build_assay(scm.graph.vocab, rng=np.random.default_rng(seed), n_cell_types=2)

    def cells(population: int) -> PairBatch:
        source = SimulatedCells(scm=scm, n_cells=2 * n_pairs + 100, assay=assay, population=population)
        return _first(Paired(source), n_pairs, 0)

    return cells(2 * seed), cells(2 * seed + 1)


def _first(source: SimulatedPairs | Paired, n_pairs: int, seed: int) -> PairBatch:
    return concatenate(source.pairs(batch_size=n_pairs, seed=seed)).rows(slice(0, n_pairs))


PLANTED: dict[str, Ground] = {
    "counterfactual": simulated("scale_free/10", "counterfactual"),
    "interventional": simulated("scale_free/10", "interventional"),
    "sequenced": sequenced,
}
"""Three grounds in which every fault is planted."""

HEALTHY: dict[str, Ground] = {
    **PLANTED,
    "many_perturbed": simulated("scale_free/10", "counterfactual", n_perturbed=None),
    "hill": simulated("erdos_renyi/10/hill", "interventional", n_perturbed=(1, 3)),
    "tanh": simulated("modular/10/tanh", "counterfactual"),
    "matched_world": simulated("scale_free/10", "matched", n_perturbed=None),
    "matched": matched,
}
"""More of them, in which no check may alarm."""
