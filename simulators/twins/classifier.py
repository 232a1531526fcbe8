"""``classifier_auc``: how well a linear classifier separates a twin's cells from the real ones."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn has no stubs.

from typing import Any

import numpy as np

from gpcp.core.cells import CellBatch
from gpcp.core.random import stream

_CLASSIFIED = 1_500
_FOLDS = 5


def classifier_auc(real: CellBatch, twin: CellBatch, *, seed: int = 0) -> float:
    """Area under the ROC curve of a cross-validated logistic regression that separates two sets of cells."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = stream(seed, "cells that are classified")
    n = min(len(real), len(twin), _CLASSIFIED)
    chosen = [cells.rows(rng.permutation(len(cells))[:n]) for cells in (real, twin)]
    value_BF = np.concatenate([cells.expression_BG for cells in chosen]).astype(np.float64)
    is_twin_B = np.repeat([0, 1], n)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    found: Any = cross_val_predict(fitted, value_BF, is_twin_B, cv=folds, method="predict_proba")
    return float(roc_auc_score(is_twin_B, found[:, 1]))
