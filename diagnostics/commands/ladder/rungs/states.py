"""Cell types for cells that have none: clusters, where there are clear ones."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# scikit-learn has no stubs.

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.random import stream

CLEAR = 0.25
"""Least mean silhouette of clusters that are believed."""

_MOST = 8
_N_SCORED = 1_500
_N_COMPONENTS = 10


def with_states(cells: CellBatch, *, seed: int = 0) -> tuple[CellBatch, bool]:
    """The cells as they are where they have types; else with clusters under that name, and whether they were found."""
    if "cell_type" in cells.covariates:
        return cells, False
    code_B = clusters(cells, seed=seed)
    if code_B is None:
        return cells, False
    names_B = np.array([f"state_{code}" for code in code_B])
    return replace(cells, covariates={**cells.covariates, "cell_type": names_B}), True


def clusters(cells: CellBatch, *, seed: int = 0) -> NDArray[np.int64] | None:
    """K-means of the leading components with the best silhouette, (B,); None where none reaches :data:`CLEAR`."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    value_BG = cells.expression_BG.astype(np.float64)
    sd_G = value_BG.std(axis=0)
    standard_BG = (value_BG - value_BG.mean(axis=0)) / np.where(sd_G > 1e-9, sd_G, np.inf)
    _, size, direction = np.linalg.svd(standard_BG, full_matrices=False)
    n_kept = min(_N_COMPONENTS, len(size))
    score_BF = standard_BG @ direction[:n_kept].T
    rows = stream(seed, "clusters").permutation(len(cells))[:_N_SCORED]
    best: tuple[float, NDArray[np.int64]] | None = None
    for n in range(2, min(_MOST, len(cells) // 20) + 1):
        kmeans: Any = KMeans
        fitted: Any = kmeans(n, n_init=3, random_state=seed).fit(score_BF[rows])
        code_B: NDArray[np.int64] = fitted.labels_.astype(np.int64)
        score = float(silhouette_score(score_BF[rows], code_B)) if len(np.unique(code_B)) > 1 else 0.0
        if score >= CLEAR and (best is None or score > best[0]):
            best = score, fitted.predict(score_BF).astype(np.int64)
    return None if best is None else best[1]
