"""Particle filters: predictions of the matched regime in worlds without a closed form, with standard errors.

The matched regime asks for ``E[x_U | x_T]``. A particle filter walks through the genes in causal order; perturbed genes
weigh the particles. What *later* perturbed genes say about an unperturbed one is looked ahead with a linear Gaussian
twin of the world, as in a twisted filter (Guarniero, Johansen and Lee, "The iterated auxiliary particle filter", 2017).
With ``q`` the twin's conditional given every perturbed value, ``t`` its conditional given the parents, and ``p`` the
world's own, the look-ahead is ``q / t``. So gene ``j`` multiplies the weight by

    perturbed:    p(x_j | parents) / t(x_j | parents)
    unperturbed:  p(x_j | parents) / t(x_j | parents) * q(x_j | before, perturbed) / proposal(x_j)

where the proposal mixes ``q`` and ``p``. Where the twin is the world, little but the mixing is left to weigh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from simulators.exact.conditioning import LinearForm, chunks, given_perturbed
from simulators.exact.equations import Equations, linear_twin
from simulators.exact.monte_carlo import Moments
from simulators.scm.scm import Scm

_Array = NDArray[np.float64]

N_ISLANDS = 8
"""Independent filters for each pair: the spread between them is the standard error (a t value of 7 degrees)."""

_P_PRIOR = 0.3
"""Share of the proposals that come from ``p``: where ``q`` is too narrow, no weight exceeds 1 / .3 of its due."""

_TWIN_INFLATION = 1.2
"""Factor on the twin's noise: a look-ahead that is too sure of itself kills the right particles early."""

_RESAMPLE_BELOW = 0.5
"""Share of effective particles under which an island is resampled."""

_LEAST_ISLANDS = 4.0
"""Effective islands under which a pair is run again with four times the particles."""

_FACTORS = (1, 4, 16, 64)
"""Particles of the runs, in multiples of what was asked for."""

_CHUNK_ENTRIES = 32_768
"""Particles of all pairs that are walked at a time: rows of 256 kB."""


def matched_moments(
    scm: Scm, perturbed_BG: NDArray[np.bool_], value_BG: _Array, *, rng: np.random.Generator, n_particles: int
) -> Moments:
    """Mean and variance of the unperturbed genes given the perturbed ones, and the mean's standard error.

    Parameters
    ----------
    scm : Scm
    perturbed_BG : bool, (B, G)
    value_BG : float64, (B, G)
        Values of the perturbed genes; others are not read.
    rng : numpy.random.Generator
    n_particles : int
        For each pair, at least 16; pairs whose islands disagree about where the weight lies get up to 64 times as
        many.

    Returns
    -------
    mean_BG, variance_BG, standard_error_BG : float64, (B, G)
        Value, 0 and 0 at perturbed genes.

    Raises
    ------
    InputError
        Too few particles, or no particle of a pair could produce its perturbed values.
    """
    if n_particles < 2 * N_ISLANDS:
        raise InputError(f"n_particles is {n_particles}: it must be at least {2 * N_ISLANDS}")
    twin = linear_twin(scm, rng.spawn(1)[0])
    steer = _Steer(Equations(scm), twin)
    moments: Moments = (value_BG.copy(), np.zeros(value_BG.shape), np.zeros(value_BG.shape))
    todo_B = dead_B = np.arange(len(perturbed_BG))
    for factor in _FACTORS:
        n_each = factor * n_particles // N_ISLANDS
        n_effective_B = np.empty(len(todo_B))
        for part in chunks(len(todo_B), N_ISLANDS * n_each, _CHUNK_ENTRIES):
            pairs = todo_B[part]
            walk = _Walk(steer, perturbed_BG[pairs], value_BG[pairs], rng, n_each)
            n_effective_B[part] = walk.run(moments, pairs)
        dead_B = todo_B[n_effective_B == 0]
        todo_B = todo_B[n_effective_B < _LEAST_ISLANDS]
        # A few unlucky pairs are worth another run; many mean that the values are impossible.
        if not len(todo_B) or len(dead_B) > 8 + 0.1 * len(perturbed_BG):
            break
    if len(dead_B):
        raise InputError(
            f"no particle produced the perturbed values of pair {int(dead_B[0])}: a world with {scm.noise.name} noise "
            "hardly ever does; give values that it can have, or raise n_particles"
        )
    return moments


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _LookAhead:
    """What the twin says of some pairs. Genes of ``root_BGG`` are in causal order."""

    mean_BG: _Array
    root_BGG: _Array
    guided_BG: NDArray[np.bool_]


@final
class _Steer:
    """World and twin together: all that a walk needs to know, pairs apart."""

    def __init__(self, equations: Equations, twin: LinearForm) -> None:
        self.equations = equations
        self.graph = equations.scm.graph
        self.twin = LinearForm(
            weight_GG=twin.weight_GG, offset_G=twin.offset_G, noise_sd_G=_TWIN_INFLATION * twin.noise_sd_G
        )
        self._descendant_GG = self.graph.ancestors_GG().T.astype(np.float64)

    def look_ahead(self, perturbed_BG: NDArray[np.bool_], value_BG: _Array) -> _LookAhead:
        """The twin's law of each pair's unperturbed genes given the perturbed ones."""
        order = self.graph.order
        mean_BG, root_BGG = np.empty(value_BG.shape), np.empty((*value_BG.shape, value_BG.shape[1]))
        for pairs, mean_bG, cov_bGG in given_perturbed(self.twin, perturbed_BG, value_BG):
            mean_BG[pairs] = mean_bG
            root_BGG[pairs] = np.linalg.cholesky(cov_bGG[:, order[:, None], order])
        # An unperturbed gene without perturbed descendants: its conditional given the past is the world's own.
        guided_BG = ~perturbed_BG & (perturbed_BG @ self._descendant_GG > 0)
        return _LookAhead(mean_BG=mean_BG, root_BGG=root_BGG, guided_BG=guided_BG)

    def twin_log_density(self, gene: int, value: _Array, expression_GBN: _Array) -> _Array:
        """Logarithm of ``t(x_j | parents)``."""
        natural = np.full(value.shape, self.twin.offset_G[gene])
        for parent in self.graph.parents(gene).tolist():
            natural += self.twin.weight_GG[parent, gene] * expression_GBN[parent]
        return _log_normal(value - natural, self.twin.noise_sd_G[gene])


@final
class _Walk:
    """The particles of a few pairs on their one walk through the genes."""

    def __init__(
        self, steer: _Steer, perturbed_BG: NDArray[np.bool_], value_BG: _Array, rng: np.random.Generator, n_each: int
    ) -> None:
        n_pairs, n_genes = perturbed_BG.shape
        self._steer, self._equations = steer, steer.equations
        self._perturbed_BG, self._value_BG, self._rng = perturbed_BG, value_BG, rng
        self._ahead = steer.look_ahead(perturbed_BG, value_BG)
        self._shape_B_island_N = (n_pairs, N_ISLANDS, n_each)
        n_particles = N_ISLANDS * n_each
        self._expression_GBN = np.zeros((n_genes, n_pairs, n_particles))
        self._score_BGN = np.zeros((n_pairs, n_genes, n_particles))  # standardised under q, genes in causal order
        self._features: list[_Array] = [np.empty(0)] * n_genes
        self._log_weight_BN = np.zeros((n_pairs, n_particles))
        self._log_evidence_B_island = np.zeros((n_pairs, N_ISLANDS))

    def run(self, moments: Moments, pairs: NDArray[np.integer]) -> _Array:
        """Write the moments of these pairs' unperturbed genes; returns the number of effective islands, (B,)."""
        order = self._steer.graph.order.tolist()
        guided_at = np.flatnonzero(np.any(self._ahead.guided_BG[:, order], axis=0))
        last_guided = int(guided_at[-1]) if len(guided_at) else -1
        for place, gene in enumerate(order):
            self._step(place, gene, scored=place <= last_guided)
            if place < len(order) - 1:
                self._resample(order[: place + 1])
        return self._finish(moments, pairs)

    def _step(self, place: int, gene: int, *, scored: bool) -> None:
        """Give one gene its values and weigh them; ``scored`` if a later gene's look-ahead needs it."""
        natural_BN = self._equations.natural(gene, self._features, self._log_weight_BN.shape)
        value_BN = self._expression_GBN[gene]
        perturbed_B, guided_B = self._perturbed_BG[:, gene], self._ahead.guided_BG[:, gene]
        value_BN[perturbed_B] = self._value_BG[perturbed_B, gene, None]
        free_B = ~perturbed_B & ~guided_B
        value_BN[free_B] = self._equations.draw(gene, natural_BN[free_B], self._rng)
        if scored:
            self._score(place, gene, natural_BN)
        # A perturbed gene whose parents are all perturbed weighs all particles alike: left out, so that a rounded value
        # just beyond the edge of its noise kills none.
        parents = self._steer.graph.parents(gene)
        weighs_B = guided_B | (perturbed_B & ~self._perturbed_BG[:, parents].all(axis=1))
        if weighs_B.any():
            value_bN = value_BN[weighs_B]
            self._log_weight_BN[weighs_B] += self._equations.log_density(gene, value_bN, natural_BN[weighs_B])
            self._log_weight_BN[weighs_B] -= self._steer.twin_log_density(
                gene, value_bN, self._expression_GBN[:, weighs_B]
            )
        self._features[gene] = np.ascontiguousarray(self._equations.feature(gene, value_BN))

    def _score(self, place: int, gene: int, natural_BN: _Array) -> None:
        """Propose the guided pairs' values, weigh the proposal, and standardise all values under ``q``."""
        root_BG = self._ahead.root_BGG[:, place]
        mean_BN = self._ahead.mean_BG[:, gene, None] + np.zeros_like(natural_BN)
        if place:
            mean_BN += np.matmul(root_BG[:, None, :place], self._score_BGN[:, :place])[:, 0]
        sd_B1 = root_BG[:, place, None]
        value_BN = self._expression_GBN[gene]
        guided_B = self._ahead.guided_BG[:, gene]
        if guided_B.any():
            # The same share of every gene's particles, but other ones each time: which proposal a particle gets
            # must not depend on its past.
            own_N = self._rng.permutation(natural_BN.shape[1]) < _P_PRIOR * natural_BN.shape[1]
            natural_bN, sd_b1 = natural_BN[guided_B], sd_B1[guided_B]
            value_bN = mean_BN[guided_B] + sd_b1 * self._rng.standard_normal(natural_bN.shape)
            value_bN[:, own_N] = self._equations.draw(gene, natural_bN[:, own_N], self._rng)
            value_BN[guided_B] = value_bN
            log_p = self._equations.log_density(gene, value_bN, natural_bN)
            log_q = _log_normal(value_bN - mean_BN[guided_B], sd_b1)
            share = float(own_N.mean())
            proposal = np.logaddexp(log_p + log(share), log_q + log(1 - share))
            self._log_weight_BN[guided_B] += log_q - proposal
        self._score_BGN[:, place] = np.where(self._perturbed_BG[:, gene, None], 0.0, (value_BN - mean_BN) / sd_B1)

    def _weights(self) -> tuple[_Array, _Array]:
        """Weights within each island relative to its largest, (B, island, N), and that one's logarithm, (B, island)."""
        log_weight_B_island_N = self._log_weight_BN.reshape(self._shape_B_island_N)
        largest_B_island: _Array = log_weight_B_island_N.max(axis=2)
        reference_B_island = np.where(
            np.isfinite(largest_B_island), largest_B_island, 0.0
        )  # an island may be dead: all its weights 0
        weight_B_island_N = np.exp(log_weight_B_island_N - reference_B_island[:, :, None])
        return weight_B_island_N, largest_B_island

    def _resample(self, done: Sequence[int]) -> None:
        """Multiply the good particles of islands that have few, by systematic resampling."""
        n_each = self._shape_B_island_N[2]
        weight_B_island_N, largest_B_island = self._weights()
        sum_B_island = weight_B_island_N.sum(axis=2)
        poor_B_island = sum_B_island**2 < _RESAMPLE_BELOW * n_each * (weight_B_island_N**2).sum(axis=2)
        if not poor_B_island.any():
            return
        at_poor = np.nonzero(poor_B_island)
        chosen_poor_N = _systematic(weight_B_island_N[at_poor], self._rng)
        self._log_evidence_B_island[at_poor] += largest_B_island[at_poor] + np.log(sum_B_island[at_poor] / n_each)
        self._log_weight_BN.reshape(self._shape_B_island_N)[at_poor] = 0.0
        for place, gene in enumerate(done):
            self._choose(self._expression_GBN[gene], at_poor, chosen_poor_N)
            self._choose(self._score_BGN[:, place], at_poor, chosen_poor_N)
            if not np.may_share_memory(self._features[gene], self._expression_GBN):
                self._choose(self._features[gene], at_poor, chosen_poor_N)

    def _choose(self, array: _Array, at_poor: tuple[NDArray[np.intp], ...], chosen_poor_N: NDArray[np.intp]) -> None:
        """Replace, in place, the particles of some islands; ``array`` ends in (B, N)."""
        _, n_islands, n_each = self._shape_B_island_N
        split = array.reshape(*array.shape[:-1], n_islands, n_each)
        part = split[..., at_poor[0], at_poor[1], :]
        split[..., at_poor[0], at_poor[1], :] = np.take_along_axis(
            part, np.broadcast_to(chosen_poor_N, part.shape), axis=-1
        )

    def _finish(self, moments: Moments, pairs: NDArray[np.integer]) -> _Array:
        """Moments over all islands, each weighed by its evidence; the error from how they differ."""
        weight_B_island_N, largest_B_island = self._weights()
        sum_B_island = weight_B_island_N.sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_evidence_B_island = self._log_evidence_B_island + largest_B_island + np.log(sum_B_island)
            share_B_island = np.exp(log_evidence_B_island - log_evidence_B_island.max(axis=1, keepdims=True))
            share_B_island /= share_B_island.sum(axis=1, keepdims=True)
            weight_B_island_N /= np.where(sum_B_island > 0, sum_B_island, 1.0)[:, :, None]
        value_GB_island_N = self._expression_GBN.reshape(-1, *self._shape_B_island_N)
        mean_BG_island = np.einsum("gbim,bim->bgi", value_GB_island_N, weight_B_island_N)
        square_BG_island = np.einsum("gbim,gbim,bim->bgi", value_GB_island_N, value_GB_island_N, weight_B_island_N)
        mean_BG = np.einsum("bgi,bi->bg", mean_BG_island, share_B_island)
        apart_BG_island = (mean_BG_island - mean_BG[:, :, None]) ** 2
        error_BG = np.einsum("bgi,bi->bg", apart_BG_island, share_B_island**2) * N_ISLANDS / (N_ISLANDS - 1)
        # The particles lie about their own mean, too close by its squared error.
        variance_BG = np.einsum("bgi,bi->bg", square_BG_island, share_B_island) - mean_BG**2 + error_BG
        for moment_BG, found_BG in zip(moments, (mean_BG, variance_BG, np.sqrt(error_BG)), strict=True):
            moment_BG[pairs] = np.where(self._perturbed_BG, moment_BG[pairs], found_BG)
        return np.nan_to_num(1 / (share_B_island**2).sum(axis=1), nan=0.0)


def _systematic(weight_poor_N: _Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of the chosen particles of each island: as often as their weight says, up to one more or less."""
    n_islands, n_each = weight_poor_N.shape
    share_poor_N = np.cumsum(weight_poor_N, axis=1)
    share_poor_N *= n_each / share_poor_N[:, -1:]
    upto_poor_N: _Array = np.ceil(share_poor_N - rng.random((n_islands, 1))).clip(0, n_each)
    upto_poor_N[:, -1] = n_each
    times_poor_N: NDArray[np.intp] = np.diff(upto_poor_N, axis=1, prepend=0.0).astype(np.intp)
    place_N: NDArray[np.intp] = np.tile(np.arange(n_each, dtype=np.intp), n_islands)
    return np.repeat(place_N, times_poor_N.ravel()).reshape(n_islands, n_each)


def _log_normal(excess: _Array, sd: float | _Array) -> _Array:
    return -0.5 * (excess / sd) ** 2 - np.log(sd) - 0.5 * log(2 * pi)
