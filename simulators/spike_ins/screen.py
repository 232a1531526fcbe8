"""A fake screen made of real cells: some become the perturbed cells of a known graph, the others its controls."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.gene_graph import GeneGraph
from simulators.spike_ins.planted_graph import total_effects
from simulators.spike_ins.real_cells import RealCells, log_tpm
from simulators.spike_ins.values import changed, rule_of, thinned

CONTROL = "non-targeting"
"""Label of the controls."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SpikeDesign:
    """What is planted into real cells.

    Parameters
    ----------
    n_targets : int
        Genes that are perturbed, one at a time.
    cells_per_target : int
        Real cells that become the perturbed cells of each; all others are controls.
    dose : float
        Natural logarithm of the fold change of a target under a guide of strength 1: -1 is a knockdown to 37 %.
    n_guides : int
        Guides of each target.
    guide_spread : float
        Strengths of guides are uniform on ``1 - guide_spread .. 1``; they multiply the dose.
    escapers : float
        Probability that a cell's guide did nothing.
    regulators_only : bool
        Targets are drawn among genes that act on some other, as far as there are enough of them.

    Raises
    ------
    InputError
        A number lies outside its range.
    """

    n_targets: int = 20
    cells_per_target: int = 50
    dose: float = -1.0
    n_guides: int = 1
    guide_spread: float = 0.0
    escapers: float = 0.0
    regulators_only: bool = True

    def __post_init__(self) -> None:
        for name in ("n_targets", "cells_per_target", "n_guides"):
            if getattr(self, name) < 1:
                raise InputError(f"SpikeDesign.{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("guide_spread", "escapers"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"SpikeDesign.{name} is {getattr(self, name)}: it must lie in 0 .. 1")
        if not np.isfinite(self.dose):
            raise InputError(f"SpikeDesign.dose is {self.dose}: give a finite number")


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SpikedScreen:
    """Real cells as a screen with a known answer.

    Parameters
    ----------
    cells : RealCells
        With the effects on them; of counts, values are those of the thinned counts.
    graph : GeneGraph
    design : SpikeDesign
    seed : int
    targets : tuple of str
        Ids of the perturbed genes.
    target_N : int64, (N,)
        Position in ``targets``; -1 of a control.
    guide_N : int64, (N,)
        Guide of each cell's target; 0 of a control.
    strength_N : float64, (N,)
        What the cell's guide did: 0 of controls and of cells that escaped.
    effect_target_G : float64, (targets, G)
        Natural-logarithmic fold change of each gene under a guide of strength 1: dose times total effect.
    rule : str
        ``counts``, ``fold`` or ``shift``: how the effects were put on the values.
    """

    cells: RealCells
    graph: GeneGraph
    design: SpikeDesign
    seed: int
    targets: tuple[str, ...]
    target_N: NDArray[np.int64]
    guide_N: NDArray[np.int64]
    strength_N: NDArray[np.float64]
    effect_target_G: NDArray[np.float64]
    rule: str

    @property
    def label_N(self) -> NDArray[np.str_]:
        """The target of each cell, or :data:`CONTROL`."""
        return np.array([*self.targets, CONTROL], dtype=np.str_)[self.target_N]


def spiked_screen(
    cells: RealCells, graph: GeneGraph, design: SpikeDesign | None = None, *, seed: int = 0
) -> SpikedScreen:
    """Plant a graph into real cells as a screen.

    Counts are thinned, by :func:`simulators.spike_ins.values.thinned`: the expected counts of two cells differ by the
    planted fold change, exactly, and stay counts. Where no counts are known, levels are multiplied by it, or it is
    added where values are negative.

    Parameters
    ----------
    cells : RealCells
        To which nothing was done: the controls of a screen, or unperturbed cells.
    graph : GeneGraph
        On the genes of the cells.
    design : SpikeDesign, optional
    seed : int
        Decides targets, guides and which cells they get.

    Raises
    ------
    InputError
        The graph is of other genes, or there are too few genes or cells for the design.
    """
    design = SpikeDesign() if design is None else design
    if graph.vocab != cells.vocab:
        raise InputError("the graph is of other genes than the cells: plant it on the cells' vocab")
    n_perturbed = design.n_targets * design.cells_per_target
    if n_perturbed + 2 > len(cells):
        raise InputError(
            f"{design.n_targets} targets of {design.cells_per_target} cells need {n_perturbed:,} cells and at least 2 "
            f"controls, and there are {len(cells):,} cells: lower one of the two"
        )
    targets = _targets(cells, graph, design, seed)
    effect_target_G = design.dose * total_effects(graph, targets)
    target_N, guide_N, strength_N = _assigned(len(cells), design, seed)
    effect_NG = strength_N[:, None] * effect_target_G[target_N]
    made, rule = _with_effects(cells, effect_NG, seed)
    return SpikedScreen(
        cells=made,
        graph=graph,
        design=design,
        seed=seed,
        targets=targets,
        target_N=target_N,
        guide_N=guide_N,
        strength_N=strength_N,
        effect_target_G=effect_target_G,
        rule=rule,
    )


def _targets(cells: RealCells, graph: GeneGraph, design: SpikeDesign, seed: int) -> tuple[str, ...]:
    """Genes that every cell measures, those that act on others first; ids sorted by token."""
    able_G = cells.measured_NG.all(axis=0)
    if design.n_targets > able_G.sum():
        raise InputError(
            f"n_targets is {design.n_targets}, but {int(able_G.sum())} genes are measured in all cells: lower it"
        )
    acts_G = graph.n_children() > 0 if design.regulators_only else np.ones(graph.n_genes, dtype=np.bool_)
    key_G = generator("spiked screen", "targets", seed).random(graph.n_genes) + 1.0 * ~acts_G + 2.0 * ~able_G
    return graph.vocab.genes(np.sort(np.argsort(key_G)[: design.n_targets]))


def _assigned(
    n_cells: int, design: SpikeDesign, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Target, guide and strength of every cell."""
    rng = generator("spiked screen", "cells", seed)
    strength_guide = 1 - design.guide_spread * rng.random((design.n_targets, design.n_guides))
    order = rng.permutation(n_cells)
    target_N = np.full(n_cells, -1, dtype=np.int64)
    n_perturbed = design.n_targets * design.cells_per_target
    target_N[order[:n_perturbed]] = np.repeat(np.arange(design.n_targets), design.cells_per_target)
    hit_N = (target_N >= 0) & (rng.random(n_cells) >= design.escapers)
    guide_N = np.where(target_N >= 0, rng.integers(design.n_guides, size=n_cells), 0)
    return target_N, guide_N, np.where(hit_N, strength_guide[target_N, guide_N], 0.0)


def _with_effects(cells: RealCells, effect_NG: NDArray[np.float64], seed: int) -> tuple[RealCells, str]:
    if cells.count_NG is not None and cells.total_N is not None:
        count_NG = thinned(cells.count_NG, effect_NG, generator("spiked screen", "thinning", seed))
        # The total of all genes sequenced falls with the genes that are here.
        total_N = cells.total_N + (count_NG - cells.count_NG).sum(axis=1)
        value_NG, rule = log_tpm(count_NG, total_N), "counts"
    else:
        count_NG, total_N, rule = None, None, rule_of(cells.value_NG)
        moved_NG = changed(cells.value_NG, effect_NG, rule).astype(np.float32)
        value_NG = np.where(cells.measured_NG & (effect_NG != 0), moved_NG, cells.value_NG)
    made = RealCells(
        vocab=cells.vocab,
        value_NG=value_NG,
        measured_NG=cells.measured_NG,
        cell_id_N=cells.cell_id_N,
        count_NG=count_NG,
        total_N=total_N,
        label_N=cells.label_N,
    )
    return made, rule
