"""The ceiling of a score: what the exact law gets through the very same read-out.

Dimension key: ``B`` control cells, ``G`` genes.

The exact answer of a regime meets ``Predictor``, so it is asked and scored by the functions that ask and score a
model. A score above its ceiling beyond sampling error proves a leak.
"""

import time
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.readouts import read_out
from diagnostics.graphs.scores import GraphScore, score_graph
from simulators.exact.bayes import N_PARTICLES, BayesPredictor
from simulators.scm.regimes import Regime
from simulators.scm.scm import Scm


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ceiling:
    """The best that a read-out can do in a regime of a known world.

    Parameters
    ----------
    effect_GG : float64, (G, G)
        What the exact law answers; meaning as :data:`diagnostics.graphs.readouts.READ_OUTS` says.
    score : GraphScore
    seconds : float
        Wall time.
    """

    effect_GG: NDArray[np.float64]
    score: GraphScore
    seconds: float


def ceiling(
    scm: Scm,
    regime: Regime,
    name: str,
    target: str,
    control_BG: NDArray[np.floating],
    *,
    threshold: float,
    rng: np.random.Generator,
    dose: float = 1.0,
    step: float = 0.5,
    perturbed_BG: NDArray[np.floating] | None = None,
    batch_size: int = 4096,
    seed: int = 0,
    n_particles: int = N_PARTICLES,
) -> Ceiling:
    """Score the exact law of a regime through a read-out.

    In a world with a closed form the answer is the same for any control cells, so a few are enough. Elsewhere each
    row that the read-out asks costs ``n_particles`` simulated cells (``2 B G`` rows for one gene at a time, ``2 B G
    (G - 1)`` for all but one), and ``2 B n_particles`` of them stand behind each effect.

    Parameters
    ----------
    scm : Scm
    regime : {"matched", "counterfactual", "interventional"}
    name : str
        One of :data:`diagnostics.graphs.readouts.READ_OUTS`.
    target : str
        One of :data:`diagnostics.graphs.scores.TARGETS`.
    control_BG : float, (B, G)
        Those that the model was asked about.
    threshold : float
        Magnitudes above it are called edges, for the SHD alone.
    rng : Generator
        For the permutations, the bootstrap, and read-outs that ask random questions.
    dose, step, told_BG, batch_size
        As for the model; see :func:`diagnostics.graphs.readouts.read_out`.
    seed, n_particles : int
        For Monte Carlo answers; see :class:`simulators.exact.bayes.BayesPredictor`.

    Raises
    ------
    InputError
        Unknown regime, read-out or target, or as the functions that do the work.
    """
    start_s = time.perf_counter()
    exact = BayesPredictor(scm, regime, seed=seed, n_particles=n_particles)
    effect_GG = read_out(
        name, exact, control_BG, dose=dose, step=step, perturbed_BG=perturbed_BG, batch_size=batch_size, rng=rng
    )
    score = score_graph(effect_GG, scm.graph, target, threshold=threshold, rng=rng, signed_GG=effect_GG)
    return Ceiling(effect_GG=effect_GG, score=score, seconds=time.perf_counter() - start_s)
