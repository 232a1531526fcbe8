"""What else could have been read: inside the model, and from the same pairs without any model.

Dimension key: ``G`` genes, ``E`` scored entries.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.estimators import BASELINES, estimate
from diagnostics.graphs.rankings import average_precision
from diagnostics.graphs.scores import entries
from diagnostics.results.run_record import MethodScore, ReadOutScore
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch

if TYPE_CHECKING:
    from gpcp.model.transformer import GenePerturbationTransformer

N_INSIDE = 128
"""Pairs on which gradients and attention are read."""

N_FOREST = 500
"""Pairs that the forest is grown on; the others take all, and seconds less."""


def scores_from_inside(
    model: "GenePerturbationTransformer", pairs: PairBatch, true_GG: NDArray[np.bool_], target: str
) -> tuple[ReadOutScore, ...]:
    """Gradients and attention on training-like pairs, scored."""
    from diagnostics.graphs.model_internals import attention_readout, gradient_readout

    some = pairs.rows(slice(0, N_INSIDE))
    scores: list[ReadOutScore] = []
    for name, read in (
        ("gradient_x_input", lambda: gradient_readout(model, some, times_input=True)),
        ("attention", lambda: attention_readout(model, some)),
    ):
        try:
            auprc, note = auprc_of(read(), true_GG), ""
        except InputError as refusal:
            auprc, note = None, str(refusal)
        scores.append(
            ReadOutScore(read_out=name, target=target, auprc=auprc, ceiling_auprc=None, supported=True, note=note)
        )
    return tuple(scores)


def method_scores(
    regime: str, pairs: PairBatch, true_GG: NDArray[np.bool_], target: str, *, rng: np.random.Generator
) -> tuple[MethodScore, ...]:
    """Every baseline of :data:`diagnostics.graphs.estimators.BASELINES` on some training pairs, scored."""
    scores: list[MethodScore] = []
    for name in BASELINES:
        found = estimate(name, regime, pairs.rows(slice(0, N_FOREST)) if name == "genie3" else pairs, rng=rng)
        scores.append(
            MethodScore(
                method=name,
                target=target,
                auprc=None if found.score_GG is None else auprc_of(found.score_GG, true_GG),
                classical=name == "classical",
                note=found.summary,
            )
        )
    return tuple(scores)


def auprc_of(score_GG: NDArray[np.float64], true_GG: NDArray[np.bool_]) -> float:
    """Average precision of magnitudes, by the conventions of :mod:`diagnostics.graphs.scores`."""
    symmetric = bool((true_GG == true_GG.T).all())
    strength_GG = np.abs(score_GG)
    if symmetric:
        strength_GG = np.maximum(strength_GG, strength_GG.T)
    score_E = entries(strength_GG, symmetric=symmetric).astype(np.float64)
    return average_precision(score_E, entries(true_GG, symmetric=symmetric).astype(np.bool_))
