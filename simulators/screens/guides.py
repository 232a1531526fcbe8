"""Perturbations of a screen and their guides: which genes they hit, how strong each guide is, and what it does."""

from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.scm.interventions import Do, Intervention, KnockDown, Shift
from simulators.screens.design import OFF, ScreenDesign
from simulators.worlds import World

CONTROL = "control"
"""Name of the controls among perturbations, whatever the convention of a file."""

JOIN = "+"
"""Between the genes of a combination."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Guides:
    """One perturbation and its guides.

    Parameters
    ----------
    label : str
        Its genes, joined by :data:`JOIN`; :data:`CONTROL` for the controls.
    genes : tuple of str
        Ids; none for the controls.
    strengths : tuple of float
        One for each guide, 0 .. 1; 0 does nothing.
    """

    label: str
    genes: tuple[str, ...]
    strengths: tuple[float, ...]

    def intervention(self, guide: int, design: ScreenDesign) -> Intervention | None:
        """What a guide does to a cell that does not escape it; None for nothing."""
        strength = self.strengths[guide]
        if not self.genes or strength == 0:
            return None
        if design.kind == "knockout":
            return Do(self.genes, OFF)
        if design.kind == "activation":
            return Shift(self.genes, -OFF * strength)
        return KnockDown(genes=self.genes, keep=1 - strength, off=OFF)

    def components(self, design: ScreenDesign) -> list[tuple[float, Intervention | None]]:
        """The mixture that the cells of this perturbation are drawn from: shares and interventions."""
        if not self.genes:
            return [(1.0, None)]
        escaped, n_guides = design.escapers, len(self.strengths)
        parts = [((1 - escaped) / n_guides, self.intervention(guide, design)) for guide in range(n_guides)]
        return [(escaped, None), *parts] if escaped > 0 else parts


def guides_of(world: World, design: ScreenDesign, *, seed: int) -> tuple[Guides, ...]:
    """The controls and all perturbations of a screen; targets are drawn among all genes that act on enough others.

    Raises
    ------
    InputError
        There are more targets than such genes.
    """
    vocab = world.graph.vocab
    able = np.arange(len(vocab))
    if design.least_descendants:
        able = np.flatnonzero(world.graph.ancestors_GG().sum(axis=1) >= design.least_descendants)
    if design.n_targets > len(able):
        acting = f" that act on {design.least_descendants} others or more" if design.least_descendants else ""
        raise InputError(f"n_targets is {design.n_targets}, but world {world.name} has {len(able)} genes{acting}")
    rng = generator("screen targets", world.name, world.seed, seed)
    targets = vocab.genes(np.sort(able[rng.permutation(len(able))[: design.n_targets]]))
    pairs = list(combinations(targets, 2)) if design.n_combinations else []
    kept = np.sort(rng.permutation(len(pairs))[: design.n_combinations]).tolist()
    groups = [(gene,) for gene in targets] + [pairs[i] for i in kept]
    strength_rng = generator("screen guides", world.name, world.seed, seed)
    low, high = design.strength * (1 - design.guide_spread), design.strength
    guides = [Guides(label=CONTROL, genes=(), strengths=(0.0,) * design.n_guides)]
    for genes in groups:
        strengths = strength_rng.uniform(low, high, design.n_guides).tolist()
        guides.append(Guides(label=JOIN.join(genes), genes=genes, strengths=tuple(strengths)))
    return tuple(guides)
