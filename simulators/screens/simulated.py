"""A simulated screen: fresh draws of its cells, whole or group by group, decided by seeds alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.random import generator
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.scm import Scm
from simulators.screens.contexts import context_scm, overlap
from simulators.screens.design import ScreenDesign
from simulators.screens.guides import CONTROL, Guides, guides_of
from simulators.screens.measurement import Measurement, measurement_of
from simulators.worlds import World

_BLOCK = 1_024
"""Cells that one stream of random numbers makes."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenCells:
    """Cells of one perturbation in one context.

    Parameters
    ----------
    latent_BG : float64, (B, G)
        Expression of all genes of the world.
    count_BG : int64, (B, G)
        Counts of the measured genes.
    guide_B, batch_B : int64, (B,)
    escaped_B : bool, (B,)
        Whether the cell's guide did nothing.
    """

    latent_BG: NDArray[np.float64]
    count_BG: NDArray[np.int64]
    guide_B: NDArray[np.int64]
    batch_B: NDArray[np.int64]
    escaped_B: NDArray[np.bool_]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimulatedScreen:
    """A Perturb-seq experiment on a known world; :func:`simulated_screen` makes one.

    Parameters
    ----------
    world : World
    design : ScreenDesign
    seed : int
        Decides targets, guides, contexts, rates and batches; cells have seeds of their own.
    scms : tuple of Scm
        One for each context.
    perturbations : tuple of Guides
        The controls first.
    measurement : Measurement
    """

    world: World
    design: ScreenDesign
    seed: int
    scms: tuple[Scm, ...]
    perturbations: tuple[Guides, ...]
    measurement: Measurement

    @property
    def vocab(self) -> GeneVocab:
        """The measured genes."""
        return GeneVocab(feature_id=self.world.graph.vocab.genes(np.flatnonzero(self.measurement.measured_G)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the perturbations, the controls first."""
        return tuple(one.label for one in self.perturbations)

    @property
    def targets(self) -> tuple[str, ...]:
        """Genes that are perturbed one at a time."""
        return tuple(one.genes[0] for one in self.perturbations if len(one.genes) == 1)

    @property
    def contexts(self) -> tuple[str, ...]:
        """Names of the contexts."""
        return tuple(f"context_{context}" for context in range(self.design.n_contexts))

    @property
    def graphs(self) -> Mapping[str, GeneGraph]:
        """The graph of each context."""
        return {name: scm.graph for name, scm in zip(self.contexts, self.scms, strict=True)}

    @property
    def overlaps(self) -> Mapping[str, float]:
        """Share of the world's edges that each context has."""
        return {name: overlap(self.world.graph, graph) for name, graph in self.graphs.items()}

    def n_cells(self, label: str) -> int:
        """Cells of a perturbation in each context."""
        return self.design.n_controls if label == CONTROL else self.design.cells_per_target

    def guides(self, label: str) -> Guides:
        """A perturbation by its name.

        Raises
        ------
        InputError
            There is none of that name; the message names the nearest.
        """
        for one in self.perturbations:
            if one.label == label:
                return one
        raise InputError(f"the screen has no perturbation {label!r}; {nearest(label, self.labels)}")

    def context(self, name: str) -> int:
        """Number of a context by its name.

        Raises
        ------
        InputError
            There is none of that name.
        """
        if name not in self.contexts:
            raise InputError(f"the screen has no context {name!r}; {nearest(name, self.contexts)}")
        return self.contexts.index(name)

    def sampler(self, label: str, context: str, n: int, seed: int) -> ScreenCells:
        """Fresh cells of one perturbation in one context.

        The first cells are the same whatever ``n``, up to blocks of 1,024; other seeds, contexts and labels are
        independent.

        Raises
        ------
        InputError
            An unknown label or context, or ``n`` is below 1.
        """
        guides, number = self.guides(label), self.context(context)
        if n < 1:
            raise InputError(f"n is {n}: ask for at least one cell")
        blocks = [
            self._block(guides, number, seed, block, n=min(_BLOCK, n - block * _BLOCK))
            for block in range(-(-n // _BLOCK))
        ]
        return ScreenCells(
            latent_BG=np.concatenate([one.latent_BG for one in blocks]),
            count_BG=np.concatenate([one.count_BG for one in blocks]),
            guide_B=np.concatenate([one.guide_B for one in blocks]),
            batch_B=np.concatenate([one.batch_B for one in blocks]),
            escaped_B=np.concatenate([one.escaped_B for one in blocks]),
        )

    def _block(self, guides: Guides, context: int, seed: int, block: int, *, n: int) -> ScreenCells:
        """The first cells of a block; noise is drawn for all, so that no cell depends on how many are asked for."""
        world, design = self.world, self.design
        rng = generator("screen cells", world.name, world.seed, self.seed, seed, context, guides.label, block)
        guide_B = rng.integers(len(guides.strengths), size=_BLOCK)
        batch_B = np.arange(block * _BLOCK, block * _BLOCK + n) % design.n_batches
        escaped_B = (rng.random(_BLOCK) < design.escapers) & bool(guides.genes)
        scm = self.scms[context]
        guide_B, escaped_B, noise_BG = guide_B[:n], escaped_B[:n], scm.draw(_BLOCK, rng)[:n]
        latent_BG = scm.expression(noise_BG)
        for guide in range(len(guides.strengths)):
            action = guides.intervention(guide, design)
            hit_B = (guide_B == guide) & ~escaped_B
            if action is not None and hit_B.any():
                latent_BG[hit_B] = scm.expression(noise_BG[hit_B], action)
        count_BG = self.measurement.counts(latent_BG, context=context, batch_B=batch_B, rng=rng, n_drawn=_BLOCK)
        return ScreenCells(
            latent_BG=latent_BG, count_BG=count_BG, guide_B=guide_B, batch_B=batch_B, escaped_B=escaped_B
        )


def simulated_screen(world: World, design: ScreenDesign | None = None, *, seed: int = 0) -> SimulatedScreen:
    """A screen on a known world.

    Parameters
    ----------
    world : World
    design : ScreenDesign, optional
    seed : int
        Not negative.

    Raises
    ------
    InputError
        The world has too few genes for the design.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}: it must be 0 or more")
    design = ScreenDesign() if design is None else design
    perturbations = guides_of(world, design, seed=seed)
    targets = tuple(one.genes[0] for one in perturbations if len(one.genes) == 1)
    return SimulatedScreen(
        world=world,
        design=design,
        seed=seed,
        scms=tuple(
            context_scm(world, context, seed=seed, rewired=design.rewired, rescaled_sd=design.rescaled_sd)
            for context in range(design.n_contexts)
        ),
        perturbations=perturbations,
        measurement=measurement_of(world, design, targets=targets, seed=seed),
    )
