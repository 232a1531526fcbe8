"""Samples of linear worlds against their exact laws, with fixed seeds and stated standard errors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gpcp.core.random import generator
from simulators.exact.laws import law_of
from simulators.scm.constants import SCALINGS
from simulators.scm.interventions import Do, Intervention, KnockDown, Shift
from simulators.scm.noises import NOISES
from simulators.scm.scm import Scm
from simulators.worlds import world

pytestmark = pytest.mark.slow

N_CELLS = 50_000
N_PERTURBED = 3


def interventions(scm: Scm) -> dict[str, Intervention | None]:
    """Each kind, on genes from the beginning, middle and end of the causal order."""
    order = scm.graph.order
    genes = scm.graph.vocab.genes(order[[0, len(order) // 2, -1]])
    return {
        "none": None,
        "do": Do(genes, (1.5, -2.0, 0.5)),
        "shift": Shift(genes, (1.0, -1.0, 2.0)),
        "knock_down": KnockDown(genes=genes, keep=(0.2, 0.6, 0.0)),
    }


def moment_errors(cell_NG: NDArray[np.float64], mean_G: NDArray[np.float64], cov_GG: NDArray[np.float64]) -> float:
    """The largest deviation of a mean or covariance from the law's, in standard errors of the sample.

    Products of deviations are averaged over independent cells: their own spread gives the standard error.
    """
    deviation_NG = cell_NG - mean_G
    free = np.diagonal(cov_GG) > 0
    if np.abs(deviation_NG[:, ~free]).max(initial=0.0) > 1e-9:
        return float("inf")  # a gene that is held fixed does not vary
    deviation_NG, cov_GG = deviation_NG[:, free], cov_GG[np.ix_(free, free)]
    n_cells = len(deviation_NG)
    z_mean = deviation_NG.mean(axis=0) / (np.sqrt(np.diagonal(cov_GG)) / np.sqrt(n_cells))
    found_GG = deviation_NG.T @ deviation_NG / n_cells
    spread_GG = np.sqrt(((deviation_NG**2).T @ deviation_NG**2 / n_cells - found_GG**2).clip(1e-12))
    z_cov = (found_GG - cov_GG) / (spread_GG / np.sqrt(n_cells))
    return float(max(np.abs(z_mean).max(), np.abs(z_cov).max()))


@pytest.mark.parametrize("kind", ["none", "do", "shift", "knock_down"])
@pytest.mark.parametrize("noise", sorted(NOISES))
@pytest.mark.parametrize("scaling", SCALINGS)
def test_samples_have_the_exact_law(scaling: str, noise: str, kind: str):
    scm = world(f"erdos_renyi/20/{noise}/{scaling}", seed=4).scm
    intervention = interventions(scm)[kind]
    law = law_of(scm, intervention)
    cell_NG = scm.sample(N_CELLS, generator("law", noise, scaling, kind), intervention)
    # 48 cases of 20 means and 210 covariances: 11,000 figures, largest of as many normal ones about 4.2; 5.5 standard
    # errors are passed by chance once in 2,400 runs, and heavy tails widen the standard error that is measured.
    assert moment_errors(cell_NG, law.mean_G, law.cov_GG) < 5.5


def test_a_wrong_law_is_found():
    scm = world("erdos_renyi/20", seed=4).scm
    n_perturbed = interventions(scm)["knock_down"]
    cell_NG = scm.sample(N_CELLS, generator("law", "wrong"), n_perturbed)
    law = law_of(scm, n_perturbed)
    assert moment_errors(cell_NG, law.mean_G, law.cov_GG) < 5.5
    assert moment_errors(cell_NG, law.mean_G + 0.03, law.cov_GG) > 5.5
    assert moment_errors(cell_NG, law.mean_G, law.cov_GG * 1.06) > 5.5
    assert moment_errors(cell_NG, *(law_of(scm).mean_G, law_of(scm).cov_GG)) > 100
