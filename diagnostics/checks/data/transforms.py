"""Naming of a wrong transformation: the first usual mistake that turns the right values into those found."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EXACT = 1e-6
"""Relative rounding of float32, with room for a few operations."""

_HALF = 2.0**-7
"""Relative rounding of half precision, twice."""


def log_of(value: Floats) -> Floats:
    """``log1p``, of negative numbers by their size: ``sign(x) log1p(|x|)``."""
    return np.sign(value) * np.log1p(np.abs(value))


def exp_of(value: Floats) -> Floats:
    """The inverse of :func:`log_of`; clipped where no expression reaches."""
    return np.sign(value) * np.expm1(np.minimum(np.abs(value), 80.0))


FORMULAS: Mapping[str, Callable[[Floats], Floats]] = {
    "log1p of the right values": log_of,
    "expm1 of the right values": exp_of,
    "log1p of log1p of the right values": lambda value: log_of(log_of(value)),
    "the right values with the sign turned": np.negative,
    "the right values without their sign": np.abs,
    "the right values, negative ones set to 0": lambda value: np.maximum(value, 0.0),
    "the right values rounded to whole numbers": np.rint,
}


def same(found: Floats, right: Floats, slack: float = EXACT) -> bool:
    """Whether two sets of numbers agree up to ``slack`` of the largest, NaN with NaN."""
    nan = np.isnan(right)
    if (np.isnan(found) != nan).any():
        return False
    scale = float(np.abs(right[~nan]).max(initial=0.0))
    return bool((np.abs(found[~nan] - right[~nan]) <= slack * max(scale, 1e-30)).all())


def transform_of(found_BG: Floats, right_BG: Floats, where_BG: Bools, instead: Mapping[str, Floats]) -> str:
    """In words, what the numbers found are; ``""`` where they are right.

    Parameters
    ----------
    found_BG, right_BG : float64, (B, G)
    where_BG : bool, (B, G)
        The entries to compare; both are numbers there.
    instead : mapping of str to float64 (B, G)
        Other quantities that may be there, by name.
    """
    found, right = found_BG[where_BG], right_BG[where_BG]
    if not len(right) or same(found, right):
        return ""
    if not np.isfinite(found).all():
        return f"not finite at {int((~np.isfinite(found)).sum())} of {found.size} positions"
    for name, other_BG in instead.items():
        if same(found, other_BG[where_BG]):
            return name
    for name, formula in FORMULAS.items():
        if same(found, formula(right)):
            return name
    if (found == found[0]).all():
        return f"{found[0]:.4g} throughout"
    if same(found, right, _HALF):
        return "the right values in half precision"
    return (
        _scaled(found, right)
        or _scaled_by_gene(found_BG, right_BG, where_BG)
        or _moved(found_BG, right_BG, where_BG)
        or _unlike(found, right)
    )


def _scaled(found: Floats, right: Floats) -> str:
    """``a x + b`` with one ``a`` and one ``b``."""
    spread = float(right.std())
    if spread < 1e-12:
        return ""
    factor = float(((found - found.mean()) * (right - right.mean())).mean()) / spread**2
    offset = float(found.mean()) - factor * float(right.mean())
    if not same(found, factor * right + offset, 10 * EXACT):
        return ""
    if abs(offset) <= 1e-4 * abs(factor) * float(np.abs(right).max()):
        return f"{factor:.4g} times the right values"
    return f"{factor:.4g} times the right values, plus {offset:.4g}"


def _scaled_by_gene(found_BG: Floats, right_BG: Floats, where_BG: Bools) -> str:
    """``a x + b`` with an ``a`` and a ``b`` for each gene: where at least three pairs determine them."""
    n_examined = 0
    for gene in np.flatnonzero(where_BG.sum(axis=0) >= 3):
        rows_B = where_BG[:, gene]
        found, right = found_BG[rows_B, gene], right_BG[rows_B, gene]
        if right.std() < 1e-12:
            continue
        if not _scaled(found, right):
            return ""
        n_examined += 1
    return "the right values in other units, each gene with its own" if n_examined >= 2 else ""


def _moved(found_BG: Floats, right_BG: Floats, where_BG: Bools) -> str:
    """The right rows or columns, at other positions; only where all are comparable."""
    if where_BG.all():
        if same(np.sort(found_BG, axis=0), np.sort(right_BG, axis=0)):
            return "the right values of other pairs"
        if same(np.sort(found_BG, axis=1), np.sort(right_BG, axis=1)):
            return "the right values of other genes"
    inside_BG = where_BG & np.isin(_key(found_BG), _key(right_BG[where_BG]))
    share = float(inside_BG.sum() / where_BG.sum())
    return "the right values at other positions" if share > 0.99 else ""


def _key(value: Floats) -> NDArray[np.float32]:
    return value.astype(np.float32)


def _unlike(found: Floats, right: Floats) -> str:
    if found.std() < 1e-12 or right.std() < 1e-12:
        return "something else"
    correlation = float(np.corrcoef(found, right)[0, 1])
    wrong = float((np.abs(found - right) > EXACT * np.abs(right).max()).mean())
    return f"wrong at {wrong:.0%} of the positions, correlation {correlation:.2f} with the right values"
