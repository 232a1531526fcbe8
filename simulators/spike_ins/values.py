"""How an effect is put on the value of a real cell: counts by binomial thinning, logarithms by a fold or a shift.

Thinning is the scheme of Gerard, Data-based RNA-seq simulations by binomial thinning, BMC Bioinformatics 21:206
(2020), the R package seqgendiff: ``Binomial(count, p)`` of a Poisson or negative binomial count is one again, and its
mean is ``p`` times as large.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest

Rule = Literal["fold", "shift"]
"""How logarithms are changed.

``fold``: of log1p of a level, the level is multiplied by ``exp(effect)``, so that its mean has exactly the wanted fold
change, what was 0 stays 0 and nothing falls below. ``shift``: the effect is added, for values of a world's own units.
"""

RULES: tuple[str, ...] = get_args(Rule)


def thinned(count_BG: NDArray[np.int64], effect_BG: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Counts whose means have the wanted ratios: ``Binomial(count, exp(effect - largest effect of the gene))``.

    Thinning only lowers. Where a gene rises in some cells, all others are thinned instead: between any two cells the
    ratio of the expected counts is multiplied by ``exp`` of the difference of their effects, exactly.

    Parameters
    ----------
    count_BG : int64, (B, G)
    effect_BG : float64, (B, G)
        Natural logarithms of fold changes; 0 in cells to which nothing is done.
    rng : np.random.Generator

    Raises
    ------
    InputError
        A count is negative, an effect is not finite, or the shapes differ.
    """
    if count_BG.shape != effect_BG.shape:
        raise InputError(f"effects have shape {effect_BG.shape}, expected {count_BG.shape}, that of the counts")
    if count_BG.size == 0:
        return count_BG.copy()
    if count_BG.min() < 0 or not np.isfinite(effect_BG).all():
        raise InputError("thinning needs counts of 0 or more and finite effects")
    kept_BG = np.exp(effect_BG - effect_BG.max(axis=0, keepdims=True))
    return rng.binomial(count_BG, kept_BG).astype(np.int64, copy=False)


def changed(value_BG: NDArray[np.floating], effect_BG: NDArray[np.float64], rule: Rule) -> NDArray[np.float64]:
    """Logarithmic values with an effect on them, float64 (B, G); see :data:`Rule`.

    Raises
    ------
    InputError
        The rule is unknown, or ``fold`` meets a negative value, which is no logarithm of ``1 + level``.
    """
    if rule not in RULES:
        raise InputError(f"rule is {rule!r}; {nearest(rule, RULES)}")
    plain_BG = value_BG.astype(np.float64)
    if rule == "shift":
        return plain_BG + effect_BG
    if plain_BG.size and plain_BG.min() < 0:
        raise InputError(f"a value is {plain_BG.min():g}: no log1p of a level; give the rule 'shift'")
    return np.log1p(np.expm1(plain_BG) * np.exp(effect_BG))


def rule_of(value_BG: NDArray[np.floating]) -> Rule:
    """``fold`` of values that are all 0 or more, else ``shift``."""
    return "shift" if value_BG.size and value_BG.min() < 0 else "fold"
