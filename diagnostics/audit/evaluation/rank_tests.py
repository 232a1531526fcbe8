"""The rank tests of ``cell-eval2``, which are nearly all of its time, by ``illico``, which sorts the controls once.

``cell-eval2`` has scanpy rank the controls anew with each perturbation's cells. All else of it stays as it is: its
normalisation, fold changes, choice of genes, correction for many tests, and scores.
"""

import io
import threading
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

TESTED_VERSION = "0.20.0"
"""Of ``cell-eval2``: that whose scores were found to be the same."""

_ONE_AT_A_TIME = threading.Lock()


def why_not(X_BG: Any) -> str | None:
    """Why the rank tests of some cells stay with ``cell-eval2``; None where they need not.

    Parameters
    ----------
    X_BG : scipy sparse array, (B, G)
        Of the screen, in its units.
    """
    found = version("cell-eval2")
    if found != TESTED_VERSION:
        return f"cell-eval2 is {found}, and equal scores were found of {TESTED_VERSION}"
    if not _installed():
        return "illico is not installed"
    if len(X_BG.data) and X_BG.data.min() < 0:
        return "there are values below 0, which illico's sparse tests do not take"
    return None


def _installed() -> bool:
    try:
        return find_spec("illico") is not None
    except ValueError:  # a name without a module is in sys.modules
        return False


@contextmanager
def rank_tests_by_illico() -> Generator[None]:
    """Within, the p-values of ``cell-eval2``'s backend ``scanpy`` are those of ``illico``; one thread at a time."""
    from cell_eval2 import de_compute

    module: Any = de_compute
    with _ONE_AT_A_TIME:
        own = module._de_scanpy_pvalues
        module._de_scanpy_pvalues = _p_values
        try:
            yield
        finally:
            module._de_scanpy_pvalues = own


def _p_values(log_adata: Any, *, groupby: str, reference: str) -> Any:
    """As the function of ``cell-eval2`` whose place it takes: p-values of the Mann-Whitney test, ties corrected for.

    Parameters
    ----------
    log_adata : AnnData
        Logarithms.
    groupby, reference : str
        Column of ``obs``, and the label of the controls.

    Returns
    -------
    polars.DataFrame
        ``target``, ``feature``, ``p_value`` and ``p_adj``, Benjamini and Hochberg's over all genes of a target.
    """
    import illico  # pyright: ignore[reportMissingTypeStubs]
    import polars as pl
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]
    from loguru import logger
    from scipy.stats import false_discovery_control, norm

    X_BG = sp.csr_matrix(log_adata.X)
    X_BG.sum_duplicates()
    # A zero that is stored would be ranked as a value of its own.
    X_BG.eliminate_zeros()
    package: Any = illico
    cells: Any = AnnData(X_BG, obs=log_adata.obs, var=log_adata.var)
    logger.disable("illico")
    try:
        # A progress bar that cannot be turned off.
        with redirect_stderr(io.StringIO()):
            found: Any = package.asymptotic_wilcoxon(
                cells, is_log1p=True, group_keys=groupby, reference=reference, use_continuity=False, n_threads=1
            )
    finally:
        logger.enable("illico")
    tables: list[Any] = []
    for target, rows in found.groupby(level=0, sort=True):
        if str(target) == reference:
            continue
        # Without variance there is no score, and nothing to be seen.
        score_G = np.nan_to_num(rows["z_score"].to_numpy(dtype=np.float64), nan=0.0)
        p_G: NDArray[np.float64] = np.asarray(2 * norm.sf(np.abs(score_G)), dtype=np.float64)
        tables.append(
            pl.DataFrame(
                {
                    "target": str(target),
                    "feature": rows.index.get_level_values(1).to_numpy(dtype=str),
                    "p_value": p_G,
                    "p_adj": false_discovery_control(p_G, method="bh"),
                }
            )
        )
    return pl.concat(tables, how="vertical")
