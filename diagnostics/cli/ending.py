"""How a verb ends: it shows what it found, writes it beside what it measured and its figures, and says where."""

import time
from collections.abc import Callable, Mapping, Sequence
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
    files: tuple[str, str],
    draw: Callable[[], Sequence[Path]],
    command_line: Sequence[str],
    start_s: float,
    beside: str = "",
) -> None:
    """Show, write, and say where: what was found is seen though nothing can be written.

    Parameters
    ----------
    output : OutputOptions
    folder : Path
        Of results.
    shown : str
        What the verb says.
    measured : mapping of str to JSON
        What it found; the command, the versions, the figures and the seconds are added.
    files : (str, str)
        Names of the text file and of the JSON file in the folder.
    draw : callable
        Draws the figures into the folder, and whatever else is to lie there; their paths.
    command_line : sequence of str
    start_s : float
        ``time.perf_counter()`` when the verb began.
    beside : str
        What else lies elsewhere.

    Raises
    ------
    OSError
        Something cannot be written.
    """
    show(shown)
    write_text(folder / files[0], shown + "\n")
    drawn, not_drawn = list[str](), None
    try:
        drawn = [path.name for path in draw()]
    except OSError as error:
        # What was measured is smaller than its figures, and may still fit.
        not_drawn = error
    seconds = time.perf_counter() - start_s
    about = {"command": list(command_line), "versions": versions()}
    figures = [name for name in drawn if not name.endswith(".html")]
    content = {**about, **measured, "figures": figures, "seconds": seconds}
    output.keep(folder / files[1], content)
    if not_drawn is not None:
        raise not_drawn
    written = [*files, *drawn]
    print(f"\n{seconds:.0f} s; {', '.join(written[:-1])} and {written[-1]} in {folder}/{beside}")
