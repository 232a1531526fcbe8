"""Checks of the cells before against the cells after: zeros, units, and pairs whose two cells are exchanged."""

from math import erfc, sqrt

import numpy as np
from scipy.stats import spearmanr

from diagnostics.checks.data.marginals import Marginals, change_of, typical
from diagnostics.checks.data.pairs.observed import observed
from diagnostics.checks.data.passes import different
from diagnostics.checks.data.transforms import Bools, Floats
from diagnostics.checks.engine.cell_ids import names_of
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.gains import Cells, Gain, ratio_of
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch

FEWEST_CELLS = 20
"""Different cells on either side: fewer are averages, of which one is compared with many cells on purpose."""

MANY_ZEROS, NO_ZEROS = 0.05, 0.05
"""Share of zeros that is many; and how much of it the other cells have at most."""

SHIFTED = 1.0
"""Distance of the median gene's medians, in standard deviations of its wider cells, that no perturbation explains."""

ALL_WHOLE, FEW_WHOLE = 0.999, 0.5
"""Shares of whole numbers among values other than 0: those of values that were cut to whole numbers, and others'."""

CUT_OFF, NOT_CUT_OFF = 0.05, 0.002
"""Shares of values that are the very largest, or smallest, one: of values that were cut off there, and others'."""

N_BINS = 12
FEWEST_PERTURBED = 2 * N_BINS
"""Bins of a gene's values, and pairs that must perturb it for perturbed values to be distinguished from usual ones."""

FEWEST_PAIRS = 100
LEAST_SCORE = 0.05
"""Mean logarithm of how much more frequent values before are at perturbed genes, where all pairs are exchanged."""

LEAST_EXCHANGED, ALL_EXCHANGED = 0.05, 0.8
"""Share of pairs whose cells are exchanged that is of interest; and one at which hardly any is left as it should be."""


@check(
    "GP128",
    "data.two_kinds",
    "Are the cells before and after of one kind: their zeros, their units?",
    cause="data", kind="exact", needs=("pairs",), explained_by=("data.units",),
)  # fmt: skip
def two_kinds(probe: Probe) -> CheckResult:
    """Shares of zeros and distributions at unperturbed genes; a perturbation changes some genes, not all of them."""
    pairs = probe.sample
    before_B, after_B = names_of(probe).codes(pairs)
    if min(len(np.unique(before_B)), len(np.unique(after_B))) < FEWEST_CELLS:
        return CheckResult(outcome="not_applicable", message="one side has fewer cells than can be compared")
    before, after = (Marginals.of(value_BG, pairs.scored_BG) for value_BG in (pairs.before_BG, pairs.after_BG))
    n_scored = max(1, int(pairs.scored_BG.sum()))
    zeros = [
        float((pairs.scored_BG & (value_BG == 0)).sum() / n_scored) for value_BG in (pairs.before_BG, pairs.after_BG)
    ]
    shift = typical(before.shift_G(after))
    shown = f"at unperturbed genes {zeros[0]:.1%} of the values before and {zeros[1]:.1%} of those after are 0"
    wrong = ""
    if max(zeros) > MANY_ZEROS and min(zeros) < NO_ZEROS * max(zeros):
        more, less = ("after", "before") if zeros[1] > zeros[0] else ("before", "after")
        wrong = (
            f"only the cells {more} have zeros, the cells {less} (next to) none: dropout, or filling in, on one side"
        )
    elif shift > SHIFTED:
        change = change_of(before, after)
        wrong = f"the median gene's values after lie {shift:.2g} standard deviations from those before"
        if change is not None:
            wrong += f": they are {change[0].format('values like those before')}"
    wrong = wrong or _cut(pairs)
    return verdict(
        good=not wrong, message=f"{wrong} ({shown})" if wrong else f"{shown}; the median gene moves by {shift:.2g} sd",
        next_step="take both cells of a pair through the same normalisation, imputation and assay: a model spends its "
        "loss on the difference of two kinds of measurement otherwise",
        statistic=shift, tolerance=SHIFTED, n=len(pairs),
    )  # fmt: skip


def _cut(pairs: PairBatch) -> str:
    """Which values were cut to whole numbers, or at a limit, in words; ``""`` where none were, or all."""
    values = {
        name: value_BG[pairs.scored_BG & (value_BG != 0)]
        for name, value_BG in (("before", pairs.before_BG), ("after", pairs.after_BG))
    }
    if min(map(len, values.values())) < FEWEST_CELLS:
        return ""
    highest = {name: float(value_E.max()) for name, value_E in values.items()}
    for one, other in (("before", "after"), ("after", "before")):
        whole = [float((values[name] == np.rint(values[name])).mean()) for name in (one, other)]
        if whole[0] > ALL_WHOLE:
            # Counts beside logarithms, as a likelihood takes them, reach higher.
            if whole[1] < FEW_WHOLE and highest[one] < highest[other] + 2:
                return f"the values {one} are whole numbers, and those {other} are not: expression was cut to integers"
            continue
        for word, extreme in (("largest", np.max), ("smallest", np.min)):
            share = [float((values[name] == extreme(values[name])).mean()) for name in (one, other)]
            if share[0] > CUT_OFF and share[1] < NOT_CUT_OFF:
                limit = float(extreme(values[one]))
                return (
                    f"{share[0]:.0%} of the values {one} are {limit:.4g}, the {word} of them: they were cut off there"
                )
    return ""


@check(
    "GP129",
    "data.exchanged",
    "Is the cell before the unperturbed one, in every pair?",
    cause="data", kind="statistical", needs=("pairs",),
)  # fmt: skip
def exchanged(probe: Probe) -> CheckResult:
    """Values of perturbed genes before: those of perturbed cells, in the very pairs in which the values after are not.

    Both must hold. That a gene's values before look perturbed may come from the choice of cells; that they do so
    where the values after look usual does not.
    """
    # A pair that is given many times, as of a short source, is one.
    pairs = different(observed(probe, probe.sample))
    score = _scores(pairs)
    if score is None:
        return CheckResult(
            outcome="not_applicable", message="perturbed genes have the values of other genes, or too few pairs do"
        )
    before_BG, after_BG, which_BG = score
    cells = names_of(probe).codes(pairs)
    above, below = (_mean(value_BG, which_BG, cells) for value_BG in (before_BG, after_BG))
    rows_B = which_BG.any(axis=1)
    before_B, after_B = (np.where(which_BG, value_BG, 0).sum(axis=1)[rows_B] for value_BG in (before_BG, after_BG))
    total = above.value + below.value
    share = max(0.0, min(1.0, above.value / total)) if total > 0 else 0.0
    together = float(spearmanr(before_B, after_B).statistic) if min(np.ptp(before_B), np.ptp(after_B)) > 0 else 0.0
    p_apart = 0.5 * erfc(-together * sqrt(len(before_B)) / sqrt(2))
    # Where all pairs are exchanged, none is left in which the values after look perturbed.
    p = above.p_above(0.0) if share > ALL_EXCHANGED else max(above.p_above(0.0), p_apart)
    counts = share > LEAST_EXCHANGED and (share <= ALL_EXCHANGED or above.value > LEAST_SCORE)
    fault = p < ALPHA and counts
    faulty = f"in about {share:.0%} of the pairs the two cells are exchanged: perturbed genes have perturbed values "
    faulty += "before, and usual ones after"
    return CheckResult(
        outcome="fail" if fault else "pass",
        message=faulty if fault else "perturbed genes have usual values before, as other genes do",
        next_step="look at how the two cells are distinguished: before is the one without the perturbation" * fault,
        statistic=share, null=0.0, p=p if counts else max(p, 0.5), n=int(rows_B.sum()),
    )  # fmt: skip


def _scores(pairs: PairBatch) -> tuple[Floats, Floats, Bools] | None:
    """How perturbed the values of perturbed genes look before, and after, (B, G), above those of unperturbed genes."""
    usual_BG = pairs.scored_BG
    found = [np.zeros(pairs.before_BG.shape), np.zeros(pairs.before_BG.shape)]
    which_BG = np.zeros(pairs.before_BG.shape, dtype=np.bool_)
    for gene in np.flatnonzero(pairs.perturbed_BG.sum(axis=0) >= FEWEST_PERTURBED):
        rows_B, usual_B = pairs.perturbed_BG[:, gene], usual_BG[:, gene]
        if usual_B.sum() < FEWEST_PERTURBED:
            continue
        # Half of the usual values make the bins and their shares, the other half what is expected of them.
        usual = pairs.before_BG[usual_B, gene]
        one, other = usual[::2], usual[1::2]
        edges = np.unique(np.quantile(one, np.linspace(0, 1, N_BINS + 1)[1:-1]))
        n = len(edges) + 1
        binned = [np.searchsorted(edges, value_BG[rows_B, gene]) for value_BG in (pairs.before_BG, pairs.after_BG)]
        usual_N = np.bincount(np.searchsorted(edges, one), minlength=n) + 1.0
        # Shares of every other pair judge the pairs between: none is judged by itself.
        for turn in (0, 1):
            learnt = np.concatenate([bin_B[turn::2] for bin_B in binned])
            perturbed_N = np.bincount(learnt, minlength=n) + 1.0
            ratio_N = np.log(perturbed_N / perturbed_N.sum()) - np.log(usual_N / usual_N.sum())
            expected = float(ratio_N[np.searchsorted(edges, other)].mean())
            for value_BG, bin_B in zip(found, binned, strict=True):
                value_BG[np.flatnonzero(rows_B)[1 - turn :: 2], gene] = ratio_N[bin_B[1 - turn :: 2]] - expected
        which_BG[:, gene] |= rows_B
    return (found[0], found[1], which_BG) if which_BG.any(axis=1).sum() >= FEWEST_PAIRS else None


def _mean(value_BG: Floats, which_BG: Bools, cells: Cells) -> Gain:
    """The mean over entries, with an error over pairs and the cells that they share."""
    return ratio_of(np.where(which_BG, value_BG, 0).sum(axis=1), which_BG.sum(axis=1).astype(np.float64), cells)
