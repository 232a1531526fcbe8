"""Print how often the interval of the limit of detection covers the true limit of the population.

``python -m tests.verification.power.coverage SOURCE CELLS PILOT FIRST N``: of a world's name or ``KIND:PLACE``, at
``CELLS`` cells of a perturbation, for ``N`` pilots of ``PILOT`` cells with seeds from ``FIRST`` on.
"""

import sys
import time
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from diagnostics import PowerDesign, detection_power
from diagnostics.audit.power.limits import Crossing
from diagnostics.audit.power.surface import TESTS
from gpcp.core.random import generator
from simulators.spike_ins.real_cells import RealCells
from tests.verification.power.populations import Experiments, population_of

STEPS = np.array([-0.09, -0.03, 0.03, 0.09])
"""Logarithms of the effects, from the first guess on, at which fresh experiments are made."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A limit of detection that is known from the population.

    Parameters
    ----------
    value : float
    error : float
        Standard error of its logarithm, by the experiments that were made.
    """

    value: float
    error: float


def limit_of(effects: NDArray[np.float64], share_RE: NDArray[np.float64], wanted: float) -> Limit:
    """Where the mean share of experiments (R) over effects (E) is what is wanted, by a straight line of its probit."""
    log_E = np.log(effects)

    def at(mean_E: NDArray[np.float64]) -> float:
        slope, height = np.polyfit(log_E, special.ndtri(np.clip(mean_E, 1e-3, 1 - 1e-3)), 1)
        return float((special.ndtri(wanted) - height) / slope)

    total_E, n = share_RE.sum(axis=0), len(share_RE)
    without = np.array([at((total_E - one_E) / (n - 1)) for one_E in share_RE])
    return Limit(value=float(np.exp(at(total_E / n))), error=float(np.sqrt((n - 1) * without.var())))


def true_limit(experiments: Experiments, test: str, guess: float, n_experiments: int, wanted: float = 0.8) -> Limit:
    """The limit of a population, by scipy's tests of fresh experiments near a guess."""
    rng, effects = generator("true limit", test, n_experiments), guess * np.exp(STEPS)
    return limit_of(effects, np.stack([experiments.found(test, effects, rng) for _ in range(n_experiments)]), wanted)


def limits_of_pilot(
    population: RealCells, design: PowerDesign, n_pilot: int, seed: int, test: str | None = None
) -> dict[str, Crossing]:
    """What a pilot drawn from a population says, by test."""
    row_N = generator("pilot of a population", seed).integers(len(population), size=n_pilot)
    found = detection_power(population.rows(row_N), design, seed=seed)
    return {name: found.limit(name) for name in TESTS if test in (None, name)}


def covers(found: Crossing, true: Limit) -> bool:
    """Whether the interval holds the true limit; an open end holds all beyond it."""
    if found.value is None:
        return False
    return (found.low or 0.0) <= true.value <= (found.high or float("inf"))


def measured(source: str, n_cells: int, n_pilot: int, first: int, n: int, *, n_experiments: int = 1_500) -> None:
    """Print the true limits, a line for each pilot, and the coverage of each test."""
    population = population_of(source)
    design = PowerDesign(cells=n_cells, n_cells=(n_cells,), controls=n_pilot)
    whole = detection_power(population, design)
    experiments = Experiments(population=population, n=n_cells, n_control=n_pilot)
    true = {
        name: true_limit(experiments, name, guess, n_experiments)
        for name in TESTS
        if (guess := whole.limit(name).value) is not None
    }
    for name, one in true.items():
        print(f"true limit {name} {one.value:.4f}, error of its logarithm {one.error:.4f}", flush=True)
    found = []
    for seed in range(first, first + n):
        found.append(limits_of_pilot(population, design, n_pilot, seed))
        shown = [f"{k} {v.value} {v.low} {v.high} {covers(v, true[k])}" for k, v in found[-1].items() if k in true]
        print(seed, "; ".join(shown), flush=True)
    for name in true:
        summary(name, [one[name] for one in found], true[name])
    print(f"{time.process_time():.0f} CPU s")


def summary(name: str, found: list[Crossing], true: Limit) -> None:
    """Print coverage, bias and spread beside the standard error that intervals state."""
    known = [one for one in found if one.value is not None]
    log = np.log([one.value for one in known if one.value is not None]) - np.log(true.value)
    half = [np.log(one.high / one.low) / 2 for one in known if one.low is not None and one.high is not None]
    low = sum(one.low is not None and one.low > true.value for one in known)
    high = sum(one.high is not None and one.high < true.value for one in known)
    print(
        f"{name}: covered {sum(covers(one, true) for one in found)} of {len(found)} (above {low}, below {high}, none "
        f"{len(found) - len(known)}); bias {log.mean():+.4f}, sd {log.std(ddof=1):.4f}, stated standard error "
        f"{np.mean(half) / special.ndtri(0.95):.4f}"
    )


if __name__ == "__main__":
    measured(sys.argv[1], *(int(one) for one in sys.argv[2:]))
