import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.scm.noises import NOISES, noise_named


@pytest.mark.parametrize("name", sorted(NOISES))
def test_the_density_has_area_1_mean_0_and_variance_1(name: str):
    # Midpoint rule on a grid of 2e-4: errors below 1e-6 but at the uniform's edges, where half a cell is lost.
    step = 2e-4
    x = np.arange(-40, 40, step) + step / 2
    p = np.exp(NOISES[name].log_density(x)) * step
    assert p.sum() == pytest.approx(1, abs=1e-4)
    assert (p * x).sum() == pytest.approx(0, abs=1e-4)
    assert (p * x**2).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", sorted(NOISES))
def test_draws_follow_the_density(name: str):
    n = 200_000
    drawn = NOISES[name].draw((2, n // 2), generator("noise", name)).ravel()
    edges = np.linspace(-4, 4, 33)
    fine = np.linspace(-4, 4, 32_001)
    density = np.exp(NOISES[name].log_density((fine[1:] + fine[:-1]) / 2)) * (fine[1] - fine[0])
    expected = density.reshape(32, -1).sum(axis=1)
    found = np.histogram(drawn, edges)[0] / n
    # 32 bins at 4.5 standard errors: one false alarm in 4,000 for each noise; the grid adds 1e-4 at the uniform's edge.
    assert (np.abs(found - expected) < 4.5 * np.sqrt(expected * (1 - expected) / n) + 2e-4).all()


@pytest.mark.parametrize("name", sorted(NOISES))
def test_same_generator_same_bytes(name: str):
    one, again, other = (NOISES[name].draw((3, 5), generator("noise", seed)) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() != other.tobytes()
    assert one.dtype == np.float64


def test_outside_its_support_a_noise_has_no_density():
    assert NOISES["uniform"].log_density(np.array([1.8]))[0] == -np.inf


def test_an_unknown_noise_names_the_nearest():
    with pytest.raises(InputError, match="nearest: gaussian"):
        noise_named("gausian")
