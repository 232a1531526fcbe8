"""Power over effects and numbers of cells: of the pilot by drawn experiments, of bootstrap samples of it by moments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.power.design import EXPRESSED_BINS, PowerDesign, signed
from diagnostics.audit.power.p_values import (
    Moments,
    Placements,
    moments,
    placements,
    rejected_levels,
    welch_p,
    wilcoxon_p,
)
from diagnostics.audit.power.planted_values import Pilot, PlantedValues
from diagnostics.audit.power.resampled import (
    Central,
    Normal,
    Sampled,
    central_moments,
    moved_power,
    sampled,
    welch_normal,
    wilcoxon_normal,
)
from gpcp.core.random import generator

TESTS = ("welch", "wilcoxon")
"""Welch's t on logarithmic values, and Wilcoxon's rank sum."""

_N_BATCHES = 12
"""Equal parts of the drawn experiments, by which results differ."""

_N_CLASSES = len(EXPRESSED_BINS) - 1


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draws:
    """Experiments of one number of cells, as weights over the pilot's cells.

    Parameters
    ----------
    perturbed_RN, control_RN : float32, (R, N)
    order_RG : int64, (R, tested genes)
        Order in which genes of each experiment are affected.
    n, n_control : int
        Cells of each group.
    """

    perturbed_RN: NDArray[np.float32]
    control_RN: NDArray[np.float32]
    order_RG: NDArray[np.intp]
    n: int
    n_control: int


def drawn(pilot: Pilot, n: int, design: PowerDesign, *, seed: int) -> Draws:
    """The experiments of one number of cells."""
    n_pilot = len(pilot)
    n_control, rows = design.controls or n_pilot, design.n_draws
    rng, even_N = generator("power experiments", seed, n_pilot, n), np.full(n_pilot, 1 / n_pilot)
    n_tested = int((pilot.expressed_G >= design.expressed).sum())
    order_RG = np.tile(np.arange(n_tested, dtype=np.intp), (rows, 1))
    return Draws(
        perturbed_RN=rng.multinomial(n, even_N, size=rows).astype(np.float32),
        control_RN=rng.multinomial(n_control, even_N, size=rows).astype(np.float32),
        order_RG=generator("power affected genes", seed, n_pilot, n).permuted(order_RG, axis=1),
        n=n,
        n_control=n_control,
    )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Resamplings:
    """Bootstrap samples of the pilot; row 0 is the pilot itself.

    Parameters
    ----------
    probability_RN : float32, (R, N)
    tested_RG : bool, (R, G)
        Which genes enough of the cells express.
    in_class_RG : bool, (classes, R, G)
        Whether each tested gene is in a class of expression.
    """

    probability_RN: NDArray[np.float32]
    tested_RG: NDArray[np.bool_]
    in_class_RG: NDArray[np.bool_]


def resamplings(pilot: Pilot, design: PowerDesign, *, seed: int) -> Resamplings:
    """Bootstrap samples, the same for all numbers of cells and effects."""
    n_pilot = len(pilot)
    rng = generator("power bootstrap", seed, n_pilot)
    drawn_RN = rng.multinomial(n_pilot, np.full(n_pilot, 1 / n_pilot), size=design.n_resamplings)
    count_RN = np.concatenate([np.ones((1, n_pilot), dtype=np.int64), drawn_RN])
    expressed_RG = pilot.shares(count_RN)
    tested_RG = expressed_RG >= design.expressed
    class_RG = np.where(tested_RG, classes_of(expressed_RG), -1)
    return Resamplings(
        probability_RN=(count_RN / n_pilot).astype(np.float32),
        tested_RG=tested_RG,
        in_class_RG=class_RG == np.arange(_N_CLASSES)[:, None, None],
    )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planted:
    """One effect on the pilot: values, where they lie, and their moments in bootstrap samples.

    Parameters
    ----------
    values : PlantedValues
    placed : Placements
    sampled : Sampled
    """

    values: PlantedValues
    placed: Placements
    sampled: Sampled


def without_effect(pilot: Pilot, some: Resamplings) -> Planted:
    """The pilot as both groups."""
    values = PlantedValues(control_NG=pilot.value_NG, perturbed_NG=pilot.value_NG)
    return _planted(values, some, central_moments(some.probability_RN, values.control_NG))


def effects_of(
    pilot: Pilot, design: PowerDesign, some: Resamplings, none: Planted, *, seed: int
) -> dict[float, Planted]:
    """Every effect of the grid on the pilot, by its size."""
    found: dict[float, Planted] = {}
    for size in design.effect_grid:
        values = pilot.planted(signed(size, design.direction), seed=seed)
        # Where effects fall the controls are the pilot's own cells, whatever the effect.
        same = values.control_NG is none.values.control_NG
        control = none.sampled.control if same else central_moments(some.probability_RN, values.control_NG)
        found[size] = _planted(values, some, control)
    return found


def _planted(values: PlantedValues, some: Resamplings, control: Central) -> Planted:
    placed = placements(values)
    return Planted(values=values, placed=placed, sampled=sampled(some.probability_RN, values, placed, control))


def classes_of(expressed_G: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class of each gene by the share of cells that express it: position in :data:`EXPRESSED_BINS`."""
    return np.clip(np.searchsorted(EXPRESSED_BINS, expressed_G, side="right") - 1, 0, _N_CLASSES - 1)


def power_at(
    draws: Draws, some: Resamplings, none: Planted, effects: Mapping[float, Planted], design: PowerDesign
) -> NDArray[np.float64]:
    """What each test finds, float64 (tests, 1 + batches + samples, effects, classes + 2).

    First the share of false discoveries among all, of the pilot alone; then the share of the affected genes that are
    found: of all genes, and of each class of expression, NaN where there is none. Which genes are tested, and their
    class, go by the cells of each sample.
    """
    null = _p_values(draws, none, None)
    n_samples = _N_BATCHES + len(some.tested_RG)
    found = np.full((len(TESTS), n_samples, len(effects), _N_CLASSES + 2), np.nan)
    controls = moments(draws.control_RN, none.values.control_NG, draws.n_control)
    for place, (_, one) in enumerate(sorted(effects.items())):
        same = one.values.control_NG is none.values.control_NG
        affected = _p_values(draws, one, controls if same else None)
        for test, normal in enumerate((welch_normal, wilcoxon_normal)):
            found[test, :, place] = _found(
                null[test], affected[test], normal(one.sampled, draws.n, draws.n_control), draws, some, design
            )
    return found


def _p_values(draws: Draws, one: Planted, controls: Moments | None) -> tuple[NDArray[np.float64], ...]:
    if controls is None:
        controls = moments(draws.control_RN, one.values.control_NG, draws.n_control)
    perturbed = moments(draws.perturbed_RN, one.values.perturbed_NG, draws.n)
    ranks = wilcoxon_p(draws.perturbed_RN, draws.control_RN, one.placed, draws.n, draws.n_control)
    return welch_p(perturbed, controls), ranks


def _found(
    null_RG: NDArray[np.float64],
    affected_RG: NDArray[np.float64],
    normal: Normal,
    draws: Draws,
    some: Resamplings,
    design: PowerDesign,
) -> NDArray[np.float64]:
    """One test of one effect, (1 + batches + samples, classes + 2)."""
    tested_G = some.tested_RG[0]
    n_affected = max(1, round(design.affected * int(tested_G.sum())))
    level_R = rejected_levels(
        null_RG[:, tested_G], affected_RG[:, tested_G], draws.order_RG, n=n_affected, fdr=design.fdr
    )
    found_RG = affected_RG <= level_R[:, None]
    batch_RG = np.stack([part.mean(axis=0) for part in np.array_split(found_RG, _N_BATCHES)])
    found_G = found_RG.mean(axis=0)
    moved_RG = moved_power(
        found_G,
        float(level_R.mean()),
        normal,
        some.tested_RG,
        least_level=design.fdr / int(tested_G.sum()),
        n_draws=len(found_RG),
    )
    every_RG = np.concatenate([found_G[None], batch_RG, moved_RG[1:]])
    # The pilot itself, its batches, and bootstrap samples.
    row_R = np.concatenate([np.zeros(1 + _N_BATCHES, dtype=np.intp), np.arange(1, len(some.tested_RG))])
    false = (1 - design.affected) * float((null_RG[:, tested_G] <= level_R[:, None]).mean())
    right = design.affected * float(found_G[tested_G].mean())
    result = np.full((len(every_RG), _N_CLASSES + 2), np.nan)
    result[0, 0] = false / (false + right) if false else 0.0
    for place, which_RG in enumerate([some.tested_RG, *some.in_class_RG], 1):
        result[:, place] = _mean(every_RG, which_RG[row_R])
    return result


def _mean(found_RG: NDArray[np.float64], which_RG: NDArray[np.bool_]) -> NDArray[np.float64]:
    n_R = which_RG.sum(axis=1)
    return np.where(n_R > 0, (found_RG * which_RG).sum(axis=1) / np.maximum(n_R, 1), np.nan)


def split_samples(found: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Along the second axis: the pilot's own result, that of batches of its draws, those of bootstrap samples."""
    return found[:, 0], found[:, 1 : 1 + _N_BATCHES], found[:, 1 + _N_BATCHES :]
