"""The three estimators taken from scikit-learn, with types.

scikit-learn ships no types: what it returns is checked by the annotations here and nowhere else.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportArgumentType=false

import warnings

import numpy as np
from numpy.typing import NDArray


def shrunk_covariance(cell_NG: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance (G, G) of cells of mean 0, shrunk as Ledoit and Wolf (2004) do; never singular."""
    from sklearn.covariance import ledoit_wolf

    return np.asarray(ledoit_wolf(cell_NG, assume_centered=True)[0], dtype=np.float64)


def sparse_precision(correlation_GG: NDArray[np.float64], *, penalty: float) -> NDArray[np.float64]:
    """Precision matrix (G, G) under an L1 penalty (Friedman et al., 2008).

    Raises
    ------
    ArithmeticError
        The solver did not converge, or met a matrix that it cannot factor.
    """
    from sklearn.covariance import graphical_lasso

    # The inner solver's default tolerance, equal to the outer one, keeps the outer loop from ever closing its gap.
    with warnings.catch_warnings():
        # A convergence warning, or one of the overflow that comes before it: either way no solution.
        warnings.simplefilter("error")
        try:
            precision_GG = graphical_lasso(correlation_GG, penalty, enet_tol=1e-7, max_iter=500)[1]
        except (FloatingPointError, np.linalg.LinAlgError, RuntimeWarning, UserWarning) as trouble:
            raise ArithmeticError(str(trouble).splitlines()[0]) from trouble
    return np.asarray(precision_GG, dtype=np.float64)


def forest_importance(
    feature_NF: NDArray[np.float64], target_N: NDArray[np.float64], *, n_trees: int, seed: int
) -> NDArray[np.float64]:
    """Share (F,) of the variance that a random forest explains by each feature; all 0 if it explains none."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(n_estimators=n_trees, max_features="sqrt", min_samples_leaf=5, random_state=seed)
    forest.fit(feature_NF, target_N)
    return np.asarray(forest.feature_importances_, dtype=np.float64)
