"""Print how often the cells that ``detection_power`` asks for find what it promised.

``python -m tests.verification.power.promised SOURCE EFFECT FIRST N``: of a world's name or ``KIND:PLACE``, for ``N``
pilots of 500 cells with seeds from ``FIRST`` on; 500 controls, 80 fresh experiments each, scipy's own tests.
"""

import sys

import numpy as np

from diagnostics import PowerDesign, detection_power
from diagnostics.audit.power.surface import TESTS
from gpcp.core.random import generator
from tests.verification.power.populations import Experiments, population_of

N_PILOT, N_CONTROLS, N_EXPERIMENTS = 500, 500, 80


def promised(source: str, effect: float, first: int, n: int) -> None:
    """Print the cells asked for and the share of affected genes that they find, a line for each pilot and test."""
    population = population_of(source)
    for seed in range(first, first + n):
        row_N = generator("pilot of a promise", seed).integers(len(population), size=N_PILOT)
        power = detection_power(population.rows(row_N), PowerDesign(effect=effect, controls=N_CONTROLS), seed=seed)
        for test in TESTS:
            needed = power.needed(test).value
            if needed is None:
                print(seed, test, "none", flush=True)
                continue
            experiments = Experiments(population=population, n=round(needed), n_control=N_CONTROLS)
            rng = generator("experiments of a promise", seed, test)
            found = np.concatenate([experiments.found(test, np.array([effect]), rng) for _ in range(N_EXPERIMENTS)])
            print(seed, test, round(needed), f"{found.mean():.3f}", flush=True)


if __name__ == "__main__":
    promised(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
