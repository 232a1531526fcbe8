"""The Gaussian law that a predictor of matched cells behaves as if it believed in, read from its answers.

A law with precision P and mean m answers ``E[x_U | x_T] = m_U - P_UU^-1 P_UT (x_T - m_T)`` to every set T that is
given. P is fitted to the answers by least squares over many sets at once, so it is symmetric by construction and errors
of single slopes average out, where all-but-one uses one size of set and a slope for each direction.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.predictors import Perturbation, Predictor


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Answers:
    """Answers to questions that ask about equally many genes, in standard units around the mean.

    Parameters
    ----------
    asked_BQ : int64, (B, Q)
        Tokens asked about.
    given_BG : float64, (B, G)
        Given values, 0 where asked.
    answer_BQ : float64, (B, Q)
    """

    asked_BQ: NDArray[np.int64]
    given_BG: NDArray[np.float64]
    answer_BQ: NDArray[np.float64]


def implied_partial(
    predictor: Predictor,
    control_BG: NDArray[np.floating],
    *,
    rng: np.random.Generator,
    n_questions: int | None = None,
    max_iterations: int = 500,
) -> NDArray[np.float64]:
    """Partial correlations of the Gaussian law that best agrees with a predictor's answers.

    Each question gives a cell the values of another one at a random set of genes, from half of them to all but one.

    Parameters
    ----------
    predictor : Predictor
        Trained on matched pairs.
    control_BG : float, (B, G)
        Measured cells of one population, at least two; used again where there are fewer than questions.
    rng : Generator
        Draws the cells and the sets.
    n_questions : int, optional
        60 for each gene by default; the law has ``G (G + 1) / 2`` unknowns and a question about U genes U answers.
    max_iterations : int
        Of the optimiser, L-BFGS from independent genes.

    Returns
    -------
    float64, (G, G)
        Symmetric, diagonal 0, without units.

    Raises
    ------
    InputError
        Wrong shape, an unmeasured or constant gene, fewer than two cells or genes, or an answer that is not finite.
    """
    from scipy.optimize import fmin_l_bfgs_b

    n_genes = len(predictor.vocab)
    mean_G, sd_G = _units(predictor, control_BG)
    questions = _asked(predictor, control_BG, mean_G, sd_G, 60 * n_genes if n_questions is None else n_questions, rng)

    def loss(unknown: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, slope_GG, slope_G = _loss(unknown[n_genes:].reshape(n_genes, n_genes), unknown[:n_genes], questions)
        return value, np.concatenate((slope_G, slope_GG.ravel()))

    start = np.concatenate((np.zeros(n_genes), np.eye(n_genes).ravel()))
    found, *_ = fmin_l_bfgs_b(
        loss, start, m=20, factr=1e4, pgtol=1e-7, maxiter=max_iterations, maxfun=2 * max_iterations
    )
    root_GG = found[n_genes:].reshape(n_genes, n_genes)
    precision_GG = root_GG @ root_GG.T
    scale_G = np.sqrt(np.diag(precision_GG))
    partial_GG = -precision_GG / np.outer(scale_G, scale_G)
    np.fill_diagonal(partial_GG, 0.0)
    return partial_GG


def _units(predictor: Predictor, control_BG: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n_genes = len(predictor.vocab)
    if control_BG.ndim != 2 or control_BG.shape[1] != n_genes or len(control_BG) < 2 or n_genes < 2:
        raise InputError(f"control_BG has shape {control_BG.shape}, expected at least 2 cells of {n_genes} >= 2 genes")
    sd_G = control_BG.std(axis=0, dtype=np.float64)
    bad_G = ~(np.isfinite(sd_G) & (sd_G > 0))
    if bad_G.any():
        gene = predictor.vocab.feature_id[int(np.argmax(bad_G))]
        raise InputError(f"gene {gene} is unmeasured in some control cell, or constant: leave it out")
    return control_BG.mean(axis=0, dtype=np.float64), sd_G


def _asked(
    predictor: Predictor,
    control_BG: NDArray[np.floating],
    mean_G: NDArray[np.float64],
    sd_G: NDArray[np.float64],
    n_questions: int,
    rng: np.random.Generator,
) -> list[_Answers]:
    """Ask, and sort the answers by how many genes a question asks about, 1 to half of them."""
    n_genes = len(mean_G)
    before_BG = control_BG[rng.integers(len(control_BG), size=n_questions)].astype(np.float32)
    given_BG = control_BG[rng.integers(len(control_BG), size=n_questions)].astype(np.float32)
    n_asked_B = np.arange(n_questions) % max(1, n_genes // 2) + 1
    rank_BG = rng.permuted(np.tile(np.arange(n_genes), (n_questions, 1)), axis=1)
    perturbed_BG = rank_BG >= n_asked_B[:, None]
    target_BG = np.where(perturbed_BG, given_BG, np.float32(0))
    answer_BG = predictor.predict(before_BG, Perturbation(perturbed_BG=perturbed_BG, target_BG=target_BG))
    if not np.isfinite(answer_BG[~perturbed_BG]).all():
        raise InputError("the predictor gives answers that are not finite")
    standard_BG = (answer_BG.astype(np.float64) - mean_G) / sd_G
    known_BG = np.where(perturbed_BG, (given_BG.astype(np.float64) - mean_G) / sd_G, 0.0)
    questions: list[_Answers] = []
    for n_asked in np.unique(n_asked_B):
        rows_B = n_asked_B == n_asked
        asked_BQ = np.nonzero(~perturbed_BG[rows_B])[1].reshape(-1, n_asked)
        answer_BQ = np.take_along_axis(standard_BG[rows_B], asked_BQ, axis=1)
        questions.append(_Answers(asked_BQ=asked_BQ, given_BG=known_BG[rows_B], answer_BQ=answer_BQ))
    return questions


def _loss(
    root_GG: NDArray[np.float64], mean_G: NDArray[np.float64], questions: list[_Answers]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Mean squared gap between the law's answers and the predictor's, and its slopes in root and mean.

    With v = x_T - m_T (0 at asked genes), z = -P_UU^-1 P_UT v and a = P_UU^-1 (m_U + z - answer) (both 0 at perturbed
    genes), ``d loss = -2 a' dP (v + z) + 2 a' P dm``; P = R R' turns a slope S in P into ``(S + S') R``.
    """
    precision_GG = root_GG @ root_GG.T
    slope_GG, slope_G = np.zeros_like(precision_GG), np.zeros_like(mean_G)
    total, n_answers = 0.0, 0
    for part in questions:
        asked_BQ = part.asked_BQ
        cell_BG = part.given_BG - mean_G
        np.put_along_axis(cell_BG, asked_BQ, 0.0, axis=1)
        inverse_BQQ = np.linalg.inv(precision_GG[asked_BQ[:, :, None], asked_BQ[:, None, :]])
        pull_BQ = np.take_along_axis(cell_BG @ precision_GG, asked_BQ, axis=1)
        shift_BQ = -np.einsum("bij,bj->bi", inverse_BQQ, pull_BQ)
        gap_BQ = mean_G[asked_BQ] + shift_BQ - part.answer_BQ
        adjoint_BG = np.zeros_like(cell_BG)
        np.put_along_axis(adjoint_BG, asked_BQ, np.einsum("bij,bj->bi", inverse_BQQ, gap_BQ), axis=1)
        np.put_along_axis(cell_BG, asked_BQ, shift_BQ, axis=1)
        slope_GG -= 2 * adjoint_BG.T @ cell_BG
        slope_G += 2 * (adjoint_BG @ precision_GG).sum(axis=0)
        total += float((gap_BQ**2).sum())
        n_answers += gap_BQ.size
    return total / n_answers, (slope_GG + slope_GG.T) @ root_GG / n_answers, slope_G / n_answers
