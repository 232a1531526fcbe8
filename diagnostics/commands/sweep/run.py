"""What ``sweep`` does with its arguments: plan, run here or in several workers, show and write.

Workers are given the command's request and make everything anew from them, as another machine does.
"""

import json
import platform
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import torch

from diagnostics.cli.app import INTERRUPTED
from diagnostics.cli.ending import finish
from diagnostics.cli.options import n_workers, named, pairs_asked
from diagnostics.cli.progress import Progress
from diagnostics.commands.sweep.advice import RateAdvice, advise, named_losses
from diagnostics.commands.sweep.command import Request
from diagnostics.commands.sweep.figures import draw_all
from diagnostics.commands.sweep.table import sweep_table
from diagnostics.runs.workers import engine
from gpcp.core.errors import InputError
from gpcp.core.perturbations import perturbations_of
from gpcp.model.config import preset
from gpcp.opening.pairs import OpenedPairs, SplitPairs, split_pairs
from gpcp.opening.stamps import shared_stamp_of, stamp_of
from gpcp.panels.panel_file import read_genes
from gpcp.search.result import RATE, result_of
from gpcp.search.space import Hyperparameter, Space, Value, configs_of, hyperparameter_of, settings_of, usual_space
from gpcp.search.storage import SweepStore
from gpcp.search.sweep import SweepConfig, planned, sample_of, work, work_on_one
from gpcp.search.trial import Task
from gpcp.training.config import FitConfig

EPOCH_PAIRS = 8_192
JOURNAL = "sweep.journal"
_ADVICE = "_rates"
_WIDER = 10**0.5
"""How far beyond the range test's usable rates the sweep looks: its edges should be seen to be worse."""


def execute(request: Request, command_line: Sequence[str], out: Path) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained then.
    """
    # Commands that are given one storage share its trials.
    alone = request.output.taken("sweep") if request.storage is None else nullcontext()
    with alone:
        return _swept(request, command_line, out)


def _swept(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    quiet = request.output.quiet
    workers = n_workers(request.workers)
    storage = request.storage or str(out / JOURNAL)
    with _threads(request.threads):
        job = job_of(request, storage, say=not quiet, fresh=request.fresh)
        try:
            with _Progress(job.store, job.task, quiet=quiet) as progress:
                if workers == 1 and request.scheduler is None:
                    work(job.store, job.task, request.seed, on_seed=progress.shown)
                else:
                    _work_elsewhere(request, storage, workers, job, progress)
        except KeyboardInterrupt:
            left = job.store.n_left()
            print(f"\nsweep: interrupted, {left} trials left; the same command goes on from here", file=sys.stderr)
            return INTERRUPTED
    result = result_of(job.store, job.task.space)
    shown = f"{job.title}\n\n{sweep_table(result)}"
    finish(
        request.output,
        out,
        shown,
        result.to_json(),
        files=("table.txt", "sweep.json"),
        draw=lambda: draw_all(result, out),
        command_line=command_line,
        start_s=start_s,
        beside=f"; trials in {job.store.place}",
    )
    return 0 if result.finished or result.n_unfinished else 1


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Job:
    """A planned sweep.

    Parameters
    ----------
    store : SweepStore
    task : Task
    title : str
        What is swept, in words.
    """

    store: SweepStore
    task: Task
    title: str


def job_of(request: Request, storage: str, *, say: bool, fresh: bool = False) -> Job:
    """Everything that the arguments name, made; the sweep planned where it is not, or anew where ``fresh``.

    Raises
    ------
    InputError
        A name is unknown, parts do not fit together, or the storage holds another sweep of this name.
    """
    varied = [hyperparameter_of(text) for text in request.over]
    opened = pairs_asked(request.source, request.pairs, max_cells=request.max_cells, seed=request.seed)
    split = split_pairs(opened, n_held_out=request.held_out, seed=request.seed)
    config = _config(request, split)
    base = settings_of(request.set)
    chosen = preset(request.preset, len(split.training.vocab), perturbations_of(split.training))
    model, fit = configs_of(base, chosen, FitConfig(accelerator=accelerator()))
    space = Space(varied or [one for one in usual_space().values() if one.name not in base], model, fit)
    if fresh:
        # Only now: what was asked is known to be good, and a slip in it loses no sweep.
        Path(storage).unlink(missing_ok=True)
    store = SweepStore(storage, request.name)
    kept = store.settings()
    advice, levels = None, dict[str, float]()
    if kept is None:
        _say(say, "the losses to compare with: baseline, ridge, the exact answer")
        levels = named_losses(sample_of(split.training, config), split.held_out, opened.exact)
        if not request.no_range_test and RATE in space.names:
            _say(say, "the learning-rate range test")
            advice = advise(space.model, space.fit, split.training, request.seed)
    elif _ADVICE in kept:
        advice = RateAdvice.from_json(kept[_ADVICE])
    about = {**_about(request), "_name": opened.name}
    if advice is not None:
        _say(say, advice.summary)
        about[_ADVICE] = advice.to_json()
        if RATE not in [text.partition("=")[0] for text in request.over if "=" in text]:
            space = _about_the_usable(space, advice)
    first = [] if advice is None else _first(advice)
    task = planned(store, split.training, split.held_out, space, config, first=first, levels=levels, about=about)
    return Job(store=store, task=task, title=_title(opened, task, config, advice, split))


def _config(request: Request, split: SplitPairs) -> SweepConfig:
    epoch_pairs = request.epoch_pairs or min(EPOCH_PAIRS, split.training.n_pairs or EPOCH_PAIRS)
    return SweepConfig(
        n_trials=request.trials,
        n_seeds=request.n_seeds,
        n_epochs=request.epochs,
        epoch_pairs=epoch_pairs,
        n_spread=request.spread,
        seed=request.seed,
    )


def _about(request: Request) -> dict[str, Any]:
    """What else decides the trials: a sweep goes on only where it is the same."""
    options, text = request.source.given(), named(request.source)
    about = {
        "source": text,
        # Copies of one source on several machines have other dates.
        "files": (shared_stamp_of if "://" in str(request.storage) else stamp_of)(text, **options),
        "options": {name: options[name] for name in sorted(options)},
        "pairs": {
            **{name: getattr(request.pairs, name) for name in ("regime", "n_perturbed", "match_on", "differ_on")},
            "max_cells": request.max_cells,
        },
        "held out": request.held_out,
        "panel": None if request.source.genes is None else list(read_genes(request.source.genes)),
    }
    # As the storage keeps it, where a tuple is a list.
    return json.loads(json.dumps(about))


def _about_the_usable(space: Space, advice: RateAdvice) -> Space:
    """The space with its learning rates about those that the range test found usable."""
    low, high = advice.usable
    wider = Hyperparameter(name=RATE, low=low / _WIDER, high=high * _WIDER, log=True)
    return Space([wider if one.name == RATE else one for one in space.hyperparameters], space.model, space.fit)


def accelerator() -> str:
    """What Lightning Fabric takes by itself: a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _title(opened: OpenedPairs, task: Task, config: SweepConfig, advice: RateAdvice | None, split: SplitPairs) -> str:
    lines = [
        f"sweep over {', '.join(task.space.names)}: {opened.name}, {len(split.training.vocab)} genes",
        *filter(None, [opened.provenance]),
        f"{config.n_trials} trials x {config.n_seeds} seeds x {config.n_epochs} epochs of {config.epoch_pairs:,} "
        f"pairs; judged by {len(split.held_out):,} held-out pairs ({split.summary})",
    ]
    return "\n".join(lines if advice is None else [*lines, advice.summary])


def _first(advice: RateAdvice) -> list[Mapping[str, Value]]:
    """The base configuration at the rate that is suggested, and at both ends of what is usable."""
    rates = dict.fromkeys((advice.suggestion, *advice.usable))
    return [{RATE: float(rate)} for rate in rates]


def _say(say: bool, text: str) -> None:
    if say:
        print(f"sweep: {text}", file=sys.stderr, flush=True)


@contextmanager
def _threads(n_threads: int) -> Generator[None]:
    """So many threads of torch as were asked for, for as long as the command lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@final
class _Progress:
    """Trials done and left, and the best loss so far; the trials of all workers count."""

    def __init__(self, store: SweepStore, task: Task, *, quiet: bool) -> None:
        self._store, self._task, self._quiet = store, task, quiet
        self._progress = Progress("sweep", len(store.trials()), unit="trials", quiet=quiet)

    def __enter__(self) -> "_Progress":
        self._shown(found=True)
        self._progress.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self.shown()
        self._progress.__exit__(*ended)

    def shown(self) -> None:
        """Bring the count up to date."""
        self._shown(found=False)

    def _shown(self, *, found: bool) -> None:
        if self._quiet:
            return
        result = result_of(self._store, self._task.space)
        best = result.best
        skill = None if best is None else result.skill(best.loss)
        words = "" if best is None else f"best loss {best.loss:.4g}{'' if skill is None else f', skill {skill:.3f}'}"
        counts = {name: sum(row.outcome == name for row in result.rows) for name in ("worse", "flat", "diverged")}
        note = ", ".join(part for part in (words, *(f"{n} {name}" for name, n in counts.items() if n)) if part)
        self._progress.reach(len(result.rows) - result.n_unfinished, note, found=found)


def _work_elsewhere(request: Request, storage: str, n_workers: int, job: Job, progress: _Progress) -> None:
    """Have workers claim a trial in each task, until none is left; what one leaves that dies, this process does."""
    # A worker on another machine may run in another folder.
    asked = replace(request, storage=storage if "://" in storage else str(Path(storage).resolve()))
    n_left, n_lost, begun_ns = job.store.n_left(), 0, time.time_ns()
    if n_left:
        with engine(min(n_workers, n_left), request.scheduler) as started:
            futures = [started.executor.submit(_claim_one, asked, begun_ns) for _ in range(n_left)]
            n_lost = sum(died for _, died in started.as_ended(futures, progress.shown))
    if n_lost:
        print(f"sweep: workers died with {n_lost} trials, which this process does", file=sys.stderr)
    work(job.store, job.task, request.seed, on_seed=progress.shown)


def _claim_one(request: Request, begun_ns: int) -> None:
    """In a worker: the next trial that no other runs."""
    storage = str(request.storage)
    if "://" not in storage and not Path(storage).is_file():
        raise InputError(
            f"the worker on {platform.node()} does not find the sweep's journal {storage}: give a --storage that every "
            "worker reaches, a journal on a disk that they share or the address of a database"
        )
    with _threads(request.threads):
        job = _job_here(request, begun_ns)
        work_on_one(job.store, job.task, request.seed)


@lru_cache(maxsize=1)
def _job_here(request: Request, begun_ns: int) -> Job:
    """In a worker: the whole job made anew from the command's request, once for all its trials of one command."""
    del begun_ns  # A cluster's workers outlive the command: its next one may begin the same sweep anew.
    return job_of(request, str(request.storage), say=False)
