"""How a verb ends: what it shows and what it measured are written, the first is shown, and where they lie is said."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diagnostics.cli.options import OutputOptions
from diagnostics.cli.text import show
from diagnostics.results.report import versions
from gpcp.core.files import write_text


def finish(
    output: OutputOptions,
    folder: Path,
    shown: str,
    measured: Mapping[str, Any],
    *,
    files: Sequence[str],
    command_line: Sequence[str],
    start_s: float,
    beside: str = "",
) -> None:
    """Write, show, and say where.

    Parameters
    ----------
    output : OutputOptions
    folder : Path
        Of results.
    shown : str
        What the verb says.
    measured : mapping of str to JSON
        What it found; the command, the versions and the seconds are added.
    files : sequence of str
        Names of the text file and of the JSON file in the folder, then of what was written there before.
    command_line : sequence of str
    start_s : float
        ``time.perf_counter()`` when the verb began.
    beside : str
        What else lies elsewhere.
    """
    text_file, json_file = files[:2]
    seconds = time.perf_counter() - start_s
    content = {"command": list(command_line), "versions": versions(), **measured, "seconds": seconds}
    write_text(folder / text_file, shown + "\n")
    output.keep(folder / json_file, content)
    show(shown)
    print(f"\n{seconds:.0f} s; {', '.join(files[:-1])} and {files[-1]} in {folder}/{beside}")
