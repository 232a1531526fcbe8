"""The report of ``throughput`` in words: its table, its verdict, and what to do."""

from diagnostics.cli.text import fill
from diagnostics.cli.text import table as aligned
from diagnostics.throughput.pass_times import HIGHLY_BOUND, NOT_BOUND, band
from diagnostics.throughput.report import ALONE, OverlapReport, Why
from gpcp.core.intervals import Interval

_SHOWN = {
    "drain": "drain: the loader alone",
    "cached": "cached: the model alone",
    "synchronous": "synchronous training",
    "prefetched": "prefetched training",
}


def seconds(value: float) -> str:
    """A time to three figures, in the unit that suits it."""
    if value >= 1:
        return f"{value:.3g} s"
    return f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.3g} us"


def interval(found: Interval, *, percent: bool = False) -> str:
    """A number with its interval."""
    if percent:
        return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def table(report: OverlapReport) -> str:
    """The four rows, and what a thread that costs nothing would make of them."""
    head = ("", "a batch", "over rounds", "pairs/s", "cores", "idle", "stalls")
    rows = [
        [
            _SHOWN[one.row],
            seconds(one.batch_s),
            f"{seconds(one.fastest_s)} to {seconds(one.slowest_s)}",
            f"{one.pairs_per_s:,.0f}",
            f"{one.cores_used:.2f}",
            "?" if one.idle_cores is None else f"{one.idle_cores:.2f}",
            f"{one.n_stalls:g}" if one.row in ("synchronous", "prefetched") else "-",
        ]
        for one in report.rows
    ]
    n_pairs = report.row("synchronous").pairs_per_s * report.row("synchronous").batch_s
    ideal = f"{n_pairs / report.ideal_s:,.0f}"
    rows.append(["a thread that costs nothing", seconds(report.ideal_s), "(in virtual time)", ideal])
    return aligned(head, rows, align="lrl")


def shares(report: OverlapReport) -> str:
    """What follows from the rows, each with its interval."""
    plain, ahead = report.row("synchronous"), report.row("prefetched")

    def both(name: str, one: Interval, other: Interval) -> list[str]:
        return [name, interval(one, percent=True), interval(other, percent=True)]

    rows = [
        both("wait share", report.wait_share, report.wait_share_ahead),
        both("input-bound share", report.bound_share, report.bound_share_ahead),
    ]
    if report.late_share is not None:
        rows.append(["  making it dense", "", f"{report.late_share:.1%}"])
    rows.append(["first batch", seconds(plain.first_batch_s), seconds(ahead.first_batch_s)])
    rows.append(["longest wait after", seconds(plain.longest_wait_s), seconds(ahead.longest_wait_s)])
    if ahead.device_share is not None and plain.device_share is not None:
        rows.append(["accelerator busy", f"{plain.device_share:.1%}", f"{ahead.device_share:.1%}"])
    hidden = f"{interval(report.efficiency)}: 0 nothing hidden, 1 all that can be"
    if report.little_to_hide:
        hidden = f"not shown: less than {NOT_BOUND:.0%} of the time could be hidden"
    return "\n".join(
        [
            aligned(["", "synchronous", "prefetched"], rows, align="lll"),
            f"overlap efficiency  {hidden}",
            f"time saved          {interval(report.saved, percent=True)}, at most {1 - report.least_share:.1%}",
            f"{report.level:.0%} intervals over {report.n_rounds} rounds of {report.n_batches} batches",
        ]
    )


def verdict(report: OverlapReport) -> str:
    """Whether input limits, whether a thread helps and by how much at most, and whether processors are idle."""
    parts = [
        f"Synchronous training is {banded(report.lost)}: it loses {interval(report.lost, percent=True)} to input "
        f"(below {NOT_BOUND:.0%} not, above {HIGHLY_BOUND:.0%} highly)."
    ]
    most = 1 - report.least_share
    if report.hidden_before.low > 0.1 and not report.little_to_hide:
        parts.append(
            "It takes less than reading and computing one after the other: the source reads ahead by itself, and hides "
            f"{interval(report.hidden_before)} of what can be hidden without another thread."
        )
    if report.helps:
        parts.append(
            f"Reading ahead in a thread helps: it saves {interval(report.saved, percent=True)} of a step's time, where "
            f"at most {most:.1%} could be saved; what is left is {banded(report.lost_ahead)}, "
            f"{interval(report.lost_ahead, percent=True)}."
        )
    elif report.harms:
        cost = -report.saved
        parts.append(
            f"Reading ahead in a thread makes it slower, by {interval(cost, percent=True)}. {_because(report)}"
        )
    else:
        parts.append(
            f"No gain from reading ahead in a thread was shown: {interval(report.saved, percent=True)} of a step's "
            f"time, where at most {most:.1%} could be saved. {_because(report)}"
        )
    return "\n".join(fill(part) for part in [*parts, _cores(report)])


def banded(lost: Interval) -> str:
    """The band of a share, or both bands that the ends of its interval are in."""
    least, most = band(lost.low), band(lost.high)
    return most if least == most else f"between {least} and {most}"


def _because(report: OverlapReport) -> str:
    text_of: dict[Why, str] = {
        "uneven": "More seems to be gained than a thread can hide: it was the machine that changed.",
        "small": "Input is too small a part of the time for a thread to matter.",
        "saturated": "The processors are taken: reading computes, and there is none left for it to compute on while "
        "the model trains.",
        "lock": "Reader and model both compute, and though a processor is free they hardly ran at once: they compete "
        "for Python's interpreter lock.",
        "undecided": "The rounds differ by more than there is to gain: measure more of them, or more batches.",
    }
    if report.harms and report.why == "undecided":
        return "Nothing that was measured says why."
    return "" if report.why is None else text_of[report.why]


def _cores(report: OverlapReport) -> str:
    plain, ahead = report.row("synchronous"), report.row("prefetched")
    others = (
        ""
        if report.granted >= ALONE
        else (f" Others compete for them: a thread that only computes was given {report.granted:.0%} of its time.")
    )
    known = "" if report.free_known else " (what this process leaves; what others use is not known here)"
    has = "has free capacity" if report.free_cores >= 0.5 else "has no free capacity worth speaking of"
    return (
        f"The CPU {has}: {report.free_cores:.2f} of {report.usable_cores:g} usable cores were idle while the model "
        f"trained on a cached batch{known}. This process used {plain.cores_used:.2f} in synchronous training and "
        f"{ahead.cores_used:.2f} in prefetched.{others}"
    )


def advice(report: OverlapReport, *, of_cache: bool = False) -> tuple[str, ...]:
    """What to do, the most useful first; ``of_cache`` says that a panel cache is read already."""
    data, model = report.row("drain"), report.row("cached")
    found: list[str] = []
    if report.little_to_hide or report.lost.value < NOT_BOUND:
        return ("leave the input as it is: a faster model step is all that would make training faster",)
    if report.helps:
        found.append(
            f"read ahead: Prefetched(pairs, depth={report.advised_depth}); {report.advised_depth} batches last "
            f"{seconds(report.advised_depth * model.batch_s)} of steps, and the longest read took "
            f"{seconds(report.longest_read_s)} (measured here with depth={report.depth})"
        )
    elif report.why == "saturated":
        found.append(
            "do not add threads or workers on these processors: give the run more cores, or make input cheaper"
        )
    elif report.why == "lock":
        found.append(
            f"read in processes instead: DataLoader(PairDataset(...), batch_size=None, "
            f"num_workers={report.advised_workers})"
        )
    elif report.why in ("undecided", "uneven") and not report.harms:
        found.append(f"measure again with more than {report.n_rounds} rounds, or more than {report.n_batches} batches")
    if report.advised_workers > 1 and report.why != "lock":
        found.append(
            f"reading takes {data.batch_s / model.batch_s:.1f} times as long as a step: "
            f"{report.advised_workers} workers (DataLoader over PairDataset, num_workers={report.advised_workers}) "
            "would come nearer to the model's pace, where the source can skip to a batch"
        )
    if not of_cache and (data.batch_s > model.batch_s or (report.why == "saturated" and not report.little_to_hide)):
        found.append(
            "make reading cheaper: gpcp.sources.cache.build.cached(cells, folder) keeps the panel's values on disk, "
            "once"
        )
    late = report.late_share
    if report.helps and late is not None and late > NOT_BOUND and report.free_cores >= 0.5:
        found.append(
            f"try --dense-ahead: {late:.0%} of prefetched training is spent making batches dense in the model's thread"
        )
    if report.row("drain").first_batch_s > 5 * report.longest_read_s:
        found.append(
            f"the first batch took {seconds(data.first_batch_s)}, the longest after it "
            f"{seconds(report.longest_read_s)}: if the source reads in blocks, {report.n_batches} batches may hold "
            "only one; see whether more of them change the depth"
        )
    return tuple(found) or ("nothing that was measured here recommends a change",)


def screen(report: OverlapReport, *, title: str, of_cache: bool = False) -> str:
    """All that the command prints of what it measured."""
    todo = [fill(one, first="- ", indent="  ") for one in advice(report, of_cache=of_cache)]
    return "\n\n".join([title, table(report), shares(report), verdict(report), "\n".join(["To do", *todo])])
