"""What ``check-screen`` does with its arguments: check, show, and write what was asked for."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostics.audit.screens.doctor import check_screen
from diagnostics.audit.screens.reading import Asked
from diagnostics.audit.screens.tools.behaviour import tool_notes
from diagnostics.audit.screens.tools.rewrite import rewrite
from diagnostics.cli.text import show
from diagnostics.commands.screens.check_screen.command import Request
from diagnostics.commands.screens.check_screen.text import fix_text, shown, tool_text
from diagnostics.results.report import versions
from gpcp.core.files import to_json, write_json


def execute(file: Path, request: Request, command_line: Sequence[str]) -> int:
    """Check, show and write; 1 where a check failed or the tool cannot use the file.

    Raises
    ------
    InputError
        The file cannot be read, or its columns are not recognised.
    """
    start_s = time.perf_counter()
    asked = asked_of(request)
    report = check_screen(file, asked=asked, max_cells=request.max_cells, seed=request.seed)
    show(shown(report, quiet=request.quiet))
    notes = () if request.tool is None else tool_notes(report.screen, request.tool)
    if request.tool is not None:
        show("\n" + tool_text(request.tool, notes))
    changes: tuple[str, ...] = ()
    if request.tool is not None and request.fix is not None:
        changes = rewrite(file, report.screen, request.tool, request.fix)
        show("\n" + fix_text(request.fix, changes))
    found: dict[str, Any] = {"command": list(command_line), "versions": versions(), **report.to_json()}
    if request.tool is not None:
        found |= {"tool": request.tool, "tool_notes": to_json(notes), "changes": list(changes)}
    failed = bool(report.failed) or any(one.effect == "stops" for one in notes)
    if request.json is not None:
        write_json(request.json, {**found, "seconds": time.perf_counter() - start_s})
    return int(failed)


def asked_of(request: Request) -> Asked:
    """What is given of the meaning of columns."""
    return Asked(
        perturbation=request.perturbation,
        control=request.control or None,
        separator=request.separator,
        guide=request.guide,
        dose=request.dose,
        kind=request.kind,
        cell_type=request.cell_type,
        batch=request.batch,
        layer=request.layer,
    )
