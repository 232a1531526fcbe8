"""The mean of each perturbation of a simulated screen: exact where a formula is known, else with its standard error."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.progress import OnProgress, no_progress
from simulators.exact.laws import law_of
from simulators.scm.interventions import Intervention
from simulators.screens.guides import Guides
from simulators.screens.simulated import SimulatedScreen

MEAN_CELLS = 1_024
"""Cells of a Monte Carlo mean, by default: a block."""

_MEAN_SEED = 2**31
"""Seed of the cells that means are computed from; samples have smaller ones."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenMeans:
    """Means of the measured genes, with a row for each context and perturbation, and their standard errors.

    Parameters
    ----------
    contexts, labels : tuple of str
        The two leading axes.
    latent_context_label_G : float64, (context, label, G)
        In the units of the world.
    count_context_label_G : float64, (context, label, G)
        Counts of a cell, over equally large batches.
    log_context_label_G : float64, (context, label, G)
        log1p of the counts of a cell scaled to the design's ``log_total``.
    latent_error, count_error, log_error : float64, (context, label, G)
        Standard errors; 0 where the mean is exact.
    n_cells : int
        Cells of each Monte Carlo mean.
    """

    contexts: tuple[str, ...]
    labels: tuple[str, ...]
    latent_context_label_G: NDArray[np.float64]
    count_context_label_G: NDArray[np.float64]
    log_context_label_G: NDArray[np.float64]
    latent_error: NDArray[np.float64]
    count_error: NDArray[np.float64]
    log_error: NDArray[np.float64]
    n_cells: int

    def row(self, label: str, context: str, *, unit: str) -> NDArray[np.float64]:
        """The mean of one perturbation in one context, (G,); ``unit`` is latent, count or log."""
        means: NDArray[np.float64] = getattr(self, f"{unit}_context_label_G")
        return means[self.contexts.index(context), self.labels.index(label)]


def log_values(count_BG: NDArray[np.integer], total: float) -> NDArray[np.float64]:
    """log1p of counts scaled so that each cell sums to ``total``, float64 (B, G); a cell without counts is all 0."""
    sum_B = np.maximum(count_BG.sum(axis=1, keepdims=True, dtype=np.float64), 1)
    return np.log1p(count_BG * (total / sum_B))


def exact_mean(
    screen: SimulatedScreen, *, n_cells: int = MEAN_CELLS, seed: int = 0, on_progress: OnProgress = no_progress
) -> ScreenMeans:
    """Means of every perturbation in every context.

    Those of the world's values are exact in a linear world, those of counts in a linear world with Gaussian noise; the
    others, and those of logarithms always, are of ``n_cells`` cells with their standard error.

    Parameters
    ----------
    screen : SimulatedScreen
    n_cells : int
        At least 2.
    seed : int
        Of the cells of Monte Carlo means, which no sample with a seed below 2^31 shares.
    on_progress : callable
        Called with the number of groups done.
    """
    shape = (len(screen.contexts), len(screen.labels), len(screen.vocab))
    found = {f"{unit}_{what}": np.zeros(shape) for unit in ("latent", "count", "log") for what in ("mean", "error")}
    for context, name in enumerate(screen.contexts):
        for place, guides in enumerate(screen.perturbations):
            for unit, (mean_G, error_G) in _group(screen, guides, name, n_cells, seed).items():
                found[f"{unit}_mean"][context, place] = mean_G
                found[f"{unit}_error"][context, place] = error_G
            on_progress(context * shape[1] + place + 1, shape[0] * shape[1])
    return ScreenMeans(
        contexts=screen.contexts,
        labels=screen.labels,
        latent_context_label_G=found["latent_mean"],
        count_context_label_G=found["count_mean"],
        log_context_label_G=found["log_mean"],
        latent_error=found["latent_error"],
        count_error=found["count_error"],
        log_error=found["log_error"],
        n_cells=n_cells,
    )


_Mean = tuple[NDArray[np.float64], NDArray[np.float64]]


def _group(screen: SimulatedScreen, guides: Guides, context: str, n_cells: int, seed: int) -> dict[str, _Mean]:
    cells = screen.sampler(guides.label, context, n_cells, _MEAN_SEED + seed)
    found = {"log": _sampled(log_values(cells.count_BG, screen.design.log_total))}
    scm = screen.scms[screen.context(context)]
    if scm.mechanism.name == "linear":
        latent_G, count_G = _mixture(screen, guides, screen.context(context))
        found["latent"] = latent_G, np.zeros_like(latent_G)
        if scm.noise.name == "gaussian":
            found["count"] = count_G, np.zeros_like(count_G)
    if "latent" not in found:
        found["latent"] = _sampled(cells.latent_BG[:, screen.measurement.measured_G])
    if "count" not in found:
        found["count"] = _sampled(cells.count_BG.astype(np.float64))
    return found


def _mixture(screen: SimulatedScreen, guides: Guides, context: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of the world's values and of counts: each guide has a law of its own, and so have the cells that escape."""
    latent_G = np.zeros(len(screen.vocab))
    count_G = np.zeros(len(screen.vocab))
    for share, action in guides.components(screen.design):
        law = _law(screen, context, action)
        latent_G += share * law[0][screen.measurement.measured_G]
        count_G += share * screen.measurement.log_normal_mean(*law, context=context)
    return latent_G, count_G


def _law(
    screen: SimulatedScreen, context: int, action: Intervention | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    law = law_of(screen.scms[context], action)
    return law.mean_G, np.diagonal(law.cov_GG).copy()


def _sampled(value_BG: NDArray[np.float64]) -> _Mean:
    return value_BG.mean(axis=0), value_BG.std(axis=0, ddof=1) / np.sqrt(len(value_BG))
