"""Time that an accelerator is busy with steps, by its own events."""

from collections.abc import Callable
from typing import Any, final

import torch

DEVICES = ("auto", "cpu", "cuda")


@final
class DeviceClock:
    """Records the beginning and the end of every step on the stream that computes, on CUDA."""

    def __init__(self) -> None:
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def around(self, step: Callable[[Any], object]) -> Callable[[Any], object]:
        """The same step between two events; it still returns only when the work is done, if it did so before."""

        def timed(batch: Any) -> object:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            output = step(batch)
            end.record()
            self._events.append((begin, end))
            return output

        return timed

    def seconds(self) -> float:
        """Seconds of all steps since it was last asked; waits until the last of them is done.

        What the device idles within a step, waiting for the program to launch more, counts as busy.
        """
        torch.cuda.synchronize()
        total_ms = sum(begin.elapsed_time(end) for begin, end in self._events)
        self._events.clear()
        return total_ms / 1e3
