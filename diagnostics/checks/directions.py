"""How much of some pairs' deviations is more than one number a pair, spread over the genes.

Dimension key: ``B`` pairs, ``G`` genes.
"""

import numpy as np
from numpy.typing import NDArray


def beside_main(value_BG: NDArray[np.float64], *, fewest: int = 3, n_rounds: int = 20) -> float | None:
    """Share of the squares that no product ``u_b v_g`` takes, over the entries that are numbers; None without any.

    Alternating least squares from the first singular vector. Pairs with fewer than ``fewest`` numbers are left out: one
    factor fits them anyhow.
    """
    known_BG = ~np.isnan(value_BG)
    enough_B = known_BG.sum(axis=1) >= fewest
    known_BG, value_BG = known_BG[enough_B], np.where(known_BG, value_BG, 0.0)[enough_B]
    total = float((value_BG**2).sum())
    if not total > 0:
        return None
    v_G: NDArray[np.float64] = np.linalg.svd(value_BG, full_matrices=False)[2][0]
    u_B = np.zeros(len(value_BG))
    for _ in range(n_rounds):
        u_B = (value_BG @ v_G) / np.maximum(known_BG @ v_G**2, 1e-30)
        v_G = (value_BG.T @ u_B) / np.maximum(known_BG.T @ u_B**2, 1e-30)
    left_BG = np.where(known_BG, value_BG - np.outer(u_B, v_G), 0.0)
    return float((left_BG**2).sum()) / total
