"""How the cells of a screen are counted: a Poisson count about a rate that is log-linear in the world's expression."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.screens.design import ScreenDesign
from simulators.worlds import World

_LARGEST_SHIFT = 30.0
"""E-folds by which a rate may move: a cell beyond would be all one gene."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measurement:
    """Rates of the genes that a screen measures, in each context and batch.

    ``count ~ Poisson(depth_B * exp(log_rate + scale * x - scale^2 / 2))``; the last term takes away what the spread of
    an expression of variance 1 adds to the mean, so that ``depth`` is the mean depth of an untouched cell.

    Parameters
    ----------
    measured_G : bool, (G,)
        Over the world's genes: which are in the file.
    log_rate_context_batch_G : float64, (context, batch, G)
        Of the measured genes; the proportions of a context sum to 1 before the batch's offsets.
    batch_factor : float64, (batch,)
        By which a batch is deeper than the mean.
    design : ScreenDesign
    """

    measured_G: NDArray[np.bool_]
    log_rate_context_batch_G: NDArray[np.float64]
    batch_factor: NDArray[np.float64]
    design: ScreenDesign

    def rates(self, latent_BG: NDArray[np.float64], *, context: int, batch_B: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean counts of each cell at depth 1, float64 (B, G), over the measured genes of the world's ``latent_BG``.

        Raises
        ------
        InputError
            A value is so large that its rate overflows.
        """
        shift_BG = self.design.scale * latent_BG[:, self.measured_G]
        if shift_BG.size and not np.abs(shift_BG).max() <= _LARGEST_SHIFT:
            raise InputError(
                f"a value of the world is {np.abs(latent_BG).max():.3g}: with scale {self.design.scale:g} its rate "
                f"moves by more than {_LARGEST_SHIFT:g} e-folds; lower scale"
            )
        shift_BG += self.log_rate_context_batch_G[context][batch_B] - self.design.scale**2 / 2
        return np.exp(shift_BG, out=shift_BG)

    def counts(
        self,
        latent_BG: NDArray[np.float64],
        *,
        context: int,
        batch_B: NDArray[np.int64],
        rng: np.random.Generator,
        n_drawn: int | None = None,
    ) -> NDArray[np.int64]:
        """Counts of some cells, int64 (B, G): of the first of ``n_drawn`` that depths are drawn for."""
        sd, n = self.design.depth_sd, len(latent_BG)
        depth_B = self.design.depth * np.exp(sd * rng.standard_normal(n_drawn or n)[:n] - sd**2 / 2)
        depth_B *= self.batch_factor[batch_B]
        rate_BG = self.rates(latent_BG, context=context, batch_B=batch_B)
        rate_BG *= depth_B[:, None]
        return rng.poisson(rate_BG).astype(np.int64, copy=False)

    def log_normal_mean(
        self, mean_G: NDArray[np.float64], variance_G: NDArray[np.float64], *, context: int
    ) -> NDArray[np.float64]:
        """Mean counts of cells whose expression is normal, (G,), over equally large batches; exact.

        ``E exp(a x) = exp(a mean + a^2 variance / 2)``.
        """
        a = self.design.scale
        log_G = a * mean_G[self.measured_G] + a**2 * (variance_G[self.measured_G] - 1) / 2
        rate_batch_G = np.exp(self.log_rate_context_batch_G[context] + log_G)
        return self.design.depth * (self.batch_factor[:, None] * rate_batch_G).mean(axis=0)


def measurement_of(world: World, design: ScreenDesign, *, targets: tuple[str, ...], seed: int) -> Measurement:
    """Draw the rates of a screen, and which of its targets it does not measure.

    Raises
    ------
    InputError
        No gene is left to measure.
    """
    vocab = world.graph.vocab
    rng = generator("screen measurement", world.name, world.seed, seed)
    n_hidden = round(design.hidden_targets * len(targets))
    measured_G = np.ones(len(vocab), dtype=np.bool_)
    hidden: list[int] = rng.permutation(len(targets))[:n_hidden].tolist()
    measured_G[vocab.tokens([targets[i] for i in hidden])] = False
    if not measured_G.any():
        raise InputError("every gene is a target that is not measured: lower hidden_targets or n_targets")
    log_rate_G = design.log_rate_sd * rng.standard_normal(len(vocab))
    offset_context_G = design.context_sd * rng.standard_normal((design.n_contexts, len(vocab)))
    offset_context_G[0] = 0
    offset_batch_G = design.batch_offset_sd * rng.standard_normal((design.n_batches, len(vocab)))
    log_depth = design.batch_depth_sd * rng.standard_normal(design.n_batches)
    log_rate_context_G = (log_rate_G + offset_context_G)[:, measured_G]
    log_rate_context_G -= np.log(np.exp(log_rate_context_G).sum(axis=1, keepdims=True))
    factor = np.exp(log_depth)
    return Measurement(
        measured_G=measured_G,
        log_rate_context_batch_G=log_rate_context_G[:, None] + offset_batch_G[None, :, measured_G],
        batch_factor=factor / factor.mean(),
        design=design,
    )
