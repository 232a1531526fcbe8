"""Cells of several types, drawn from normal distributions that the test knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldCells:
    """A source of the cells of one batch, in an order that the seed decides."""

    held: CellBatch

    @property
    def vocab(self) -> GeneVocab:
        return self.held.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        order = np.random.default_rng([seed, 3]).permutation(len(self.held))
        for start in range(0, len(order), batch_size):
            yield self.held.rows(order[start : start + batch_size])


def batch_of(value_BG: NDArray[np.floating], types: Sequence[str] | NDArray[np.str_]) -> CellBatch:
    return CellBatch(
        vocab=GeneVocab(feature_id=tuple(f"g{i}" for i in range(value_BG.shape[1]))),
        expression_BG=value_BG.astype(np.float32),
        measured_BG=np.ones(value_BG.shape, dtype=np.bool_),
        cell_id_B=10 * np.arange(len(value_BG)),
        covariates={"cell_type": np.array(types, dtype=np.str_)},
    )


def covariance(n_genes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A covariance with strong correlations and variances between .1 and 10."""
    root_GG = rng.normal(size=(n_genes, n_genes)) + np.eye(n_genes)
    scale_G = np.exp(rng.uniform(-1.1, 1.1, n_genes))
    cov_GG = root_GG @ root_GG.T / n_genes + 0.1 * np.eye(n_genes)
    return cov_GG * np.outer(scale_G, scale_G)


def gaussian_cells(
    mean_TG: NDArray[np.float64], cov_GG: NDArray[np.float64], n_each: Sequence[int], rng: np.random.Generator
) -> CellBatch:
    """``n_each[t]`` cells of type ``t<t>`` with mean ``mean_TG[t]`` and the same covariance, shuffled."""
    code_B = rng.permutation(np.repeat(np.arange(len(n_each)), n_each))
    noise_BG = rng.multivariate_normal(np.zeros(len(cov_GG)), cov_GG, size=len(code_B), method="cholesky")
    return batch_of(mean_TG[code_B] + noise_BG, [f"t{code}" for code in code_B])
