"""``twin_of``: a world with a known graph, and an assay set like the cells it was made for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final, overload

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.random import generator
from simulators.exact.laws import law_of
from simulators.graphs.families import scale_free
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.scm import Scm, build_scm
from simulators.twins.assay import TwinAssay
from simulators.twins.observed import (
    FEWEST_CELLS,
    MOST_CELLS,
    Context,
    Strength,
    codes_of,
    counting_share_G,
    depth_loading_G,
    lost_share_G,
    mean_square,
    moments_of,
    passed_G,
    sampled,
    strength_of,
)
from simulators.twins.screens.cells import ScreenSource
from simulators.worlds import World

if TYPE_CHECKING:
    from simulators.twins.screens.twin import ScreenTwin

DEGREE = 4.0
"""Mean number of neighbours of a gene in a twin's graph."""

REFERENCE_STRENGTH = 0.02
"""Mean square correlation of a twin's world where the cells show none: .14 root mean square."""

LARGEST_STRENGTH = 0.2
_CLEAR = 3.0
_LEAST_RELIABILITY = 0.02
_SAMPLED_GENES = 400
_SAMPLED_CELLS = 4_000


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Twin:
    """A world and an assay that make cells like given ones.

    Parameters
    ----------
    world : World
        Its graph is drawn, not estimated: the genes' names are those of the cells, who acts on whom is not. Values are
        of mean 0 and variance 1 in every cell type.
    assay : TwinAssay
    strength : Strength
        Of correlation within types, as the cells show it.
    latent_strength : float
        Mean square correlation of the world: what the cells show, less counting noise and depth; or
        :data:`REFERENCE_STRENGTH`, where they show none.
    """

    world: World
    assay: TwinAssay
    strength: Strength
    latent_strength: float

    @property
    def is_reference(self) -> bool:
        """Whether the cells show no correlation within types, so that a usual one stands in."""
        return self.strength.z < _CLEAR

    def cells(self, n_cells: int, *, seed: int = 0) -> CellBatch:
        """Cells as the assay reports them; types, datasets and measured genes are those of cells drawn at random."""
        rng = generator("cells of a twin", self.world.seed, seed)
        latent_BG = self.world.scm.sample(n_cells, rng)
        return self.assay.observe(latent_BG, self.assay.rows(n_cells, rng), rng)

    def latent(self, n_cells: int, *, seed: int = 0, types: bool = True) -> CellBatch:
        """Cells in the world's own units, all genes measured; with ``types`` about the mean of their type."""
        rng = generator("latent cells of a twin", self.world.seed, seed)
        latent_BG = self.world.scm.sample(n_cells, rng)
        return self.assay.unmeasured_cells(latent_BG, self.assay.rows(n_cells, rng), types=types)

    def to_json(self) -> dict[str, Any]:
        """What the twin was set to, as JSON's types."""
        return {
            "world": self.world.name,
            "n_genes": len(self.assay.vocab),
            "n_edges": self.world.graph.n_edges,
            "n_cells": self.assay.n_cells,
            "n_types": len(self.assay.type_names),
            "observed_strength": self.strength.mean_square,
            "strength_z": self.strength.z,
            "latent_strength": self.latent_strength,
            "is_reference": self.is_reference,
            "counts_known": self.assay.counts_known,
            "median_counting_share": float(np.median(1 - self.assay.reliability_G)),
            "median_lost_share": float(np.median(self.assay.lost_G)),
            "median_depth_share": float(np.median(self.assay.depth_loading_G**2)),
        }


@overload
def twin_of(
    source: CellSource | CellBatch, *, context: Context | None = None, seed: int = 0, world_seed: int = 0
) -> Twin: ...


@overload
def twin_of(source: ScreenSource, *, seed: int = 0, world_seed: int = 0) -> "ScreenTwin": ...


def twin_of(
    source: CellSource | CellBatch | ScreenSource,
    *,
    context: Context | None = None,
    seed: int = 0,
    world_seed: int = 0,
) -> "Twin | ScreenTwin":
    """Build the twin of some cells, or of a screen.

    Parameters
    ----------
    source : CellSource, CellBatch or screen
        Values are log1p of something, or of any other unit: each gene's values in a type are taken as they are. Of a
        screen, such as :class:`gpcp.screens.h5ad_screen.H5adScreen`, perturbations, controls and guides are taken, too:
        see :class:`simulators.twins.screens.twin.ScreenTwin`.
    context : Context, optional
        Of a batch: what is known of its cells beside its genes, see :func:`simulators.twins.observed.context_of`.
    seed : int
        Which cells are read, where there are more than :data:`simulators.twins.observed.MOST_CELLS`.
    world_seed : int
        Of the graph and its weights.

    Raises
    ------
    InputError
        There are too few cells.

    Notes
    -----
    A Gaussian copula, as in scDesign2 (Sun et al. 2021): expression is the quantile, among the values of a gene in
    the cells of a type, of ``a d + sqrt(1 - a^2) (sqrt(r) x + sqrt(1 - r) e)``, with ``x`` the world's value, ``d`` the
    cell's depth, ``e`` noise, ``a`` the gene's correlation with depth and ``1 - r`` the share of counting noise; counts
    that are lost whatever their size, where there are any, are lost here, too.
    """
    if isinstance(source, ScreenSource):
        from simulators.twins.screens.cells import screen_cells_of
        from simulators.twins.screens.twin import screen_twin_of

        screen, known = screen_cells_of(source, seed=seed)
        return screen_twin_of(screen, context=known, seed=seed, world_seed=world_seed)
    if context is not None and not isinstance(source, CellBatch):
        raise InputError("twin_of: context= is of a batch of cells; of a source it is found")
    # A batch that comes with its context is taken whole: both are of the same cells.
    has_context = context is not None
    most = max(FEWEST_CELLS, len(source)) if isinstance(source, CellBatch) and has_context else MOST_CELLS
    sample = sampled(source, seed=seed, max_cells=most)
    cells, context = sample.cells, sample.context if context is None else context
    if len(context.others_B) != len(cells):
        raise InputError(f"twin_of: context= is of {len(context.others_B)} cells, and there are {len(cells)}")
    names, type_B = codes_of(cells, "cell_type")
    moments = moments_of(cells, type_B, len(names))
    of_counts = not (cells.expression_BG < 0).any()
    loading_G = np.zeros(len(cells.vocab))
    if of_counts:
        loading_G = np.clip(depth_loading_G(cells, moments.standard_BG, type_B, context), -0.95, 0.95)
    unit_B = context.unit_B if of_counts else None
    reliability_G, lost_G = np.ones(len(cells.vocab)), np.zeros(len(cells.vocab))
    if unit_B is not None:
        lost_G = lost_share_G(cells, type_B, unit_B)
        reliability_G = np.clip(1 - counting_share_G(cells, type_B, unit_B), _LEAST_RELIABILITY, 1.0)
    residual_BG = _without_depth(cells, moments.standard_BG, loading_G, context)
    rng = generator("strength of a twin", seed)
    strength = strength_of(residual_BG, cells.measured_BG, type_B, rng)
    latent = REFERENCE_STRENGTH
    if strength.z >= _CLEAR:
        through_G = reliability_G * passed_G(cells, lost_G)
        passed = mean_square(np.sqrt(np.outer(through_G, through_G)))
        latent = float(np.clip(strength.mean_square / max(passed, 1e-6), REFERENCE_STRENGTH / 4, LARGEST_STRENGTH))
    assay = TwinAssay.of(
        cells, type_names=names, type_B=type_B, offset_type_G=moments.offset_type_G,
        reliability_G=reliability_G, depth_loading_G=loading_G, lost_G=lost_G, counts_known=unit_B is not None,
    )  # fmt: skip
    return Twin(
        world=world_of_strength(cells.vocab, latent, seed=world_seed),
        assay=assay,
        strength=strength,
        latent_strength=latent,
    )


def _without_depth(
    cells: CellBatch, standard_BG: NDArray[np.float64], loading_G: NDArray[np.float64], context: Context
) -> NDArray[np.float64]:
    """Standard values less what the cell's depth predicts, of unit variance again."""
    depth_B = context.others_B - context.others_B.mean() + standard_BG.sum(axis=1)
    depth_B = depth_B / max(float(depth_B.std()), 1e-12)
    rest_BG = (standard_BG - depth_B[:, None] * loading_G) / np.sqrt(1 - loading_G**2)
    return np.where(cells.measured_BG, rest_BG, 0.0)


def world_of_strength(vocab: GeneVocab, strength: float, *, seed: int = 0) -> World:
    """A scale-free world of some genes, its weights scaled so that the mean square correlation is ``strength``."""
    n_genes = len(vocab)
    drawn = scale_free(n_genes, degree=min(DEGREE, n_genes - 1), rng=generator("graph of a twin", n_genes, seed))

    def scaled(factor: float) -> Scm:
        graph = GeneGraph.of_edges(
            vocab=vocab,
            regulator_E=drawn.regulator_E,
            target_E=drawn.target_E,
            weight_E=drawn.weight_E * factor,
        )
        return build_scm(graph, rng=generator("scm of a twin", n_genes, seed))

    low, high = 1e-2, 4.0
    for _ in range(12):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _strength(scaled(middle)) < strength else (low, middle)
    scm = scaled(float(np.sqrt(low * high)))
    return World(name=f"twin/{n_genes}", seed=seed, graph=scm.graph, scm=scm)


def _strength(scm: Scm) -> float:
    if scm.graph.n_genes <= _SAMPLED_GENES:
        return mean_square(law_of(scm).cov_GG)
    sample_BG = scm.sample(_SAMPLED_CELLS, generator("strength of a world", scm.graph.n_genes))
    correlation_GG: NDArray[np.float64] = np.asarray(np.corrcoef(sample_BG, rowvar=False), dtype=np.float64)
    return mean_square(correlation_GG) - 1 / _SAMPLED_CELLS
