"""Does a predictor use the cell that it is asked about? Asked again with cells whose genes were shuffled apart."""

import numpy as np
from numpy.typing import NDArray

CELL = "the cell"
"""What is taken away."""


def shuffled_cells(
    cell_BG: NDArray[np.float32], label_B: NDArray[np.object_], context_B: NDArray[np.object_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cells of which each gene comes from another one of the same perturbation and context.

    Every gene keeps its values, and with them its mean and variance; what a cell's genes have in common is gone.

    Parameters
    ----------
    cell_BG : float32, (B, G)
    label_B, context_B : object, (B,)
    rng : numpy.random.Generator
    """
    shuffled_BG = cell_BG.copy()
    for label, context in dict.fromkeys(zip(label_B.tolist(), context_B.tolist(), strict=True)):
        row_B = np.flatnonzero((label_B == label) & (context_B == context))
        shuffled_BG[row_B] = rng.permuted(cell_BG[row_B], axis=0)
    return shuffled_BG


def cell_use(
    own_BG: NDArray[np.floating],
    other_BG: NDArray[np.floating],
    *,
    answer_BG: NDArray[np.floating],
    other_answer_BG: NDArray[np.floating],
) -> float:
    """By how much answers change with the cells, in squares: 0 where they do not, 1 where they change as the cells do.

    Parameters
    ----------
    own_BG, other_BG : float, (B, G)
        Cells as they were measured, and shuffled, in logarithms.
    answer_BG, other_answer_BG : float, (B, G)
        The answers to both, in logarithms.
    """
    change = float(((own_BG - other_BG) ** 2).mean())
    return float(((answer_BG - other_answer_BG) ** 2).mean()) / change if change else float("nan")


def used(share: float) -> str:
    """The same in words, for the note of an answer."""
    return f"with another cell its answers change by {share:.2f} of what the cells do (in squares)"
