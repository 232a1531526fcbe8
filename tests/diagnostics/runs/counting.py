"""Runs that count, for the tests of what carries runs out."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostics.runs.execute import OnStep
from gpcp.core.errors import InputError


@dataclass(frozen=True)
class Counting:
    """Counts to ``n_steps``, and notes in ``folder`` every time that it is carried out."""

    number: int
    folder: str
    n_steps: int = 2
    wait_s: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.number}, {self.n_steps} steps"

    @property
    def name(self) -> str:
        return f"count {self.number}"


def count(run: Counting, on_step: OnStep) -> dict[str, Any]:
    with (Path(run.folder) / f"carried_out_{run.number}").open("a") as file:
        file.write("x")
    for step in range(1, run.n_steps + 1):
        time.sleep(run.wait_s)
        on_step(step, 1 / step)
    return {"key": run.key, "number": run.number, "process": os.getpid()}


def count_or_refuse(run: Counting, on_step: OnStep) -> dict[str, Any]:
    if run.number == 0:
        raise InputError("this run is no good")
    return count(run, on_step)


def count_or_die(run: Counting, on_step: OnStep) -> dict[str, Any]:
    if run.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return count(run, on_step)


def times_carried_out(folder: Path) -> dict[int, int]:
    return {int(path.name.split("_")[-1]): len(path.read_text()) for path in folder.glob("carried_out_*")}
