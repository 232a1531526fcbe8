"""A comparison as JSON's types.

No dimension key: nothing here is an array.
"""

import math
from typing import Any

from diagnostics.compared import Compared, Levels
from gpcp.seed_noise import Difference


def to_json(result: Compared, levels: Levels) -> dict[str, Any]:
    """Everything as JSON's types; infinite ends of intervals and losses are null."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def of(difference: Difference | None) -> dict[str, Any] | None:
        if difference is None:
            return None
        ends = {"low": number(difference.low), "high": number(difference.high)}
        return {"mean": difference.mean, **ends, "n_seeds": difference.n_seeds, "tie": difference.tie}

    return {
        "reference": result.reference,
        "correction": "Bonferroni",
        "n_comparisons": result.n_comparisons,
        "level": result.level,
        "baseline": levels.baseline,
        "baseline_name": levels.baseline_name,
        "ridge": levels.ridge,
        "bayes": levels.bayes,
        "bayes_exact": levels.bayes_exact,
        "needed_rank": levels.needed,
        "rank_residuals": list(levels.residuals),
        "rank_losses": list(levels.reached),
        "rank_bounds": {str(rank): bound for rank, bound in levels.bounds.items()},
        "compared": [
            {
                "name": one.entry.name,
                "outcome": one.outcome,
                "loses_information": one.loses_information,
                "says": one.says,
                "losses": {str(seed): loss for seed, loss in one.entry.loss_of.items()},
                "loss": number(one.entry.loss),
                "skill": number(levels.skill(one.entry.loss)),
                "n_parameters": one.entry.n_parameters,
                "rank": one.entry.rank,
                "objective": one.entry.objective,
                "limits": list(one.entry.limits),
                "difference": of(one.difference),
            }
            for one in result.judged
        ],
        "pairs": [{"first": one, "second": other, **(of(diff) or {})} for one, other, diff in result.pairs],
    }
