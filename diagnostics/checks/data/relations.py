"""Checks of how cells are related: the two of a pair, training and held-out cells, pairs and their world."""

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.data.linear_fit import judged_pairs, linear_fit
from diagnostics.checks.engine.cell_ids import (
    FEWEST_CELLS,
    CellNames,
    different_cells,
    open_for_few,
    own_held_out,
    row_codes,
    sides_of,
)
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.gains import decided, judged, ratio_of
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.errors import errors_of
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.predictors import perturbation_of
from simulators.exact.bayes import BayesAnswer

MOST_TRAINING = 16_384
TRAINING_ENTRIES = 4_000_000
"""Training pairs, and entries (pairs x genes), whose cells are looked for among the held-out ones."""

ROW_VALUES = 5
"""Different values other than 0 that make a cell known by its values: silent cells are alike."""

_NEAR = 0.05
"""Of the usual distance: nearer held-out cells are copies."""

_MOST_NEAR, _MOST_COMPARED, _FEWEST_NEAR = 2_000, 300, FEWEST_CELLS // 2

WORLD_SLACK = 0.05
"""Relative error of the exact answer's own risk, where it is simulated."""

SOLVED = 1e-6
"""Share of the variance that an exact answer without risk may miss: float32's rounding, amplified."""


@check(
    "GP122",
    "data.split",
    "Are held-out cells unseen in training?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def split(probe: Probe) -> CheckResult:
    """By name and by value: no target cell of a held-out pair is in a training pair, before or after.

    Cells before that are in both, as the controls of a screen are, reveal no target.
    """
    held_out = probe.held_out
    if not own_held_out(probe):
        return _one_source(probe)
    n_genes = len(probe.vocab)
    training = probe.drawn(max(1_000, min(MOST_TRAINING, TRAINING_ENTRIES // n_genes)), "split")
    names = CellNames.of(concatenate([training, held_out]))
    seen = np.concatenate(names.codes(training))
    before_B, after_B = names.codes(held_out)
    leaked_B = np.isin(after_B, seen) & names.by_id
    leaked_B |= _same_rows(held_out, training)
    perturbs_B = held_out.perturbs_B
    if leaked_B.any() and perturbs_B.any() and not leaked_B[perturbs_B].any():
        return CheckResult(
            outcome="inconclusive", statistic=float(leaked_B.mean()), null=0.0, n=len(held_out),
            message=f"{int(leaked_B.sum())} of {len(held_out)} held-out pairs have a target cell that is in a training "
            "pair, and all of them are pairs without a perturbation: controls that both sides share",
            next_step="leave controls out of the held-out loss, or split them too: they make it look smaller",
        )  # fmt: skip
    n_leaked, n_before = int(leaked_B.sum()), int(np.isin(before_B, seen).sum())
    shared = f"; {n_before} have a cell before that training has too" if n_before and names.by_id else ""
    return verdict(
        good=not n_leaked,
        message=f"{n_leaked} of {len(held_out)} held-out pairs have a target cell that is in a training pair"
        if n_leaked
        else f"no target cell of {len(held_out)} held-out pairs is in any of {len(training)} training pairs{shared}",
        next_step="split by cell, before pairs are made: gpcp.sources.subsets.split_cells does; a held-out loss is "
        "one of training otherwise",
        statistic=n_leaked / len(held_out), null=0.0, tolerance=0.0, n=len(held_out),
    )  # fmt: skip


@check(
    "GP123",
    "data.copies",
    "Are held-out cells more than noisy copies of training cells?",
    cause="data", kind="exact", needs=("pairs",), explained_by=("data.split", "data.repeats", "data.other_seed"),
)  # fmt: skip
def copies(probe: Probe) -> CheckResult:
    """The median distance of a held-out cell to the nearest training cell, in medians of all such distances.

    A few thousand cells do not fill a space of six genes or more: in worlds of every mechanism and in real cells it is
    .2 and more. Augmentation before the split leaves copies on both sides, and everything else follows from them.
    """
    sides = sides_of(probe)
    training, held_out = sides.training(probe.sample), sides.held_out(probe.held_out)
    if (perturbs_B := held_out.perturbs_B).any():
        # Controls are shared by both sides of a screen.
        held_out = held_out.rows(np.flatnonzero(perturbs_B))
    training, held_out = different_cells(training, sides.names), different_cells(held_out, sides.names)
    # Genes that both measure everywhere, so that a distance is over the same genes for all.
    whole_G = training.measured_BG.all(axis=0) & held_out.measured_BG.all(axis=0)
    known = training.after_BG[:_MOST_NEAR][:, whole_G].astype(np.float64)
    held_out_cells = held_out.after_BG[:_MOST_COMPARED][:, whole_G].astype(np.float64)
    # Cells of few different values, as sparse ones are, may be alike by chance.
    held_out_cells = held_out_cells[[len(np.unique(row[row != 0])) >= ROW_VALUES for row in held_out_cells]]
    if whole_G.sum() <= ROW_VALUES or not len(held_out_cells):
        return CheckResult(outcome="not_applicable", message="too few values in each cell to compare distances")
    if sides.shared:
        return open_for_few(len(known))
    if (fewest := min(len(known), len(held_out_cells))) < _FEWEST_NEAR:
        return open_for_few(fewest)
    square_NN = (held_out_cells**2).sum(axis=1)[:, None] + (known**2).sum(axis=1)[None] - 2 * held_out_cells @ known.T
    distance_NN = np.sqrt(np.maximum(square_NN, 0))
    usual = float(np.median(distance_NN))
    nearest = float(np.median(distance_NN.min(axis=1))) / max(usual, 1e-30)
    return verdict(
        good=nearest >= _NEAR,
        message=f"the nearest training cell is {nearest:.2g} times as far from a held-out cell as training cells are",
        next_step="split cells before they are augmented, imputed or smoothed, and give each once",
        statistic=nearest, tolerance=_NEAR, n=len(held_out_cells),
    )  # fmt: skip


def _one_source(probe: Probe) -> CheckResult:
    """The finding where there is one source for both."""
    names = sides_of(probe).names
    seen = np.concatenate(names.codes(probe.sample))
    share = float(np.isin(names.codes(probe.held_out)[1], seen).mean())
    if not share:
        return verdict(
            good=True, message=f"every pass has fresh cells: {len(probe.held_out)} pairs of another pass share none",
            next_step="", statistic=0.0, null=0.0, tolerance=0.0, n=len(probe.held_out),
        )  # fmt: skip
    return CheckResult(
        outcome="not_applicable",
        message=f"there are no held-out pairs, and {share:.0%} of the pairs of another pass have a target cell of "
        f"this one: "
        "the checks split the cells themselves",
        next_step="give held_out=, pairs of cells that training does not see",
        n=len(probe.held_out),
    )


def _same_rows(held_out: PairBatch, training: PairBatch) -> NDArray[np.bool_]:
    """Held-out pairs whose cell after has the very values of a training cell, bool (B,)."""
    known = np.concatenate((row_codes(training.before_BG), row_codes(training.after_BG)))
    same_B = np.isin(row_codes(held_out.after_BG), known)
    for row in np.flatnonzero(same_B):
        values = held_out.after_BG[row]
        same_B[row] = len(np.unique(values[values != 0])) >= ROW_VALUES
    return same_B


@check(
    "GP124",
    "data.partners",
    "Does the cell before carry information on the cell after?",
    cause="data", kind="statistical", needs=("pairs",), explained_by=("data.signal",),
)  # fmt: skip
def partners(probe: Probe) -> CheckResult:
    """Each pair is given another pair's cell before, its own changes of the perturbed genes kept.

    Only a source that declares itself counterfactual, by an attribute ``regime``, can fail: independent cells are the
    rule elsewhere.
    """
    fit = linear_fit(probe)
    if fit is None:
        return CheckResult(outcome="not_applicable", message="no gene is scored in more than a handful of pairs")
    pairs, rng = fit.held_out, probe.rng("partners")
    order_B = rng.permutation(len(pairs))
    other_BG = np.empty_like(pairs.before_BG)
    other_BG[order_B] = pairs.before_BG[np.roll(order_B, 1)]
    control_BG = np.where(pairs.measured_BG, other_BG, np.float32(np.nan))
    worse = errors_of(fit.predictor.predict(control_BG, perturbation_of(pairs)), pairs)
    found = judged(
        fit.without(worse), what="the pair's own cell before rather than another pair's is worth",
        matters="the two cells of a pair are unrelated, though the source declares that they share their noise",
        next_step="check that both members of a pair are picked by the same index", n=len(pairs),
    )  # fmt: skip
    if found.outcome == "pass" or getattr(probe.subject.pairs, "regime", None) == "counterfactual":
        return found
    return CheckResult(
        outcome="not_applicable", message=f"{found.message.split(':')[0]}: right for independent cells, which "
        f"interventional "
        "pairs and matched pairs of one type are", statistic=found.statistic, n=len(pairs),
    )  # fmt: skip


@check(
    "GP125",
    "data.world",
    "Do the pairs follow the world that they are declared to come from?",
    cause="data", kind="statistical", needs=("pairs",),
    explained_by=("data.signal", "data.perturbation", "data.identity", "data.dose", "data.partners"),
)  # fmt: skip
def world(probe: Probe) -> CheckResult:
    """The exact answer's squared error on held-out pairs, against the risk that it states itself."""
    found = exact_errors(probe)
    if found is None:
        return CheckResult(outcome="not_applicable", message="the world that made the pairs is not known: give exact=")
    pairs, answer = found
    scored_BG = pairs.scored_BG
    miss_B = np.where(scored_BG, (answer.mean_BG - pairs.after_BG) ** 2, 0).sum(axis=1)
    risk_B = np.where(scored_BG, answer.variance_BG + answer.standard_error_BG**2, 0).sum(axis=1)
    spread_B = np.where(scored_BG, (pairs.after_BG - pairs.after_BG.mean(axis=0)) ** 2, 0).sum(axis=1)
    next_step = (
        "if the exact answer misses more, something was done to the pairs after they were made, or they belong to "
        "another world; if less, they hold the target"
    )
    if risk_B.sum() <= SOLVED * spread_B.sum():
        share = float(miss_B.sum() / spread_B.sum())
        return verdict(
            good=share <= SOLVED, message=f"the exact answer, which should be right, misses {share:.2g} of the "
            f"variance",
            next_step=next_step, statistic=share, null=0.0, tolerance=SOLVED, n=len(pairs),
        )  # fmt: skip
    ratio = ratio_of(miss_B, risk_B)
    # Two sides, each beyond what its own simulation may be off by.
    p = min(1.0, 2 * min(ratio.p_above(1 + WORLD_SLACK), ratio.p_below(1 - WORLD_SLACK)))
    message = f"the exact answer's error is {ratio.value:.3g} +- {ratio.error:.2g} times the risk that it states"
    return decided(
        p, healthy=message, faulty=f"{message}: these pairs are not of this world", next_step=next_step,
        statistic=ratio.value, null=1.0, n=len(pairs),
    )  # fmt: skip


def exact_errors(probe: Probe) -> tuple[PairBatch, BayesAnswer] | None:
    """Some held-out pairs and the exact answer to them; None where no world is known."""

    def answered(probe: Probe) -> tuple[PairBatch, BayesAnswer] | None:
        if probe.subject.exact is None:
            return None
        pairs = judged_pairs(probe)
        return pairs, probe.subject.exact(pairs)

    return probe.once("exact answer", answered)
