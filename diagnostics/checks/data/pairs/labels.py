"""The check that each pair shows the perturbation that it is given: labels wrong in some pairs, or in controls.

A pair whose label is wrong lacks the change of the gene that it is given, *and* shows that of another gene. Either is
no fault alone: guides fail, and genes change for other reasons. So both are counted within each label.
"""

from dataclasses import dataclass
from math import erfc, sqrt
from typing import final

import numpy as np
from scipy.stats import binom

from diagnostics.checks.data.marginals import Marginals
from diagnostics.checks.data.pairs.observed import observed
from diagnostics.checks.data.transforms import Bools, Floats
from diagnostics.checks.engine.cell_ids import row_codes
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult

FEWEST, FEWEST_OF_LABEL, FEWEST_LABELS = 200, 20, 5
"""Different pairs, those of a label, and labels, that the check rests on."""

N_BINS = 15

LEAST, MORE = 0.02, 0.05
"""Share of pairs with a wrong label that is of interest; and excess of other genes' changes in pairs that lack theirs:
in healthy pairs of every kind these have fewer of them, since effects follow the gene's own change."""

APART = 0.1
"""The same of controls against usual pairs."""

_ALONE, _OTHERS, _TWICE = 0.2, 0.02, 2.0
"""Shares of pairs that lack their gene's change in one label, in the usual ones; its size in usual labels' sizes."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Which perturbations pairs show, one pair a cell.

    Parameters
    ----------
    label_B : int64, (B,)
        Numbers of different perturbations; 0 where nothing is perturbed.
    lacks_B, other_B : bool, (B,)
        The given genes do not change as perturbed genes do; another gene does.
    words : tuple of str
        Each label in words.
    """

    label_B: np.ndarray
    lacks_B: Bools
    other_B: Bools
    words: tuple[str, ...]


def shown_of(probe: Probe) -> Shown | None:
    """By the changes of genes in their spreads before; None where too few pairs perturb a gene."""
    pairs = observed(probe, probe.sample)
    _, first_N = np.unique(row_codes(pairs.after_BG), return_index=True)
    pairs = pairs.rows(np.sort(first_N))
    measured_BG, perturbed_BG = pairs.measured_BG, pairs.perturbed_BG
    if perturbed_BG.any(axis=1).sum() < FEWEST:
        return None
    law = Marginals.of(pairs.before_BG, measured_BG)
    score_BG = _scores(np.where(measured_BG, pairs.delta_BG / law.spread_G, 0.0), perturbed_BG, measured_BG)
    own_B = np.where(perturbed_BG, score_BG, 0).sum(axis=1) / np.maximum(perturbed_BG.sum(axis=1), 1)
    other_B = np.where(measured_BG & ~perturbed_BG, score_BG, -np.inf).max(axis=1)
    given_B = perturbed_BG.any(axis=1)
    shows_B = given_B & (own_B > 0)
    if shows_B.sum() < FEWEST / 2:
        return None
    as_perturbed = float(np.median(own_B[shows_B]))
    different_NG, label_B = np.unique(perturbed_BG, axis=0, return_inverse=True)
    names = np.asarray(probe.vocab.feature_id)
    return Shown(
        label_B=np.where(given_B, label_B.ravel() + 1, 0), lacks_B=given_B & (own_B < 0),
        other_B=other_B >= as_perturbed,
        words=("nothing", *(" and ".join(names[one_G]) for one_G in different_NG)),
    )  # fmt: skip


def _scores(change_BG: Floats, perturbed_BG: Bools, measured_BG: Bools) -> Floats:
    """Logarithm of how much more frequent a change is at perturbed genes than at others, (B, G)."""
    perturbed_E, usual_E = change_BG[perturbed_BG], change_BG[measured_BG & ~perturbed_BG]
    edges = np.unique(
        np.quantile(np.concatenate((perturbed_E, usual_E[: len(perturbed_E)])), np.linspace(0, 1, N_BINS + 1)[1:-1])
    )
    counts = [
        np.bincount(np.searchsorted(edges, one_E), minlength=len(edges) + 1) + 1.0 for one_E in (perturbed_E, usual_E)
    ]
    ratio_N = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
    return ratio_N[np.searchsorted(edges, change_BG)]


MOST = 0.5
"""Share of perturbed pairs without their own gene's change, from which on a note asks whether labels are right."""

_RARELY_SHOWN = (
    "if perturbations knock genes down or up, and targets= or a table gives their genes: see that these are in the "
    "order of the perturbations' numbers"
)


@check(
    "GP134",
    "data.labels",
    "Does each pair show the perturbation that it is given?",
    cause="data", kind="statistical", needs=("pairs",),
)  # fmt: skip
def labels(probe: Probe) -> CheckResult:
    """Pairs that lack their gene's change against the others of their label: those that show another gene's instead."""
    shown = shown_of(probe)
    if shown is None:
        return CheckResult(
            outcome="not_applicable", message="too few pairs show the change of the gene that is perturbed"
        )
    n = len(shown.label_B)
    found = [_mixed(shown), _controls(shown), _shared(shown)]
    p, share, words = min(found)
    p = min(1.0, len(found) * p)
    fault = p < ALPHA and bool(words)
    lacking = float(shown.lacks_B[shown.label_B > 0].mean())
    healthy = f"{lacking:.0%} of the perturbed pairs lack their own gene's change, and do not show another's instead"
    return CheckResult(
        outcome="fail" if fault else "pass",
        message=words if fault else healthy,
        next_step="look at how labels are joined to cells: names that are not found, an index that stands for two, a "
        "merge of which a part went wrong" if fault else _RARELY_SHOWN if lacking > MOST else "",
        statistic=share, null=0.0, p=p, n=n,
    )  # fmt: skip


def _mixed(shown: Shown) -> tuple[float, float, str]:
    """Within labels: other genes' changes where the own one lacks against where it does not.

    Mantel and Haenszel (1959).
    """
    excess, variance, n_lacking, n_more = 0.0, 0.0, 0, 0.0
    for label in range(1, len(shown.words)):
        rows_B = shown.label_B == label
        lacks_B, other_B = shown.lacks_B[rows_B], shown.other_B[rows_B]
        n, n_lacks, n_other = len(lacks_B), int(lacks_B.sum()), int(other_B.sum())
        if n < FEWEST_OF_LABEL or not 0 < n_lacks < n:
            continue
        both = int((lacks_B & other_B).sum())
        excess += both - n_lacks * n_other / n
        variance += n_lacks * (n - n_lacks) * n_other * (n - n_other) / (n**2 * (n - 1))
        n_lacking += n_lacks
        n_more += both - n_lacks * (n_other - both) / (n - n_lacks)
    n_given = max(1, int((shown.label_B > 0).sum()))
    share = n_more / n_given
    if not variance or n_more < MORE * n_lacking or share < LEAST:
        return 1.0, max(share, 0.0), ""
    p = 0.5 * erfc(max(0.0, excess - 0.5) / sqrt(variance) / sqrt(2))
    return (
        p,
        share,
        (
            f"at least {share:.0%} of the perturbed pairs have the label of another perturbation: they lack the "
            "change of the gene that they are given, and another gene changes as perturbed genes do in "
            f"{n_more / n_lacking:.0%} more of them than of the others"
        ),
    )


def _controls(shown: Shown) -> tuple[float, float, str]:
    """Pairs that are given nothing, against the changes of other genes in usual labels."""
    controls_B = shown.label_B == 0
    rates = [
        float(shown.other_B[rows_B].mean())
        for label in range(1, len(shown.words))
        if (rows_B := (shown.label_B == label) & ~shown.lacks_B).sum() >= FEWEST_OF_LABEL
    ]
    n, found = int(controls_B.sum()), int((controls_B & shown.other_B).sum())
    if n < FEWEST_OF_LABEL or len(rates) < FEWEST_LABELS:
        return 1.0, 0.0, ""
    usual = float(np.median(rates))
    share = (found / n - usual) / max(1 - usual, 1e-9)
    if share < APART:
        return 1.0, max(share, 0.0), ""
    return (
        float(binom.sf(found - 1, n, usual + APART / 2)) if usual + APART / 2 < 1 else 1.0,
        share,
        (
            f"about {share:.0%} of the {n} pairs that are given as controls hold a perturbed cell: a gene changes as "
            f"perturbed genes do in {found / n:.0%}, and one that is not given in {usual:.0%} of the pairs of a usual "
            "perturbation"
        ),
    )


def _shared(shown: Shown) -> tuple[float, float, str]:
    """A label far larger than the others, of whose pairs alone many lack the change of their gene."""
    sizes, lacking = np.zeros(len(shown.words)), np.zeros(len(shown.words))
    for label in range(1, len(shown.words)):
        rows_B = shown.label_B == label
        sizes[label], lacking[label] = float(rows_B.sum()), float(shown.lacks_B[rows_B].mean()) if rows_B.any() else 0.0
    known = np.flatnonzero(sizes >= FEWEST_OF_LABEL)
    if len(known) < FEWEST_LABELS:
        return 1.0, 0.0, ""
    worst = int(known[lacking[known].argmax()])
    usual = float(np.median(lacking[known]))
    alone = usual < _OTHERS and sizes[worst] > _TWICE * np.median(sizes[known]) and _ALONE < lacking[worst] < 1
    n = int(sizes[worst])
    p = float(binom.sf(round(float(lacking[worst]) * n) - 1, n, _ALONE)) if alone else 1.0
    return (
        p,
        float(lacking[worst]),
        (
            f"{lacking[worst]:.0%} of the {n} pairs that are given {shown.words[worst]} do not show its change, and "
            f"next to none of other perturbations' pairs, which are {n / np.median(sizes[known]):.2g} times fewer: "
            "other cells, such as controls, have its number"
        ),
    )
