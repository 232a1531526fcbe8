"""Noise distributions of mean 0 and variance 1 with their densities; a world scales them gene by gene."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi, sqrt
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest

_FloatArray = NDArray[np.float64]

_UNIFORM_EDGE = sqrt(3)  # variance of U(-a, a) is a^2 / 3
_LAPLACE_SCALE = sqrt(0.5)  # variance of Laplace(b) is 2 b^2
_GUMBEL_SCALE = sqrt(6) / pi  # variance of Gumbel(b) is pi^2 b^2 / 6
_GUMBEL_LOCATION = -float(np.euler_gamma) * _GUMBEL_SCALE  # mean of Gumbel(m, b) is m + gamma b


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """One distribution of mean 0 and variance 1.

    Parameters
    ----------
    name : str
    draw : callable of shape and generator
        float64 draws, independent.
    log_density : callable of an array
        Natural logarithm of the density, entry by entry; ``-inf`` outside the support.
    """

    name: str
    draw: Callable[[tuple[int, ...], np.random.Generator], _FloatArray]
    log_density: Callable[[_FloatArray], _FloatArray]


def _gaussian_draw(shape: tuple[int, ...], rng: np.random.Generator) -> _FloatArray:
    return rng.standard_normal(shape)


def _gaussian_log_density(noise: _FloatArray) -> _FloatArray:
    return -0.5 * noise**2 - 0.5 * log(2 * pi)


def _laplace_draw(shape: tuple[int, ...], rng: np.random.Generator) -> _FloatArray:
    return rng.laplace(0.0, _LAPLACE_SCALE, size=shape)


def _laplace_log_density(noise: _FloatArray) -> _FloatArray:
    return -np.abs(noise) / _LAPLACE_SCALE - log(2 * _LAPLACE_SCALE)


def _uniform_draw(shape: tuple[int, ...], rng: np.random.Generator) -> _FloatArray:
    return rng.uniform(-_UNIFORM_EDGE, _UNIFORM_EDGE, size=shape)


def _uniform_log_density(noise: _FloatArray) -> _FloatArray:
    return np.where(np.abs(noise) <= _UNIFORM_EDGE, -log(2 * _UNIFORM_EDGE), -np.inf)


def _gumbel_draw(shape: tuple[int, ...], rng: np.random.Generator) -> _FloatArray:
    return rng.gumbel(_GUMBEL_LOCATION, _GUMBEL_SCALE, size=shape)


def _gumbel_log_density(noise: _FloatArray) -> _FloatArray:
    z = (noise - _GUMBEL_LOCATION) / _GUMBEL_SCALE
    return -z - np.exp(-z) - log(_GUMBEL_SCALE)


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(name="gaussian", draw=_gaussian_draw, log_density=_gaussian_log_density),
        Noise(name="laplace", draw=_laplace_draw, log_density=_laplace_log_density),
        Noise(name="uniform", draw=_uniform_draw, log_density=_uniform_log_density),
        Noise(name="gumbel", draw=_gumbel_draw, log_density=_gumbel_log_density),
    )
}
"""By name."""


def noise_named(name: str) -> Noise:
    """One of :data:`NOISES`.

    Raises
    ------
    InputError
        There is none of that name; the message names the nearest.
    """
    if name not in NOISES:
        raise InputError(f"noise {name!r} does not exist; {nearest(name, NOISES)}")
    return NOISES[name]
