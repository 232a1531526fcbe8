"""A world's structural equations, evaluated one gene at a time, and their linear Gaussian approximation.

Values of one gene may have any shape, as long as the shapes of all genes broadcast.
"""

from collections.abc import Sequence
from math import log
from typing import final

import numpy as np
from numpy.typing import NDArray

from simulators.exact.conditioning import LinearForm, linear_form
from simulators.scm.mechanisms import Linear, Mechanism
from simulators.scm.scm import Scm

_Array = NDArray[np.float64]

_TWIN_CELLS = 20_000
"""Cells from which a non-linear world's twin is fitted."""


@final
class Equations:
    """``x_j = natural_j(parents) + sd_j e_j``, in the units of expression."""

    def __init__(self, scm: Scm) -> None:
        self.scm = scm
        self.noise_sd_G = scm.noise_sd_G
        self._offset_G = -scm.centre_G / scm.spread_G
        self._response: Mechanism = scm.mechanism.over(scm.spread_G)

    def natural(self, gene: int, features: Sequence[_Array], shape: tuple[int, ...]) -> _Array:
        """What a gene would be without its noise, from the :meth:`feature` of each parent."""
        natural = np.full(shape, self._offset_G[gene])
        self._response.add(gene, features, natural)
        return natural

    def feature(self, gene: int, value: _Array) -> _Array:
        """What its children need of it: may be ``value`` itself, may have axes before those of ``value``."""
        seen = value
        if self.scm.scaling == "standardised":
            seen = value * self.scm.spread_G[gene] + self.scm.centre_G[gene]
        return self._response.feature(seen)

    def draw(self, gene: int, natural: _Array, rng: np.random.Generator) -> _Array:
        """A value for each of ``natural``, with the gene's own noise."""
        noise: _Array = self.scm.noise.draw(natural.shape, rng)
        return natural + self.noise_sd_G[gene] * noise

    def log_density(self, gene: int, value: _Array, natural: _Array) -> _Array:
        """Natural logarithm of ``p(x_j | parents)``."""
        with np.errstate(over="ignore"):  # a Gumbel density far out on its short side is 0
            density: _Array = self.scm.noise.log_density((value - natural) / self.noise_sd_G[gene])
        return density - log(self.noise_sd_G[gene])


def linear_twin(scm: Scm, rng: np.random.Generator) -> LinearForm:
    """The nearest linear world on the same graph: every gene regressed on its parents.

    The world itself if it is linear, else fitted to simulated cells: something to steer by, not a ceiling.
    """
    if isinstance(scm.mechanism, Linear):
        return linear_form(scm)
    cell_BG = scm.sample(_TWIN_CELLS, rng)
    weight_GG, offset_G = np.zeros_like(scm.graph.weight_GG), np.empty(scm.graph.n_genes)
    noise_sd_G = np.empty(scm.graph.n_genes)
    for gene in range(scm.graph.n_genes):
        parents = scm.graph.parents(gene)
        known = np.column_stack([np.ones(_TWIN_CELLS), cell_BG[:, parents]])
        coefficients = np.linalg.lstsq(known, cell_BG[:, gene], rcond=None)[0]
        offset_G[gene], weight_GG[parents, gene] = coefficients[0], coefficients[1:]
        noise_sd_G[gene] = (cell_BG[:, gene] - known @ coefficients).std()
    return LinearForm(weight_GG=weight_GG, offset_G=offset_G, noise_sd_G=noise_sd_G)
