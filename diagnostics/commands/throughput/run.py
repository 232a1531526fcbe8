"""What ``throughput`` does with its arguments: open the source, time the rounds, show and write what they say."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostics.cli.ending import finish
from diagnostics.cli.options import named
from diagnostics.cli.progress import Stages
from diagnostics.cli.text import plural
from diagnostics.commands.throughput.command import Request
from diagnostics.commands.throughput.figure import draw_timeline
from diagnostics.commands.throughput.subject import Timed, timed_named
from diagnostics.commands.throughput.text import advice, banded, screen, verdict
from diagnostics.throughput.cpu_use import usable_cores
from diagnostics.throughput.report import OverlapReport, overlap_report
from diagnostics.throughput.rounds import ROWS, StageTimes, stage_times
from gpcp.core.files import to_json


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Measure, show and write; 0 whatever was found.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been written then.
    """
    with request.output.taken("throughput") as out:
        return _timed(request, command_line, out)


def _timed(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    with Stages(len(ROWS) * (request.rounds + 1), quiet=request.output.quiet, coarse=True) as passes:
        timed = timed_named(request)
        times = stage_times(
            timed.ways,
            timed.step,
            n_batches=request.batches,
            n_rounds=request.rounds,
            seed=request.seed,
            device_times=timed.device_times,
            on_pass=passes,
        )
    report = overlap_report(times, usable_cores=usable_cores(), stall_s=request.stall)
    of_cache = named(request.source).startswith("cache:")
    shown = screen(report, title=_title(timed, request), of_cache=of_cache)
    measured = {
        "name": timed.name,
        "device": timed.device,
        "torch_threads": timed.n_threads,
        "seed": request.seed,
        "batch_size": request.batch_size,
        **contents(report, times, of_cache=of_cache),
    }
    last = times.passes["synchronous"][-1], times.passes["prefetched"][-1]
    finish(
        request.output,
        out,
        shown,
        measured,
        files=("report.txt", "results.json"),
        draw=lambda: [draw_timeline(*last, out / "timeline.png", title=timed.name)],
        command_line=command_line,
        start_s=start_s,
    )
    return 0


def _title(timed: Timed, request: Request) -> str:
    where = f"{timed.device}, {plural(timed.n_threads, 'thread')} of torch"
    return f"{timed.name}\n{where}, batches of {request.batch_size} pairs, depth {request.depth}"


def contents(report: OverlapReport, times: StageTimes, *, of_cache: bool) -> dict[str, Any]:
    """What the JSON file holds of the measurement: the figures, the verdict, and every pass with its times."""
    return {
        "report": {
            **to_json(report),
            "band": banded(report.lost),
            "band_prefetched": banded(report.lost_ahead),
            "helps": report.helps,
            "harms": report.harms,
            "least_share": report.least_share,
            "advised_depth": report.advised_depth,
            "advised_workers": report.advised_workers,
            "verdict": verdict(report),
            "advice": list(advice(report, of_cache=of_cache)),
        },
        "granted": list(times.granted),
        "passes": {row: [to_json(one.to_json()) for one in times.passes[row]] for row in ROWS},
    }
