"""What the selftest found: the sensitivity matrix, and rates with their intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpcp.core.intervals import binomial_interval

if TYPE_CHECKING:
    from diagnostics.faults.fault import Fault

Record = dict[str, Any]
_FAMILIES = ("data", "loss", "architecture", "optimiser", "learning")
_LEAST_ALARMS, _LEAST_NAMED, _MOST_FALSE = 0.98, 0.90, 0.01


def _rate(found: Sequence[bool]) -> dict[str, Any]:
    rate = binomial_interval(sum(found), len(found))
    return {
        "n_found": sum(found),
        "n": rate.n,
        "share": rate.value if found else None,
        "interval": [rate.low, rate.high],
    }


def figures(records: Sequence[Record], faults: "Mapping[str, Fault]") -> dict[str, Any]:
    """Rates of alarms, of right first diagnoses and causes, of false alarms, and of what the habits would find."""
    faulty = [one for one in records if one["fault"] and not faults[one["fault"]].equivalent]
    asked = [one for one in faulty if "overfits" in one]
    healthy = [one for one in records if not one["fault"]]
    right = [one["diagnosis"] in faults[one["fault"]].expected for one in faulty]
    return {
        "alarm": _rate([bool(one["failed"]) for one in faulty]),
        "right first diagnosis": _rate(right),
        "right cause": _rate([one["cause"] == faults[one["fault"]].cause for one in faulty]),
        "healthy subjects that alarm": _rate([bool(one["failed"]) for one in healthy]),
        "equivalent faults that alarm": _rate(
            [bool(one["failed"]) for one in records if one["fault"] and faults[one["fault"]].equivalent]
        ),
        "found by overfitting one batch": _rate([not one["overfits"] for one in asked]),
        "found by beating a constant": _rate([not one["beats"] for one in asked]),
        "found by either habit": _rate([not (one["overfits"] and one["beats"]) for one in asked]),
        "healthy subjects that a habit rejects": _rate(
            [not (one["overfits"] and one["beats"]) for one in healthy if "overfits" in one]
        ),
    }


def met(found: Mapping[str, Any]) -> bool:
    """Whether the aims are met by what was run."""
    alarm, right, false = (
        found[name]["share"] for name in ("alarm", "right first diagnosis", "healthy subjects that alarm")
    )
    return (
        (alarm is None or alarm >= _LEAST_ALARMS)
        and (right is None or right >= _LEAST_NAMED)
        and (false is None or false <= _MOST_FALSE)
    )


def markdown(records: Sequence[Record], faults: "Mapping[str, Fault]") -> str:
    """The matrix of faults and families (runs in which a family fails), and the rates below it."""
    lines = [f"| fault | runs | {' | '.join(_FAMILIES)} | right | first diagnosis |", "|---|" + "---|" * 8]
    for name, one in faults.items():
        runs = [record for record in records if record["fault"] == name]
        if not runs:
            continue
        counts = [sum(any(f.startswith(f"{family}.") for f in run["failed"]) for run in runs) for family in _FAMILIES]
        if one.equivalent:
            n_right = sum(not run["failed"] for run in runs)
        else:
            n_right = sum(run["diagnosis"] in one.expected for run in runs)
        named = ", ".join(sorted({str(run["diagnosis"] or "none") for run in runs}))
        shown = f"{name} (equivalent)" if one.equivalent else name
        lines.append(f"| {shown} | {len(runs)} | {' | '.join(str(n or '') for n in counts)} | {n_right} | {named} |")
    lines += ["", "| | of | share | 95 % interval |", "|---|---|---|---|"]
    for name, rate in figures(records, faults).items():
        if rate["n"]:
            low, high = rate["interval"]
            lines.append(
                f"| {name} | {rate['n_found']} of {rate['n']} | {rate['share']:.1%} | {low:.1%} .. {high:.1%} |"
            )
    for one in records:
        if not one["fault"] and one["failed"]:
            lines.append(f"\nfalse alarm: {one['subject']}: {', '.join(one['failed'])}")
    return "\n".join(lines) + "\n"
