"""The graph that a screen shows: how each gene responds to each perturbation by name, and which genes lie downstream.

A response is a total effect: where the target is known to be a gene of a known graph, the genes that are to respond are
those that it acts on, directly or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs import rankings
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import PerturbationVocab
from simulators.graphs.gene_graph import GeneGraph

DOWNSTREAM = "genes downstream of each target"
"""The target graph of a screen, in words."""

N_RESAMPLED = 1_000


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Downstream:
    """Which entries of a matrix of responses are scored, and which of them are true.

    Parameters
    ----------
    true_PG, scored_PG : bool, (P, G)
        Not scored is a target itself.
    """

    true_PG: NDArray[np.bool_]
    scored_PG: NDArray[np.bool_]


def single_perturbations(pairs: PairBatch) -> NDArray[np.int64]:
    """Tokens of the perturbations that some pair has alone, int64 (P,), ascending."""
    token_B = _single(pairs)
    return np.unique(token_B[token_B >= 0])


def responses(pairs: PairBatch, value_BG: NDArray[np.floating], token_P: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of a value less the control's, over the pairs that have each perturbation alone.

    Parameters
    ----------
    pairs : PairBatch
        Of a screen.
    value_BG : float, (B, G)
        Predicted or measured cells after.
    token_P : int64, (P,)

    Returns
    -------
    float64, (P, G)
        0 at the perturbation's own target, and where no pair measures the gene.
    """
    token_B = _single(pairs)
    difference_BG = np.where(pairs.scored_BG, value_BG.astype(np.float64) - pairs.before_BG, 0.0)
    found_PG = np.zeros((len(token_P), len(pairs.vocab)))
    for place, token in enumerate(token_P.tolist()):
        rows = token_B == token
        n_G = pairs.scored_BG[rows].sum(axis=0)
        found_PG[place] = difference_BG[rows].sum(axis=0) / np.maximum(n_G, 1)
    return found_PG


def _single(pairs: PairBatch) -> NDArray[np.int64]:
    """The token of the one perturbation of each pair; -1 where there are none or several."""
    assert pairs.applied is not None, "pairs of a screen have perturbations by name"
    token_BA = pairs.applied.token_BA
    one_B = (token_BA >= 0).sum(axis=1) == 1
    return np.where(one_B, token_BA[:, 0], -1)


def downstream_of(
    graphs: Sequence[GeneGraph], perturbations: PerturbationVocab, token_P: NDArray[np.int64], genes: Sequence[str]
) -> Downstream | None:
    """Which genes each perturbation acts on in any of the graphs; None where no target is a gene of them, or none acts.

    Parameters
    ----------
    graphs : sequence of GeneGraph
        One for each context.
    perturbations : PerturbationVocab
    token_P : int64, (P,)
    genes : sequence of str
        Of the columns.
    """
    true_PG = np.zeros((len(token_P), len(genes)), dtype=np.bool_)
    scored_PG = np.zeros_like(true_PG)
    tokens: list[int] = token_P.tolist()
    for graph in graphs:
        place_of = {gene: place for place, gene in enumerate(graph.vocab.feature_id)}
        ancestors_GG = graph.ancestors_GG()
        columns = [place for place, gene in enumerate(genes) if gene in place_of]
        inside = [place_of[genes[column]] for column in columns]
        for row, token in enumerate(tokens):
            target = place_of.get(perturbations.target[token])
            if target is not None:
                true_PG[row, columns] |= ancestors_GG[target, inside]
                scored_PG[row, columns] = True
    for row, token in enumerate(tokens):
        own = [place for place, gene in enumerate(genes) if gene == perturbations.target[token]]
        scored_PG[row, own] = False
    true_PG &= scored_PG
    return Downstream(true_PG=true_PG, scored_PG=scored_PG) if true_PG.any() else None


def auprc_of_responses(response_PG: NDArray[np.float64], known: Downstream) -> float:
    """Average precision of the responses' magnitudes over the scored entries."""
    return rankings.average_precision(np.abs(response_PG)[known.scored_PG], known.true_PG[known.scored_PG])


def response_scores(response_PG: NDArray[np.float64], known: Downstream, *, rng: np.random.Generator) -> dict[str, Any]:
    """``auprc`` with its chance level, null and 95 % interval, as :class:`diagnostics.graphs.scores.GraphScore` has."""
    score_E, true_E = np.abs(response_PG)[known.scored_PG], known.true_PG[known.scored_PG]
    null_R = rankings.null_average_precision(score_E, true_E, n_permutations=N_RESAMPLED, rng=rng)
    boot_R = rankings.bootstrap_average_precision(score_E, true_E, n_bootstraps=N_RESAMPLED, rng=rng)
    return {
        "n_true": int(true_E.sum()),
        "auprc": rankings.average_precision(score_E, true_E),
        "base_rate": float(true_E.mean()),
        "null_95": float(np.quantile(null_R, 0.95)),
        "ci_low": float(np.quantile(boot_R, 0.025)),
        "ci_high": float(np.quantile(boot_R, 0.975)),
    }
