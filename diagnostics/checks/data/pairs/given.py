"""Checks of what is given of a perturbation against what the perturbed genes do in the very pairs that give it.

A perturbed gene's value after is not scored, so that no error shows what it is: it is read from the user's own batch.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.stats import binom

from diagnostics.checks.data.collation import Arrived
from diagnostics.checks.data.marginals import Marginals, typical
from diagnostics.checks.data.passes import pair_codes
from diagnostics.checks.data.transforms import Bools, Floats
from diagnostics.checks.engine.cell_ids import Codes, own_held_out
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch

FEWEST = 100
"""Perturbed entries that the check rests on."""

EXACT = 1e-3
"""Of the usual change: a perturbed gene ends where it is set to end."""

SOME, LEAST = 0.1, 0.02
"""Share of the entries that agree exactly where that is how the pairs are made; and of those that need not."""

MOST = 0.9
"""Share of the entries that is nearly all."""

ALIKE = 0.35
"""Distance of distributions, in standard deviations, within which cells are of the same units."""

_NEITHER = 0.05
"""Change that is none, and slack within which a change is that which is given, turned, in usual changes."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Doses:
    """Changes of perturbed genes, given and found, where both are known.

    Parameters
    ----------
    row_E, gene_E : int64, (E,)
    given_E, found_E : float64, (E,)
    found_BG : float64, (B, G)
        Changes of all genes; NaN where unmeasured.
    code_B : uint64, (B,)
        One for each different pair.
    """

    row_E: np.ndarray
    gene_E: np.ndarray
    given_E: Floats
    found_E: Floats
    found_BG: Floats
    code_B: Codes

    @property
    def usual(self) -> float:
        """The median change that is given."""
        return float(np.median(np.abs(self.given_E)))

    @property
    def agree_E(self) -> Bools:
        """Whether the gene changes exactly by what is given."""
        return np.abs(self.found_E - self.given_E) <= EXACT * self.usual


def doses_of(probe: Probe, pairs: PairBatch) -> Doses | None:
    """From the user's own batches; None where the cell after holds what is given, by construction."""
    arrived = Arrived.of(*probe.subject.collate(pairs), len(probe.vocab))
    found_BG, given_BG = arrived.after_BG - arrived.before_BG, arrived.target_BG - arrived.before_BG
    # What was not captured, or cut off, says nothing of the perturbation.
    usual_BG = (arrived.after_BG != 0) & (arrived.before_BG != 0) & ~_at_limit(arrived.after_BG)
    row_E, gene_E = np.nonzero(pairs.perturbed_BG & arrived.perturbed_BG & usual_BG & np.isfinite(found_BG))
    given_E, found_E = given_BG[row_E, gene_E], found_BG[row_E, gene_E]
    if len(row_E) < FEWEST or np.array_equal(given_E, found_E):
        return None
    return Doses(
        row_E=row_E, gene_E=gene_E, given_E=given_E, found_E=found_E, found_BG=found_BG, code_B=pair_codes(pairs)
    )


def _at_limit(value_BG: Floats) -> Bools:
    """Values that are the largest or the smallest of all, where more than one is."""
    known = value_BG[np.isfinite(value_BG)]
    limits = [one for one in (known.min(initial=0), known.max(initial=0)) if (known == one).sum() > 1]
    return np.isin(value_BG, limits)


@check(
    "GP131",
    "data.given",
    "Do perturbed genes end where the perturbation says, in every pair?",
    cause="data", kind="statistical", needs=("pairs",),
)  # fmt: skip
def given(probe: Probe) -> CheckResult:
    """Where some perturbed genes end exactly where they are set to, the others do not belong to what they are given.

    Where none does, as in cells of an experiment, nothing is asked: the dose is then no value.
    """
    if probe.subject.intent.given == "identity":
        return CheckResult(outcome="not_applicable", message="which genes are perturbed is given, and not how much")
    seen = doses_of(probe, probe.sample)
    if seen is None or not seen.usual:
        return CheckResult(
            outcome="not_applicable", message="too few perturbed genes, or the batches hold no other value of them"
        )
    agree_E, elsewhere = seen.agree_E, _elsewhere(seen, seen.given_E != 0)
    share, wrong_E, reference = float(agree_E.mean()), ~agree_E, ""
    if share < SOME and elsewhere < MOST:
        alike = own_held_out(probe) and _same_units(probe)
        other = doses_of(probe, probe.held_out) if alike else None
        in_held_out = float(other.agree_E.mean()) if other is not None else 0.0
        if in_held_out < MOST:
            return CheckResult(
                outcome="not_applicable", message=f"perturbed genes end exactly where they are set to in {share:.0%}: "
                "the dose is no value of theirs",
            )  # fmt: skip
        reference = f" ({in_held_out:.0%} of those in held-out pairs do)"
    n = len(np.unique(seen.code_B[seen.row_E]))
    n_wrong = len(np.unique(seen.code_B[seen.row_E[wrong_E]]))
    p = float(binom.sf(n_wrong - 1, n, LEAST)) if n_wrong else 1.0
    fault = p < ALPHA
    message = f"{share:.1%} of {len(agree_E)} perturbed genes end exactly where they are set to"
    if fault:
        message = (
            f"{1 - share:.0%} of {len(agree_E)} perturbed genes in training do not end where the perturbation says"
        )
        message = f"{message}{reference}: {_faulty(seen, wrong_E)}"
    return CheckResult(
        outcome="fail" if fault else "pass", message=message,
        next_step="join labels, doses and cells by one index, and look for what is done to a part of them alone: a "
        "shuffle, a merge, a shift of columns" if fault else "",
        statistic=1 - share, null=LEAST, p=p, n=n,
    )  # fmt: skip


def _same_units(probe: Probe) -> bool:
    """Whether cells before are distributed alike in training and held-out pairs."""
    right, found = (Marginals.of(pairs.before_BG, pairs.measured_BG) for pairs in (probe.sample, probe.held_out))
    return typical(right.distance_G(found)) < ALIKE


def _elsewhere(seen: Doses, of_E: Bools) -> float:
    """Share of the entries in whose pair another gene changes exactly by the dose that is given."""
    if not of_E.any():
        return 0.0
    gap_EG = np.abs(seen.found_BG[seen.row_E[of_E]] - seen.given_E[of_E, None])
    gap_EG[np.arange(len(gap_EG)), seen.gene_E[of_E]] = np.inf
    return float((np.nanmin(gap_EG, axis=1) <= EXACT * seen.usual).mean())


def _shift(seen: Doses, of_E: Bools) -> str:
    """The distance of the column that changes from that which is given, where it is one for most."""
    gap_EG = np.abs(seen.found_BG[seen.row_E[of_E]] - seen.given_E[of_E, None])
    away, n = np.unique((np.nanargmin(gap_EG, axis=1) - seen.gene_E[of_E]) % gap_EG.shape[1], return_counts=True)
    if n.max() < MOST * n.sum():
        return ""
    most = int(away[n.argmax()])
    most = most - gap_EG.shape[1] if most > gap_EG.shape[1] / 2 else most
    return f", {abs(most)} column{'s' * (abs(most) > 1)} {'before' if most < 0 else 'after'} that which is given"


def _faulty(seen: Doses, wrong_E: Bools) -> str:
    """What the entries do that do not agree."""
    given_E, found_E, slack = seen.given_E[wrong_E], seen.found_E[wrong_E], _NEITHER * seen.usual
    if float((np.abs(found_E + given_E) <= slack).mean()) > MOST / 2:
        return "they change by as much the other way: the two cells of these pairs are exchanged, or doses turned"
    large_E = wrong_E & (np.abs(seen.given_E) > 2 * slack)
    if _elsewhere(seen, large_E) > MOST / 2:
        return f"another gene of their pair changes by that dose{_shift(seen, large_E)}: labels are of other genes"
    if float((np.abs(found_E) <= slack).mean()) > MOST / 2:
        return "they hardly change: labels and doses of these pairs are those of other pairs"
    return "they change otherwise: labels, doses or cells of these pairs are those of other pairs"
