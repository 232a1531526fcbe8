"""What a person sees while a command goes through its stages: a bar on a terminal, else a line for each."""

import sys
import time
from typing import Any, Self, TextIO, final


@final
class Stages:
    """Called with the name of each stage as it begins.

    Parameters
    ----------
    n_stages : int
    quiet : bool
        Nothing at all.
    coarse : bool
        Where there is no terminal, stages whose names are the same up to a colon have one line.
    stream : file, optional
        Stderr by default.
    """

    def __init__(
        self, n_stages: int, *, quiet: bool = False, coarse: bool = False, stream: TextIO | None = None
    ) -> None:
        from tqdm import tqdm

        self._stream = sys.stderr if stream is None else stream
        self._quiet, self._coarse, self._last = quiet, coarse, ""
        self._start_s = time.perf_counter()
        self._bar: tqdm[Any] = tqdm(
            total=n_stages,
            file=self._stream,
            disable=quiet or not self._stream.isatty(),
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {bar} {elapsed}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._bar.close()

    def __call__(self, stage: str) -> None:
        """Begin a stage."""
        self._bar.update(1)
        part = stage.partition(":")[0] if self._coarse else stage
        if self._quiet:
            return
        if self._stream.isatty():
            self._bar.set_description_str(stage)
        elif part != self._last:
            print(f"{time.perf_counter() - self._start_s:5.0f} s  {part}", file=self._stream, flush=True)
        self._last = part
