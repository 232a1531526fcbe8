"""``ScreenTwin``: a twin's world under the perturbations of a screen, with as many cells, controls and guides."""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.perturbations import AppliedPerturbations
from gpcp.core.random import generator
from simulators.exact.laws import total_effect_GG
from simulators.twins.observed import Context, passed_G
from simulators.twins.screens.cells import ScreenCells
from simulators.twins.screens.effects import effects_of, excess_of
from simulators.twins.screens.guides import efficiency_of
from simulators.twins.screens.planted import (
    LEAST_EFFECT,
    EffectSizes,
    direct_of,
    most_scale_A,
    size_of_genes,
    sizes_of,
    with_targets,
)
from simulators.twins.twin import Twin, twin_of
from simulators.worlds import World

CLEAR_EFFECTS = 3.0
"""Standard deviations of chance beyond which a screen's effects are more."""

_N_CORRECTIONS = 3
"""Draws after which sizes and the share of escaped cells are set by what the draw shows too much or too little."""

_MOST_ESCAPED = 0.9
_CORRECTING = 2**31 - 1
"""Seed of that draw: no other is asked for it."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenTwin:
    """A world and an assay that make a screen like a given one.

    Parameters
    ----------
    twin : Twin
        Of the controls; its cell types are the groups of the screen.
    applied : AppliedPerturbations
        Of each real cell: a twin's cell takes that of one of them, with its group and guide.
    guide_N : (N,) array of str, or None
    strength_N : float64, (N,)
        Of each real cell's guide, 1 on average.
    escaped : float
        Share of the perturbed cells in which nothing happens.
    n_scored : int
        Perturbations whose cells that share was estimated from.
    direct_AG : float64, (A, G)
        What each perturbation adds to each gene of the world directly, on average over its cells.
    z : float
        By how much the real effects exceed chance, in its standard deviation.
    """

    twin: Twin
    applied: AppliedPerturbations
    guide_N: NDArray[np.str_] | None
    strength_N: NDArray[np.float64]
    escaped: float
    n_scored: int
    direct_AG: NDArray[np.float64]
    z: float

    @property
    def world(self) -> World:
        """Its graph is drawn, not estimated; targets that do much in the real screen are genes that do much in it."""
        return self.twin.world

    @property
    def is_reference(self) -> bool:
        """Whether the screen's effects are no more than chance, so that usual ones stand in."""
        return self.z < CLEAR_EFFECTS

    @property
    def effect_AG(self) -> NDArray[np.float64]:
        """The truth: the mean change of each gene of the world under each perturbation, (A, G)."""
        return self.direct_AG @ total_effect_GG(self.world.scm)

    def effects_on(self, applied: AppliedPerturbations) -> NDArray[np.float64]:
        """The mean change of each gene in cells to which this was done, (B, G): those of a combination add up."""
        padded_AG = np.concatenate([self.effect_AG, np.zeros((1, self.direct_AG.shape[1]))])
        return padded_AG[applied.token_BA].sum(axis=1)

    def cells(self, n_cells: int | None = None, *, seed: int = 0) -> ScreenCells:
        """Cells as the assay reports them, as many as the real screen has by default."""
        rng = generator("cells of a screen's twin", self.world.seed, seed)
        row_B, latent_BG = self._latent(n_cells, rng)
        return self._screen(self.twin.assay.observe(latent_BG, row_B, rng), row_B)

    def latent(self, n_cells: int | None = None, *, seed: int = 0, groups: bool = True) -> ScreenCells:
        """Cells in the world's own units, all genes measured; with ``groups`` about the mean of their group."""
        rng = generator("latent cells of a screen's twin", self.world.seed, seed)
        row_B, latent_BG = self._latent(n_cells, rng)
        return self._screen(self.twin.assay.unmeasured_cells(latent_BG, row_B, types=groups), row_B)

    def _latent(self, n_cells: int | None, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        n_cells = len(self.applied) if n_cells is None else n_cells
        row_B = self.twin.assay.rows(n_cells, rng)
        latent_BG = self.world.scm.sample(n_cells, rng)
        hit_B = rng.random(n_cells) >= self.escaped
        response_B = hit_B * self.strength_N[row_B] / (1 - self.escaped)
        return row_B, latent_BG + response_B[:, None] * self.effects_on(self.applied.rows(row_B))

    def _screen(self, cells: CellBatch, row_B: NDArray[np.int64]) -> ScreenCells:
        return ScreenCells(
            cells=cells,
            applied=self.applied.rows(row_B),
            group_B=self.twin.assay.type_names[self.twin.assay.type_N[row_B]],
            guide_B=None if self.guide_N is None else self.guide_N[row_B],
        )

    def to_json(self) -> dict[str, Any]:
        """What the twin was set to, as JSON's types."""
        return {
            **self.twin.to_json(),
            "n_perturbations": len(self.applied.vocab),
            "n_controls": int(self.applied.is_control_B.sum()),
            "escaped": self.escaped,
            "escaped_from": self.n_scored,
            "effects_z": self.z,
            "is_reference": self.is_reference,
        }


def screen_twin_of(
    screen: ScreenCells, *, context: Context | None = None, seed: int = 0, world_seed: int = 0
) -> ScreenTwin:
    """Build the twin of a screen in memory.

    Parameters
    ----------
    screen : ScreenCells
    context : Context, optional
        What is known of its cells beside its genes, see :func:`simulators.twins.observed.context_of`.
    seed : int
        Of halves and shuffled labels.
    world_seed : int
        Of the graph and of what unmeasured targets act on.

    Raises
    ------
    InputError
        There are too few controls, or no perturbed cell has a control of its group.

    Notes
    -----
    Values, depth, counting noise, lost counts and strength of correlation are those of the controls. The perturbation
    of a measured gene shifts that gene, one of another target three drawn genes; the shift is such that its effect on
    all genes but the target has the mean square of the real one, less its sampling error, after measurement.
    """
    is_control_B = screen.applied.is_control_B
    met_B = np.isin(screen.group_B, screen.group_B[is_control_B])
    if not (met_B & ~is_control_B).any():
        raise InputError("no perturbed cell of the screen has a control of its group: match on less")
    if not met_B.all():
        screen, context = screen.rows(np.flatnonzero(met_B)), _rows_of(context, met_B)
        is_control_B = screen.applied.is_control_B
    names = {"cell_type": screen.group_B, "dataset": screen.cells.covariates.get("dataset", screen.group_B)}
    whole = replace(screen.cells, covariates=names)
    controls = twin_of(
        whole.rows(np.flatnonzero(is_control_B)), context=_rows_of(context, is_control_B), seed=seed,
        world_seed=world_seed,
    )  # fmt: skip
    standard_BG = screen.standard_BG()
    found = effects_of(standard_BG, whole.measured_BG, screen.applied, screen.group_B)
    efficiency = efficiency_of(standard_BG, found, screen.guide_B, seed=seed)
    z = excess_of(standard_BG, whole.measured_BG, found.label_B, screen.group_B, seed=seed)
    vocab = screen.applied.vocab
    sizes = sizes_of(found, screen.applied, reference=z < CLEAR_EFFECTS)
    world = with_targets(controls.world, size_of_genes(sizes, vocab), world_seed)
    assay = replace(
        controls.assay,
        type_N=np.searchsorted(controls.assay.type_names, screen.group_B).astype(np.int64),
        measured_NG=whole.measured_BG,
        dataset_N=names["dataset"],
    )
    through_G = assay.reliability_G * passed_G(whole, assay.lost_G) * (1 - assay.depth_loading_G**2)
    made = ScreenTwin(
        twin=replace(controls, world=world, assay=assay),
        applied=screen.applied,
        guide_N=screen.guide_B,
        strength_N=efficiency.strength_B,
        escaped=efficiency.escaped,
        n_scored=efficiency.n_scored,
        direct_AG=direct_of(world, vocab, sizes, np.sqrt(through_G), world_seed),
        z=z,
    )
    return _corrected(made, sizes)


def _rows_of(context: Context | None, which_B: NDArray[np.bool_]) -> Context | None:
    if context is None:
        return None
    unit_B = None if context.unit_B is None else context.unit_B[which_B]
    return replace(context, unit_B=unit_B, others_B=context.others_B[which_B])


def _corrected(twin: ScreenTwin, sizes: EffectSizes) -> ScreenTwin:
    """The twin whose draws show the real sizes and escaped cells: quantiles are no straight line."""
    size_A, real = sizes.size_A, twin.escaped
    for number in range(_N_CORRECTIONS):
        drawn = twin.cells(seed=_CORRECTING - number)
        shown = drawn.effects()
        shown_A = sizes_of(shown, twin.applied).size_A
        factor_A = np.where((size_A > 0) & (shown_A > 0), size_A / np.maximum(shown_A, LEAST_EFFECT), 1.0)
        direct_AG = twin.direct_AG * np.clip(factor_A, 0.5, 2.0)[:, None]
        effect_AG = direct_AG @ total_effect_GG(twin.world.scm)
        twin = replace(twin, direct_AG=direct_AG * np.minimum(1.0, most_scale_A(effect_AG))[:, None])
        if twin.n_scored:
            escaped = efficiency_of(drawn.standard_BG(), shown, drawn.guide_B).escaped
            twin = replace(twin, escaped=float(np.clip(twin.escaped + real - escaped, 0.0, _MOST_ESCAPED)))
    return twin
