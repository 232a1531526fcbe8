"""Situations with a known cause, planted in small worlds: what its verdict is asked to name."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.subject import Subject
from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.cells import HeldCells
from diagnostics.commands.ladder.rungs.ladder import Ladder, ladder
from diagnostics.faults.catalogue import planted
from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.random import seed_of, stream
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from simulators.assay import build_assay
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.scm import Scm, build_scm
from simulators.sources import SimulatedCells, SimulatedPairs
from simulators.totals import TotalledCells
from simulators.worlds import world

N_WORLD, N_GENES = 40, 10
"""Genes of each world, and of the panel that is taken from it: totals are those of all."""

BUDGET = Budget(n_steps=150, batch_size=64)

BUGS = (
    "loss_mask_inverted", "loss_of_the_next_cell", "loss_columns_shifted", "loss_sign", "loss_of_means",
    "attention_over_the_batch", "tokens_shuffled", "cells_mixed", "perturbation_not_fed", "expression_not_fed",
    "dose_dropped", "sign_lost", "step_uphill", "step_on_other_targets", "half_of_the_batch", "optimiser_of_the_head",
    "optimiser_of_a_copy", "no_step", "cleared_too_late", "gradients_not_cleared",
)  # fmt: skip
ARCHITECTURES = (
    "no_attention", "pooled_to_a_scalar", "bottleneck", "identity_lost", "no_path_between_genes", "relu_on_the_output",
    "sigmoid_on_the_output", "effect_ignores_the_cell",
)  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """One model on one source, and what is wrong with it.

    Parameters
    ----------
    name, kind : str
        Kinds are the rows of the confusion matrix.
    cause : str
        The right verdict.
    source : CellSource
    model : str or callable
    asked : mapping
        Further arguments.
    seed : int
    """

    name: str
    kind: str
    cause: str
    source: CellSource
    model: Any
    asked: Mapping[str, Any]
    seed: int

    def verdict(self, *, seed: int | None = None) -> Ladder:
        """What the command finds."""
        asked: dict[str, Any] = {"budget": BUDGET, "n_genes": N_GENES, **self.asked}
        return ladder(self.source, self.model, seed=self.seed if seed is None else seed, **asked)


def counted_cells(seed: int, *, n_cells: int = 1_500, scm: Scm | None = None, **assay: Any) -> TotalledCells:
    """Sequenced cells of a world of :data:`N_GENES`, with their totals."""
    made = world(f"scale_free/{N_WORLD}", seed=seed)
    usual: dict[str, Any] = {"n_cell_types": 1 + seed % 3, "library_size": 16_000.0, "log_rate_sd": 0.5}
    report = build_assay(made.graph.vocab, rng=stream(seed, "assay of a situation"), **(usual | assay))
    return TotalledCells(
        counted=SimulatedCells(scm=made.scm if scm is None else scm, n_cells=n_cells, assay=report, population=seed)
    )


def faulty(name: str, seed: int) -> Callable[[int], Subject]:
    """A factory of a model in whose training a fault is planted."""

    def make(n_genes: int) -> Subject:
        made = world(f"scale_free/{n_genes}", seed=seed)
        pairs = SimulatedPairs(scm=made.scm, regime="counterfactual", n_pairs=4_096)
        model = GenePerturbationTransformer(preset("default", n_genes), seed=seed)
        return planted(name, fitted_subject(model, pairs, FitConfig()))

    return make


def without_edges(seed: int) -> Scm:
    """A world whose genes have nothing to do with each other."""
    made = world(f"scale_free/{N_WORLD}", seed=seed)
    none = GeneGraph(vocab=made.graph.vocab, weight_GG=np.zeros((N_WORLD, N_WORLD)))
    return build_scm(none, rng=stream(seed, "no edges"))


def badly_normalised(seed: int, how: str) -> HeldCells:
    """Cells whose depth was not taken away, or was taken away twice."""
    source = counted_cells(seed, library_size_sd=1.2, n_cell_types=1)
    parts = list(source.counted.counted(batch_size=512, seed=0))
    cells: CellBatch = concatenate_cells([part.cells for part in parts])
    count_BG = np.concatenate([part.count_BG for part in parts]).astype(np.float64)
    total_B1 = count_BG.sum(axis=1, keepdims=True)
    value_BG: NDArray[np.float64] = {
        "counts": np.log1p(count_BG),
        "twice": np.log1p(count_BG / np.maximum(total_B1, 1) ** 2 * 1e8),
        "raw": count_BG,
    }[how]
    return HeldCells(replace(cells, expression_BG=value_BG.astype(np.float32)))


def situations(first: int, n_each: int = 14) -> Iterator[Situation]:
    """As many of each kind, in worlds of seeds from ``first`` on."""
    for number in range(n_each):
        seed = first + number

        def one(kind: str, cause: str, source: CellSource, model: Any = "mixing", seed: int = seed, **asked: Any):
            return Situation(
                name=f"{kind} {seed}", kind=kind, cause=cause, source=source, model=model, asked=asked, seed=seed
            )

        healthy = counted_cells(seed)
        yield one("healthy", "none", healthy, model=("mixing", "default")[number % 2])
        bug = BUGS[seed % len(BUGS)]
        yield one("bug", "bug", healthy, model=faulty(bug, seed))
        rate = (1e-4, 3e-4, 0.15, 0.4)[number % 4]
        yield one("learning rate", "learning rate", healthy, budget=replace(BUDGET, learning_rate=rate))
        yield one("architecture", "architecture", healthy, model=faulty(ARCHITECTURES[seed % len(ARCHITECTURES)], seed))
        typed = counted_cells(seed, n_cell_types=5, cell_type_sd=2.0)
        yield one("pairing", "pairing", typed, match_on=())
        yield one("dropout", "measurement", counted_cells(seed, dropout=(0.6, 0.75, 0.9)[number % 3]))
        yield one("few cells", "too little data", counted_cells(seed, n_cells=(30, 40, 60)[number % 3]))
        yield one("no signal", "no signal", counted_cells(seed, scm=without_edges(seed)))
        how = ("counts", "twice", "raw")[number % 3]
        yield one("normalisation", "measurement", badly_normalised(seed, how))


def confusion(found: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """By kind: how often each cause was named, of pairs of kind and cause."""
    table: dict[str, Counter[str]] = {}
    for kind, cause in found:
        table.setdefault(kind, Counter())[cause] += 1
    return table


def seed_again(seed: int) -> int:
    """Another seed of the command for the same situation."""
    return seed_of(seed, "asked again") % 10_000
