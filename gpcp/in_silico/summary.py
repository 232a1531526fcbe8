"""Mean responses over cells and their standard errors, cells added a few at a time."""

from typing import final

import numpy as np
from numpy.typing import NDArray


@final
class Responses:
    """What is known so far of the responses ``after - before`` to some perturbations, gene by gene.

    Parameters
    ----------
    n_perturbations, n_genes : int
    """

    def __init__(self, n_perturbations: int, n_genes: int) -> None:
        shape = (n_perturbations, n_genes)
        self.n_cells = np.zeros(shape, dtype=np.int32)
        self._mean, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, control_BG: NDArray[np.float32], after: NDArray[np.float32]) -> None:
        """Add the answers of some cells, (cells, perturbations, genes); NaN is no answer."""
        for control_G, after_of_cell in zip(control_BG, after, strict=True):
            # Welford's update: sums of squares of large values would lose what differs.
            response = after_of_cell.astype(np.float64) - control_G
            known = np.isfinite(response)
            self.n_cells += known
            away = np.where(known, response - self._mean, 0.0)
            self._mean += away / np.maximum(self.n_cells, 1)
            self._squares += away * np.where(known, response - self._mean, 0.0)

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean response, (perturbations, genes); NaN where no cell has an answer."""
        return np.where(self.n_cells > 0, self._mean, np.nan).astype(np.float32)

    @property
    def standard_error(self) -> NDArray[np.float32]:
        """Of the mean over cells, (perturbations, genes); NaN where fewer than two cells have an answer."""
        n = np.maximum(self.n_cells, 2).astype(np.float64)
        return np.where(self.n_cells > 1, np.sqrt(self._squares / (n - 1) / n), np.nan).astype(np.float32)
