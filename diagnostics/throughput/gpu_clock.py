"""How long an accelerator is busy with steps, by its own events: the program's clock sees only when it waits.

No dimension key: nothing here is an array.
"""

from collections.abc import Callable
from typing import Any, final

import torch

DEVICES = ("auto", "cpu", "cuda")


@final
class DeviceClock:
    """Marks the beginning and the end of every step on the stream that computes, on CUDA."""

    def __init__(self) -> None:
        self._thresholds: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def around(self, step: Callable[[Any], object]) -> Callable[[Any], object]:
        """The same step, marked; it still returns only when the work is done, if it did so before."""

        def marked(batch: Any) -> object:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            said = step(batch)
            end.record()
            self._thresholds.append((begin, end))
            return said

        return marked

    def seconds(self) -> float:
        """Seconds of all steps since it was last asked; waits until the last of them is done.

        What the device idles within a step, waiting for the program to launch more, counts as busy.
        """
        torch.cuda.synchronize()
        total_ms = sum(begin.elapsed_time(end) for begin, end in self._thresholds)
        self._thresholds.clear()
        return total_ms / 1e3
