"""A predictor whose answers are known by hand, and cells for it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Perturbation

GENES = ("ENSG00000000001", "ENSG00000000002", "ENSG00000000003", "ENSG00000000004")
VOCAB = GeneVocab(feature_id=GENES)


class Spreading:
    """Every gene moves by half of what the perturbed ones moved together."""

    vocab = VOCAB

    def __init__(self, strength: float = 0.5) -> None:
        self.strength = strength
        self.n_asked = 0

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """The answer by hand."""
        self.n_asked += len(control_BG)
        moved = np.where(perturbation.perturbed_BG, perturbation.target_BG - control_BG, 0).sum(axis=1, keepdims=True)
        return (control_BG + self.strength * moved).astype(np.float32)


def some_cells(n: int = 5, *, negative: bool = True) -> CellBatch:
    """Cells of which the second does not measure the last gene."""
    value = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    measured = np.ones((n, 4), dtype=np.bool_)
    measured[1:2, 3] = False
    return CellBatch(
        vocab=VOCAB,
        expression_BG=np.where(measured, value if negative else np.abs(value), 0).astype(np.float32),
        measured_BG=measured,
        cell_id_B=np.arange(10, 10 + n),
        covariates={"cell_type": np.array(["a", "b", "a", "b", "a"][:n])},
    )
