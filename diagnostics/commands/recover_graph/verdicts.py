"""From measured runs to verdicts: did it learn, did the graph come out, did the answer leak in.

The thresholds are fixed here, before any run, and are shares of the way that can be gone at all: from the baseline's
loss to the Bayes risk, and from the base rate's AUPRC to that of the exact law through the same read-out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from diagnostics.architecture.static_limits import CANNOT
from diagnostics.results.check_result import CheckResult
from diagnostics.results.run_record import RunRecord, in_words

if TYPE_CHECKING:
    pass


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """Least shares that pass: of the loss's way to the Bayes risk, and of the AUPRC's way to its ceiling."""

    skill: float
    recovery: float


THRESHOLDS = {
    "counterfactual": Threshold(skill=0.95, recovery=0.95),
    "interventional": Threshold(skill=0.90, recovery=0.90),
    "matched": Threshold(skill=0.80, recovery=0.70),
}
"""Lower where the data say less: the same noise on both sides, fresh noise, correlation alone."""

REAL_THRESHOLD = Threshold(skill=0.50, recovery=0.0)
"""For real cells: share of the way to the best linear predictor; and an AUPRC above its 95 % null."""

LEAK_Z = 4.0
"""Standard errors below the Bayes risk at which a loss proves that the answer leaked into the question."""


def thresholds_text() -> str:
    """What passes, for ``--help`` and the foot of the table."""
    lines = ["what passes, for every seed:"]
    for regime, threshold in THRESHOLDS.items():
        lines.append(
            f"  {regime:<15} skill >= {threshold.skill:.2f}; "
            f"AUPRC >= {threshold.recovery:.0%} of the way to its ceiling"
        )
    lines.append(
        f"  real cells      loss >= {REAL_THRESHOLD.skill:.0%} of the way to the best linear predictor; AUPRC > null"
    )
    lines.append(f"  everywhere      no loss more than {LEAK_Z:g} standard errors below the Bayes risk (a leak)")
    return "\n".join(lines) + "\n"


def recovery(record: RunRecord) -> float:
    """Share of the way from base rate to ceiling that the AUPRC went; 1 where there is no way to go."""
    ceiling = 1.0 if record.ceiling_auprc is None else record.ceiling_auprc
    way = ceiling - record.base_rate
    return (record.auprc - record.base_rate) / way if way > 0 else 1.0


def verdicts(records: Sequence[RunRecord]) -> tuple[CheckResult, ...]:
    """What the architecture rules out, if anything, then three results a regime, each of the seed that did worst."""
    first = _architecture(records)
    results: list[CheckResult] = [] if first is None else [first]
    for regime in dict.fromkeys(record.regime for record in records):
        rows = [record for record in records if record.regime == regime]
        if rows[0].bayes_risk is None:
            results += [_learns_real(rows), _recovers_real(rows)]
        else:
            results += [_leak(regime, rows), _learns(regime, rows), _recovers(regime, rows)]
    return tuple(results)


def _leak(regime: str, rows: Sequence[RunRecord]) -> CheckResult:
    worst = max(rows, key=lambda row: row.leak_z or 0.0)
    z = worst.leak_z or 0.0
    leaks = z > LEAK_Z
    summary = "no loss lies below the Bayes risk beyond sampling error"
    if leaks:
        summary = (
            f"seed {worst.seed}'s loss lies {z:.1f} standard errors below the Bayes risk, which no honest predictor can"
        )
    if leaks and not worst.bayes_is_exact:
        summary += "; but here the Bayes risk is a Monte Carlo answer, which may be too high"
    return CheckResult(
        name=f"{regime}: no leak",
        outcome="pass" if not leaks else "fail" if worst.bayes_is_exact else "inconclusive",
        message=summary,
        next_step="look for the answer among the inputs: masks, targets, held-out pairs seen in training"
        if leaks
        else "",
        statistic=z,
        null=0.0,
        tolerance=LEAK_Z,
        n=worst.n_held_out,
    )


def _learns(regime: str, rows: Sequence[RunRecord]) -> CheckResult:
    threshold = THRESHOLDS[regime].skill
    worst = min(rows, key=lambda row: row.skill or 0.0)
    skill = worst.skill or 0.0
    summary = (
        f"skill {_spread([row.skill or 0.0 for row in rows])} over {_seeds(rows)}, threshold {threshold:.2f}: "
        f"the worst loss, {worst.loss:.4f}, lies between {worst.baseline_loss:.4f}, the input-free baseline, and "
        f"{worst.bayes_risk:.4f}, the exact one; ridge on the same information reaches skill "
        f"{worst.ridge_skill or 0.0:.3f}"
    )
    return CheckResult(
        name=f"{regime}: learns",
        outcome="pass" if skill >= threshold else "fail",
        message=summary,
        next_step="" if skill >= threshold else _why_not(worst),
        statistic=skill,
        null=0.0,
        tolerance=threshold,
        ceiling=1.0,
        baseline=0.0,
        n=len(rows),
        seconds=sum(row.seconds for row in rows),
    )


def _architecture(records: Sequence[RunRecord]) -> CheckResult | None:
    """What the configuration rules out, where some regime was not learnt; None where there is nothing to say."""
    failed = [row for row in records if row.limits and (row.skill or 0.0) < THRESHOLDS[row.regime].skill]
    if not failed:
        return None
    reasons = failed[0].limits
    regimes = list(dict.fromkeys(row.regime for row in failed))
    numbered = "; ".join(f"({i}) {reason}" for i, reason in enumerate(reasons, 1))
    hopeless = any(reason.startswith(CANNOT) for reason in reasons)
    return CheckResult(
        name=f"architecture of preset {failed[0].preset!r}",
        outcome="fail",
        message=f"not learnt: {', '.join(regimes)}. By its configuration the model {numbered}",
        next_step="--preset mixing and --preset default have none of these limits"
        + ("; no learning rate and no patience mend what a model cannot do" if hopeless else ""),
        statistic=float(len(reasons)),
        tolerance=0.0,
        n=len(failed),
    )


def _why_not(record: RunRecord) -> str:
    """What the run's own numbers say about a loss that stayed too high."""
    seen = evidence(record)
    return _next_step(record) + (f". Measured: {'; '.join(seen)}" if seen else "")


def _next_step(record: RunRecord) -> str:
    skill, ridge, late = record.skill or 0.0, record.ridge_skill or 0.0, record.late_gain or 0.0
    if not_getting_through(record):
        cause = "by the limits of its architecture above" if record.limits else "suspect masks or attention"
        return f"the perturbation does not reach the answers, {cause}"
    if record.loss > record.baseline_loss * 1.02:
        return "the loss ended above the baseline: lower --lr, or there are too few pairs and they were memorised"
    if late > 0.02:
        return f"the last fifth of the steps still won {late:.2f} of skill: give it more --steps"
    if skill < 0.05:
        what = f"a linear fit of the same data reaches {ridge:.2f}, so the signal is there: " if ridge > 0.1 else ""
        return f"{what}the loss is flat; suspect the architecture, or a learning rate a decade off, before the data"
    if ridge > skill:
        return f"even ridge does better ({ridge:.2f}), so the signal is there: suspect the architecture or --lr"
    return "it stopped short of what the data hold: try --lr, more --steps, or the preset mixing"


def _recovers(regime: str, rows: Sequence[RunRecord]) -> CheckResult:
    threshold = THRESHOLDS[regime].recovery
    worst = min(rows, key=recovery)
    share = recovery(worst)
    passed = share >= threshold and worst.auprc > worst.null_95
    shd = "" if worst.shd is None else f"; SHD {_spread_int([row.shd or 0 for row in rows])} of {worst.n_true} edges"
    summary = (
        f"AUPRC of {worst.target} edges {_spread([row.auprc for row in rows])} over {_seeds(rows)}, read from "
        f"{in_words(worst.read_out)}; chance gives {worst.base_rate:.2f} (95 % below {worst.null_95:.2f}), the exact "
        f"law {worst.ceiling_auprc if worst.ceiling_auprc is not None else 1.0:.3f}{shd}"
    )
    return CheckResult(
        name=f"{regime}: recovers the graph",
        outcome="pass" if passed else "fail",
        message=summary,
        next_step=""
        if passed
        else "a graph cannot be read from a model that has not learnt: mend the loss first"
        if (worst.skill or 0.0) < THRESHOLDS[regime].skill
        else "the loss is good and the graph is not: compare the other read-outs of the table",
        statistic=share,
        null=(worst.null_95 - worst.base_rate) / max((worst.ceiling_auprc or 1.0) - worst.base_rate, 1e-9),
        tolerance=threshold,
        ceiling=1.0,
        baseline=0.0,
        n=len(rows),
    )


def _learns_real(rows: Sequence[RunRecord]) -> CheckResult:
    worst = min(rows, key=share_of_linear)
    share = share_of_linear(worst)
    passed = share >= REAL_THRESHOLD.skill
    return CheckResult(
        name="matched real cells: learns",
        outcome="pass" if passed else "fail",
        message=f"the loss went {_spread([share_of_linear(row) for row in rows])} of the way from the baseline "
        f"({worst.baseline_loss:.4f}) to the best linear predictor ({linear_loss(worst):.4f}) over {_seeds(rows)}, "
        f"threshold {REAL_THRESHOLD.skill:.2f}; 1 equals it, more beats it",
        next_step="" if passed else "fewer genes or more cells; then a smaller --lr and more --steps",
        statistic=share,
        null=0.0,
        tolerance=REAL_THRESHOLD.skill,
        baseline=0.0,
        n=len(rows),
        seconds=sum(row.seconds for row in rows),
    )


def _recovers_real(rows: Sequence[RunRecord]) -> CheckResult:
    worst = min(rows, key=lambda row: row.auprc - row.null_95)
    passed = worst.auprc > worst.null_95
    return CheckResult(
        name="matched real cells: recovers the data's own graph",
        outcome="pass" if passed else "fail",
        message=f"AUPRC {_spread([row.auprc for row in rows])} against the {worst.target} (chance "
        f"{worst.base_rate:.2f}, "
        f"95 % below {worst.null_95:.2f}), read from {in_words(worst.read_out)}: this graph is one of correlation, "
        "not of cause",
        next_step="" if passed else "the model has not learnt how these genes go together: mend the loss first",
        statistic=worst.auprc,
        null=worst.base_rate,
        tolerance=worst.null_95,
        ceiling=worst.ceiling_auprc,
        baseline=worst.base_rate,
        n=len(rows),
    )


def share_of_linear(record: RunRecord) -> float:
    """Share of the way from the baseline to the best linear predictor that the loss went; 0 where there is no way."""
    way = record.baseline_loss - linear_loss(record)
    return (record.baseline_loss - record.loss) / way if way > 0 else 0.0


def linear_loss(record: RunRecord) -> float:
    """The loss of the best linear predictor: ridge, unless a better one was tried; the baseline where there is none."""
    known = (record.best_linear_loss, record.ridge_loss, record.baseline_loss)
    return next(loss for loss in known if loss is not None)


def _seeds(rows: Sequence[RunRecord]) -> str:
    return f"seed {rows[0].seed}" if len(rows) == 1 else f"{len(rows)} seeds"


def _spread(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"


def _spread_int(values: Sequence[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def not_getting_through(record: RunRecord) -> bool:
    """Whether perturbing one gene hardly moves the answers to others."""
    return record.response_ratio is not None and record.response_ratio < _FAINT


_FAINT = 0.1
"""Share of the exact answer's size below which an answer counts as nearly constant."""


def evidence(record: RunRecord) -> tuple[str, ...]:
    """What the run itself shows of such limits, in its own numbers."""
    seen: list[str] = []
    if record.answer_spread_ratio is not None and record.answer_spread_ratio < _FAINT:
        seen.append(
            f"within a cell the answers to different scored genes spread {record.answer_spread_ratio:.3f} times as "
            "much as the exact ones: the model does not distinguish genes"
        )
    if not_getting_through(record):
        seen.append(
            f"perturbing one gene moves the other genes' answers {record.response_ratio:.3f} times as much as the "
            "exact law: the perturbation does not get through"
        )
    free = 1 - record.mean_loss / record.mean_delta_loss
    if record.skill is not None and record.skill < 0.05 and free > 0.05:
        seen.append(
            f"the loss stands on the plateau of 'mean - x', which explains {free:.0%} of the change's mean square "
            "without the input: a loss that fell that far has learnt nothing yet"
        )
    return tuple(seen)
