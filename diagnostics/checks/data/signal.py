"""Checks of the signal in the pairs: ridge on a model's inputs against an input-free baseline, on unseen pairs.

What matters is measured one thing at a time, by taking it away from the fitted ridge on unseen pairs: the whole
perturbation; *which* genes are perturbed, their doses kept; how much, the genes kept. Shuffling all would miss labels
that had been shuffled alone.

The fault is that what was taken away mattered less than :data:`diagnostics.checks.engine.gains.SMALLEST` of the
baseline's
loss, or than :data:`PART` of the perturbation's worth, and ``p`` the probability of so small a gain if the true
gain were that smallest one (one-sided, normal, over pairs and the cells that they share).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from diagnostics.checks.data.linear_fit import LinearFit, linear_fit
from diagnostics.checks.engine.cell_ids import own_held_out
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.gains import SMALLEST, Gain, judged
from diagnostics.checks.engine.intent import BY_NAME, NO_DOSE
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation, perturbation_of

PART = 0.25
"""Of the whole perturbation's worth: identities and doses that matter are worth more (.58 of it and more in 60 worlds
of every mechanism and regime), those that were shuffled next to nothing: a few that fell in their place by chance."""

VARIED = 0.5
"""Doses vary where their spread about each gene's mean is at least this share of that gene's spread before."""

N_DRAWS = 8
"""Shuffles that a loss is averaged over."""


NEW_GENES = "held-out pairs perturb genes that no training pair does, and a linear model cannot guess their effects"


def new_genes(probe: Probe) -> bool:
    """Whether most held-out pairs perturb a gene that training does not."""
    if not own_held_out(probe):
        return False
    sample, held_out = probe.sample.applied, probe.held_out.applied
    if sample is not None and held_out is not None:
        return float((~np.isin(held_out.token_BA, sample.token_BA)).any(axis=1).mean()) > 0.5
    known_G = probe.sample.perturbed_BG.any(axis=0)
    return float((probe.held_out.perturbed_BG & ~known_G).any(axis=1).mean()) > 0.5


class Taken(Protocol):
    """Takes a part of the perturbation's information from some pairs."""

    @property
    def __name__(self) -> str: ...

    def __call__(self, pairs: PairBatch, rng: np.random.Generator) -> Perturbation:
        """The perturbation that is given instead."""
        ...


@check(
    "GP118",
    "data.signal",
    "Do the pairs hold anything that a linear model can learn?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
)
def signal(probe: Probe) -> CheckResult:
    """Ridge on before and the perturbation, against the better of the mean and the mean change."""
    fit = linear_fit(probe)
    if fit is None:
        return _nothing_scored()
    found = judged(
        fit.gain,
        what=f"{fit.name} on all of the model's inputs gains",
        matters="neither a linear model nor one of squares can learn from these pairs",
        next_step="look at the pairs before the model: is each perturbation joined to its own cells (an index that was "
        "filtered, shuffled or sorted on one side alone looks like this)? gpcp audit shows what their differences are "
        "made of; then more pairs, another gene panel, or pairs that share more",
        n=len(fit.held_out),
    )
    if found.outcome == "fail" and new_genes(probe):
        return replace(
            found, message=f"{NEW_GENES}: {found.message}",
            next_step="split so that every perturbation is in training too, or judge by a model that is given what "
            "genes have in common (a graph, an embedding)",
        )  # fmt: skip
    return found


@check(
    "GP119",
    "data.perturbation",
    "Does the perturbation carry information?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
    explained_by=("data.signal",),
)
def perturbation(probe: Probe) -> CheckResult:
    """Each pair is given another pair's perturbation."""
    return _without(
        probe,
        of_another_pair,
        what="the pair's own perturbation rather than another pair's is worth",
        matters="the perturbation carries no information on the cell after",
        next_step="check that perturbations are joined to their own cells: an index that was shuffled or sorted "
        "on one side only looks like this",
    )


@check(
    "GP120",
    "data.identity",
    "Does it matter which genes are perturbed?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
    explained_by=("data.signal", "data.perturbation"),
)
def identity(probe: Probe) -> CheckResult:
    """The perturbed genes' labels are shuffled within each pair, their doses kept."""
    if probe.subject.perturbations is not None:
        return CheckResult(outcome="not_applicable", message=f"{BY_NAME}: data.perturbation asks the same")
    return _without(
        probe,
        of_other_genes,
        what="knowing which genes are perturbed, doses being known, is worth",
        matters="the labels of the perturbed genes carry no information",
        next_step="check the gene order between the perturbation's labels and the expression columns",
        part=PART,
    )


@check(
    "GP121",
    "data.dose",
    "Does it matter how much the perturbed genes change?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
    explained_by=("data.signal", "data.perturbation"),
)
def dose(probe: Probe) -> CheckResult:
    """The values after of each perturbed gene are shuffled among the pairs that perturb it.

    A knock-out that always ends at 0 is described by its label: where doses hardly vary nothing is
    wrong if they carry no information.
    """
    if probe.subject.intent.given == "identity":
        return CheckResult(outcome="not_applicable", message=NO_DOSE)
    found = _without(
        probe,
        of_other_doses,
        what="knowing how much the perturbed genes change, the genes being known, is worth",
        matters="doses that vary carry no information",
        next_step="check that values after belong to their own cells and are in their units; if all perturbations are "
        "meant to be equally strong, give the genes alone",
        part=PART,
    )
    fit = linear_fit(probe)
    if found.outcome != "fail" or fit is None:
        return found
    varied = dose_spread(fit.sample)
    if varied >= VARIED:
        return found
    return replace(
        found,
        outcome="inconclusive",
        p=None,
        message=f"{found.message}; but they vary {varied:.0%} as much as the same genes do before, as those of "
        f"knock-outs",
        next_step="",
    )


def dose_spread(pairs: PairBatch) -> float:
    """Spread of perturbed values about their genes' means, relative to the same genes' before; 0 without doses."""
    perturbed_BG = pairs.perturbed_BG
    n_G = perturbed_BG.sum(axis=0)
    evaluated_G = n_G > 1
    if not evaluated_G.any():
        return 0.0

    def variance_G(value_BG: np.ndarray, counts_BG: np.ndarray) -> np.ndarray:
        n_G = np.maximum(counts_BG.sum(axis=0), 1)
        mean_G = np.where(counts_BG, value_BG, 0).sum(axis=0, dtype=np.float64) / n_G
        return np.where(counts_BG, (value_BG - mean_G) ** 2, 0).sum(axis=0) / n_G

    perturbed_G, usual_G = variance_G(pairs.after_BG, perturbed_BG), variance_G(pairs.before_BG, pairs.measured_BG)
    perturbed = float(n_G[evaluated_G] @ perturbed_G[evaluated_G])
    usual = float(n_G[evaluated_G] @ usual_G[evaluated_G])
    return float(np.sqrt(perturbed / usual)) if usual > 0 else float(perturbed > 0)


def _nothing_scored() -> CheckResult:
    return CheckResult(
        outcome="fail",
        message="no gene is scored in more than a handful of pairs: there is nothing to learn from",
        next_step="perturb fewer genes, or choose genes that are measured in both cells of a pair",
        statistic=0.0,
        null=SMALLEST,
        p=0.0,
        n=0,
    )


def _without(probe: Probe, taken: Taken, *, what: str, matters: str, next_step: str, part: float = 0.0) -> CheckResult:
    """The worth of one part of the perturbation; to matter it must be ``part`` of the whole perturbation's."""
    fit = linear_fit(probe)
    if fit is None or not fit.held_out.perturbs_B.any():
        return CheckResult(outcome="not_applicable", message="no gene is perturbed, or none is scored, in any pair")
    gain = worth(probe, fit, taken)
    if gain is None:
        return CheckResult(
            outcome="not_applicable", message="every gene is perturbed in one of the two sets: none is left to score"
        )
    whole = worth(probe, fit, of_another_pair) if part else None
    smallest = SMALLEST if whole is None else max(SMALLEST, part * whole.value)
    return judged(gain, what=what, matters=matters, next_step=next_step, n=len(fit.held_out), smallest=smallest)


def worth(probe: Probe, fit: LinearFit, taken: Taken) -> Gain | None:
    """By how much the fit's loss rises without something; None where no entry is left to score."""

    def rise(probe: Probe) -> Gain | None:
        draws = (probe.rng("taken", taken.__name__, turn) for turn in range(N_DRAWS))
        return fit.rise_if([taken(fit.held_out, rng) for rng in draws])

    return probe.once(f"worth {taken.__name__}", rise)


def of_another_pair(pairs: PairBatch, rng: np.random.Generator, *, size: int = 1) -> Perturbation:
    """The perturbations, each moved to the next pair of a random order: no pair keeps its own, if there are two.

    Of sets of ``size`` rows, to the next set.
    """
    perturbed = perturbation_of(pairs)
    order_S = rng.permutation(-(-len(pairs) // size))
    from_S = np.empty_like(order_S)
    from_S[order_S] = np.roll(order_S, 1)
    from_B = (from_S[:, None] * size + np.arange(size)).ravel()[: len(pairs)] % len(pairs)
    if perturbed.applied is not None:
        return Perturbation.named(perturbed.applied.rows(from_B), len(pairs.vocab))
    perturbed_BG = perturbed.perturbed_BG[from_B] & pairs.measured_BG
    return _perturbed(perturbed_BG, perturbed.target_BG[from_B])


def of_other_genes(
    pairs: PairBatch, rng: np.random.Generator, *, size: int = 1, among: Sequence[int] | None = None
) -> Perturbation:
    """Each pair's changes, given for randomly permuted perturbed genes; a target is before plus the change.

    In sets of ``size`` rows genes are permuted alike; only those ``among`` some columns, where these are given. Of
    perturbations by name, another pair's.
    """
    if pairs.applied is not None:
        return of_another_pair(pairs, rng, size=size)
    n_genes = len(pairs.vocab)
    able = np.arange(n_genes) if among is None else np.asarray(among)
    order_SG = np.tile(np.arange(n_genes), (-(-len(pairs) // size), 1))
    order_SG[:, able] = rng.permuted(order_SG[:, able], axis=1)
    order_BG = np.repeat(order_SG, size, axis=0)[: len(pairs)]
    perturbed_BG = np.take_along_axis(pairs.perturbed_BG, order_BG, axis=1) & pairs.measured_BG
    dose_BG = np.take_along_axis(np.where(pairs.perturbed_BG, pairs.delta_BG, np.float32(0)), order_BG, axis=1)
    return _perturbed(perturbed_BG, pairs.before_BG + dose_BG)


def of_other_doses(pairs: PairBatch, rng: np.random.Generator) -> Perturbation:
    """Each gene's values after, shuffled among the pairs that perturb it: none keeps its own, if there are two."""
    target_BG = np.where(pairs.perturbed_BG, pairs.after_BG, np.float32(0))
    for gene in np.flatnonzero(pairs.perturbed_BG.any(axis=0)):
        rows_B = rng.permutation(np.flatnonzero(pairs.perturbed_BG[:, gene]))
        target_BG[rows_B, gene] = np.roll(target_BG[rows_B, gene], 1)
    return _perturbed(pairs.perturbed_BG, target_BG)


def _perturbed(perturbed_BG: np.ndarray, value_BG: np.ndarray) -> Perturbation:
    return Perturbation(
        perturbed_BG=perturbed_BG, target_BG=np.where(perturbed_BG, value_BG, np.float32(0)).astype(np.float32)
    )
