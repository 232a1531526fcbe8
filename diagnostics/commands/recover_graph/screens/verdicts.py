"""From runs on a screen to verdicts: did it learn, was the graph recovered where one is known, did the answer leak."""

from collections.abc import Sequence

from diagnostics.commands.recover_graph.verdicts import LEAK_Z, REAL_THRESHOLD, THRESHOLDS
from diagnostics.results.check_result import CheckResult
from diagnostics.runs.store import Record

_THRESHOLD = THRESHOLDS["interventional"]
"""Of a screen whose world is known: perturbed cells are others than the controls, as there."""


def screen_verdicts(records: Sequence[Record]) -> tuple[CheckResult, ...]:
    """A result each, of the seed that did worst."""
    found = [] if records[0]["bayes_risk"] is None else [_leak(records)]
    return (*found, _learns(records), _recovers(records))


def _leak(records: Sequence[Record]) -> CheckResult:
    worst = max(records, key=lambda record: record["leak_z"] or 0.0)
    z = float(worst["leak_z"] or 0.0)
    leaks = z > LEAK_Z
    message = f"the lowest loss lies {max(z, 0.0):.1f} standard errors below that of the exact answer for names alone"
    return CheckResult(
        name="screen: no leak",
        outcome="inconclusive" if leaks else "pass",
        message=message + ("; that answer is of simulated cells, and may be too high" if leaks else ""),
        next_step="look for the answer among the inputs: columns, controls that are perturbed cells" if leaks else "",
        statistic=z,
        null=0.0,
        tolerance=LEAK_Z,
        n=worst["n_held_out"],
    )


def _learns(records: Sequence[Record]) -> CheckResult:
    exact = records[0]["bayes_risk"] is not None
    name = "skill" if exact else "share_of_linear"
    threshold = _THRESHOLD.skill if exact else REAL_THRESHOLD.skill
    shares = [float(record[name] or 0.0) for record in records]
    worst = min(records, key=lambda record: record[name] or 0.0)
    passed = min(shares) >= threshold
    best = "ridge on names, which could not be fitted"
    if exact or worst["ridge_loss"] is not None:
        known = ("bayes_risk", "the exact answer for names alone") if exact else ("ridge_loss", "ridge on names")
        best = f"{worst[known[0]]:.4f}, {known[1]}"
    late = float(worst["late_gain"] or 0.0)
    more = f"the last fifth of the steps still won {late:.2f} of the way: more --steps" if late > 0.02 else ""
    return CheckResult(
        name="screen: learns",
        outcome="pass" if passed else "fail",
        message=f"the loss went {_span(shares)} of the way from {worst['baseline_loss']:.4f}, the input-free baseline, "
        f"to {best}; threshold {threshold:.2f}",
        next_step="" if passed else more or "more cells of each perturbation, fewer genes, or another --learning-rate",
        statistic=min(shares),
        null=0.0,
        tolerance=threshold,
        baseline=0.0,
        n=len(records),
        seconds=sum(float(record["seconds"]) for record in records),
    )


def _recovers(records: Sequence[Record]) -> CheckResult:
    first = records[0]
    if first["auprc"] is None:
        return CheckResult(
            name="screen: recovers the graph",
            outcome="not_applicable",
            message=f"no graph is known of this screen: the responses to {first['n_perturbations']} perturbations were "
            "read out, and none of them is scored; a screen of `gpcp make-screen` or `spike-screen` holds its graph",
            n=len(records),
        )
    shares = [_share(record) for record in records]
    worst = records[shares.index(min(shares))]
    passed = min(shares) >= _THRESHOLD.recovery and worst["auprc"] > worst["null_95"]
    ceiling = worst["ceiling_auprc"]
    exact = "" if ceiling is None else f", the exact law {ceiling:.3f}"
    return CheckResult(
        name="screen: recovers the graph",
        outcome="pass" if passed else "fail",
        message=f"AUPRC of {worst['target']} {_span([float(record['auprc']) for record in records])}; chance gives "
        f"{worst['base_rate']:.2f} (95 % below {worst['null_95']:.2f}), mean responses of the training cells "
        f"{worst['measured_auprc']:.3f}{exact}",
        next_step="" if passed else "more cells of each perturbation: small effects are lost in the noise of few",
        statistic=min(shares),
        null=0.0,
        tolerance=_THRESHOLD.recovery,
        ceiling=1.0,
        baseline=0.0,
        n=len(records),
    )


def _share(record: Record) -> float:
    """Share of the way from chance to the ceiling that the AUPRC went; 1 where there is no way to go."""
    ceiling = 1.0 if record["ceiling_auprc"] is None else float(record["ceiling_auprc"])
    way = ceiling - float(record["base_rate"])
    return (float(record["auprc"]) - float(record["base_rate"])) / way if way > 0 else 1.0


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"
