"""The cells that ``detection_power`` asks for find what it promised, in cells it has not seen, by scipy's own tests.

Expected before the first run: 80 % was promised, and 70 to 90 % are found.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from diagnostics import PowerDesign, detection_power
from gpcp.core.random import stream
from simulators import SimulatedCells, build_assay, real_cells, world
from simulators.spike_ins.real_cells import RealCells
from simulators.totals import TotalledCells

pytestmark = pytest.mark.slow

N_PILOT, N_CONTROLS, N_DRAWS = 500, 500, 60


def population_of(name: str) -> RealCells:
    """12,000 sequenced cells of a world, 1,000 counts each."""
    made = world(name)
    assay = build_assay(made.graph.vocab, rng=stream(0, "assay"), library_size=1_000.0, log_rate_sd=1.0)
    return real_cells(TotalledCells(counted=SimulatedCells(scm=made.scm, n_cells=12_000, assay=assay)))


def found_in(
    population: RealCells, n: int, effect: float, affected: float, test: str, rng: np.random.Generator
) -> float:
    """Share of the affected genes that a test and Benjamini and Hochberg find in one fresh experiment."""
    assert population.count_NG is not None
    assert population.total_N is not None
    which = rng.permutation(np.arange(N_PILOT, len(population)))[: n + N_CONTROLS]
    count_BG = population.count_NG[which].copy()
    tested_G = np.flatnonzero((population.value_NG[:N_PILOT] > 0).mean(axis=0) >= 0.05)
    chosen = rng.permutation(tested_G)[: max(1, round(affected * len(tested_G)))]
    count_BG[:n, chosen] = rng.binomial(count_BG[:n, chosen], np.exp(-effect))
    scale_B = np.median(population.total_N) / population.total_N[which]
    value_BG: NDArray[np.float64] = np.log1p(count_BG[:, tested_G] * scale_B[:, None])
    perturbed, controls = value_BG[:n], value_BG[n:]
    if test == "welch":
        p_G = stats.ttest_ind(perturbed, controls, equal_var=False).pvalue
    else:
        p_G = stats.mannwhitneyu(perturbed, controls, axis=0).pvalue
    rejected_G = stats.false_discovery_control(np.nan_to_num(p_G, nan=1.0)) <= 0.05
    return float(rejected_G[np.isin(tested_G, chosen)].mean())


@pytest.mark.parametrize(("name", "effect"), [("scale_free/60", 0.65), ("erdos_renyi/100", 0.5)])
def test_the_cells_asked_for_find_what_was_promised(name: str, effect: float):
    population = population_of(name)
    design = PowerDesign(effect=effect, controls=N_CONTROLS)
    power = detection_power(population.rows(np.arange(N_PILOT)), design)
    for test in ("welch", "wilcoxon"):
        needed = power.needed(test)
        assert needed.value is not None
        n, rng = round(needed.value), stream(0, "fresh cells", name, test)
        shares = [found_in(population, n, effect, design.affected, test, rng) for _ in range(N_DRAWS)]
        assert 0.7 <= float(np.mean(shares)) <= 0.9
