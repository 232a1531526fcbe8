"""Power over effects and numbers of cells, of the pilot and of bootstrap samples of it, by drawn experiments."""

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
    rejected_level,
    welch_p,
    wilcoxon_p,
)
from diagnostics.audit.power.planted_values import Pilot, PlantedValues
from gpcp.core.random import generator

TESTS = ("welch", "wilcoxon")
"""Welch's t on logarithmic values, and Wilcoxon's rank sum."""

_N_POINT = 60
"""Experiments drawn from the pilot itself."""

_N_ALONE = 30
"""Samples that are the pilot itself, which say how far results vary by the draws alone."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draws:
    """Experiments of one number of cells, as weights over the pilot's cells.

    Rows go sample by sample: first the pilot's own :data:`_N_POINT`, then those of the pilot drawn anew, then those of
    bootstrap samples.

    Parameters
    ----------
    perturbed_RN, control_RN : float32, (R, N)
    n_of_sample : tuple of int
        Rows of each sample.
    expressed_sample_G : float64, (samples, G)
        Share of expressing cells in each sample of the pilot.
    n, n_control : int
        Cells of each group.
    """

    perturbed_RN: NDArray[np.float32]
    control_RN: NDArray[np.float32]
    n_of_sample: tuple[int, ...]
    expressed_sample_G: NDArray[np.float64]
    n: int
    n_control: int


def drawn(pilot: Pilot, n: int, design: PowerDesign, *, seed: int) -> Draws:
    """The experiments of one number of cells; bootstrap samples are the same for all numbers."""
    n_pilot = len(pilot)
    n_control = design.controls or n_pilot
    rng = generator("power bootstrap", seed, n_pilot)
    even_N = np.full(n_pilot, 1 / n_pilot)
    sampled = rng.multinomial(n_pilot, even_N, size=design.n_resamplings) / n_pilot
    chance = [(even_N, _N_POINT), *[(even_N, design.n_draws)] * _N_ALONE, *[(one, design.n_draws) for one in sampled]]
    rng = generator("power experiments", seed, n_pilot, n)
    groups = [(rng.multinomial(n, p_N, size=rows), rng.multinomial(n_control, p_N, size=rows)) for p_N, rows in chance]
    return Draws(
        perturbed_RN=np.concatenate([one for one, _ in groups]).astype(np.float32),
        control_RN=np.concatenate([one for _, one in groups]).astype(np.float32),
        n_of_sample=tuple(rows for _, rows in chance),
        expressed_sample_G=np.stack([pilot.shares(p_N) for p_N, _ in chance]),
        n=n,
        n_control=n_control,
    )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planted:
    """One effect on the pilot: values, and where they lie.

    Parameters
    ----------
    values : PlantedValues
    placed : Placements
    """

    values: PlantedValues
    placed: Placements


def planted(pilot: Pilot, effect: float, *, seed: int) -> Planted:
    """The pilot with an effect on every gene."""
    values = pilot.planted(effect, seed=seed)
    return Planted(values=values, placed=placements(values))


def without_effect(pilot: Pilot) -> Planted:
    """The pilot as both groups."""
    values = PlantedValues(control_NG=pilot.value_NG, perturbed_NG=pilot.value_NG)
    return Planted(values=values, placed=placements(values))


def classes_of(expressed_G: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class of each gene by the share of cells that express it: position in :data:`EXPRESSED_BINS`."""
    return np.clip(np.searchsorted(EXPRESSED_BINS, expressed_G, side="right") - 1, 0, len(EXPRESSED_BINS) - 2)


def power_at(draws: Draws, none: Planted, some: Mapping[float, Planted], design: PowerDesign) -> NDArray[np.float64]:
    """What each test finds, float64 (tests, samples, effects, classes + 2).

    First the share of false discoveries among all, then the share of the affected genes that are found: of all genes,
    and of each class of expression, NaN where there is none. Which genes are tested, and their class, go by the cells
    of each sample.
    """
    null = _p_values(draws, none, None)
    found = np.full((len(TESTS), len(draws.n_of_sample), len(some), len(EXPRESSED_BINS) + 1), np.nan)
    start = np.concatenate([[0], np.cumsum(draws.n_of_sample)])
    tested = draws.expressed_sample_G >= design.expressed
    # Where effects fall the controls are the pilot's own cells, whatever the effect.
    controls = moments(draws.control_RN, none.values.control_NG, draws.n_control)
    for place, (_, one) in enumerate(sorted(some.items())):
        same = one.values.control_NG is none.values.control_NG
        affected = _p_values(draws, one, controls if same else None)
        for test in range(len(TESTS)):
            for sample, kept_G in enumerate(tested):
                rows = slice(start[sample], start[sample + 1])
                null_RG, affected_RG = null[test][rows][:, kept_G], affected[test][rows][:, kept_G]
                level = rejected_level(null_RG, affected_RG, affected=design.affected, fdr=design.fdr)
                class_G = classes_of(draws.expressed_sample_G[sample][kept_G])
                found[test, sample, place] = _by_class(null_RG, affected_RG, level, design.affected, class_G)
    return found


def _p_values(draws: Draws, one: Planted, controls: Moments | None) -> tuple[NDArray[np.float64], ...]:
    if controls is None:
        controls = moments(draws.control_RN, one.values.control_NG, draws.n_control)
    perturbed = moments(draws.perturbed_RN, one.values.perturbed_NG, draws.n)
    ranks = wilcoxon_p(draws.perturbed_RN, draws.control_RN, one.placed, draws.n, draws.n_control)
    return welch_p(perturbed, controls), ranks


def _by_class(
    null_RG: NDArray[np.float64],
    affected_RG: NDArray[np.float64],
    level: float,
    affected: float,
    class_G: NDArray[np.int64],
) -> NDArray[np.float64]:
    if level == 0:
        null_share, found_G = 0.0, np.zeros(len(class_G))
    else:
        null_share, found_G = float((null_RG <= level).mean()), (affected_RG <= level).mean(axis=0)
    false, right = (1 - affected) * null_share, affected * float(found_G.mean())
    n_of = np.bincount(class_G, minlength=len(EXPRESSED_BINS) - 1)
    sums = np.bincount(class_G, weights=found_G, minlength=len(EXPRESSED_BINS) - 1)
    by_class = np.where(n_of > 0, sums / np.maximum(n_of, 1), np.nan)
    return np.concatenate([[false / (false + right) if false else 0.0, found_G.mean()], by_class])


def effects_of(pilot: Pilot, design: PowerDesign, *, seed: int) -> dict[float, Planted]:
    """Every effect of the grid on the pilot, by its size."""
    return {one: planted(pilot, signed(one, design.direction), seed=seed) for one in design.effect_grid}


def split_samples(found: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Along the second axis: the pilot's own result, those of the pilot drawn anew, those of bootstrap samples."""
    return found[:, 0], found[:, 1 : 1 + _N_ALONE], found[:, 1 + _N_ALONE :]
