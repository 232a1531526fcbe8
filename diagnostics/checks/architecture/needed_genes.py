"""How much the expression of other genes is worth to a linear fit, beside the gene's own and the perturbation."""

import numpy as np
from numpy.typing import NDArray

from gpcp.core.pairs import PairBatch

WORTH = 0.02
"""Of a linear fit's loss: what other genes are worth less than, a model may leave out."""

_N_GENES, _N_PAIRS, _RIDGE = 8, 2000, 1e-3


def worth_of_other_genes(pairs: PairBatch) -> float:
    """Share of a linear fit's loss on unseen pairs that knowing all genes before takes away; 0 where it takes none.

    Half of the pairs are fitted, the others judged, for a few scored genes. Both fits are given the perturbation and
    the gene's own expression; one of them all other genes' as well.
    """
    pairs = pairs.rows(slice(0, _N_PAIRS))
    perturbed_BG = pairs.perturbed_BG.astype(np.float64)
    change_BG = perturbed_BG * pairs.delta_BG
    enough_G = np.flatnonzero(pairs.scored_BG.sum(axis=0) >= len(pairs) // 4)
    alone, whole = 0.0, 0.0
    for gene in enough_G[np.linspace(0, len(enough_G) - 1, min(_N_GENES, len(enough_G))).astype(int)]:
        scored_B = pairs.scored_BG[:, gene]
        target_B = pairs.after_BG[scored_B, gene].astype(np.float64)
        given = [change_BG[scored_B], perturbed_BG[scored_B]]
        alone += _unseen(np.hstack([pairs.before_BG[scored_B, gene : gene + 1], *given]), target_B)
        whole += _unseen(np.hstack([pairs.before_BG[scored_B], *given]), target_B)
    return max(0.0, 1 - whole / alone) if alone > 0 else 0.0


def _unseen(input_BF: NDArray[np.floating], target_B: NDArray[np.float64]) -> float:
    """Squared error of a ridge on the half of the pairs that it was not fitted on."""
    input_BF = np.hstack([input_BF.astype(np.float64), np.ones((len(target_B), 1))])
    half = len(target_B) // 2
    fit_BF, fit_B = input_BF[:half], target_B[:half]
    gram = fit_BF.T @ fit_BF
    scale = max(float(np.trace(gram)) / len(gram), 1e-30)
    weight = np.linalg.solve(gram + _RIDGE * scale * np.eye(len(gram)), fit_BF.T @ fit_B)
    return float(((input_BF[half:] @ weight - target_B[half:]) ** 2).sum())
