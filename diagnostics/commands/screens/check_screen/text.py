"""What ``check-screen`` shows: how the file was read, a line a check, and what to do about each that failed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from diagnostics.audit.screens.doctor import ScreenReport
from diagnostics.audit.screens.tools.note import ToolNote
from diagnostics.cli.text import plural, wrap
from diagnostics.results.check_result import CheckResult

_SHOWN = {"pass": "ok", "fail": "FAIL", "inconclusive": "open", "not_applicable": "n/a", "error": "ERROR"}
_EFFECT = {"stops": "STOPS", "silent": "silently", "fine": "fine"}


def shown(report: ScreenReport, *, quiet: bool = False) -> str:
    """All that is printed of a report; ``quiet`` leaves out what passed or does not apply."""
    screen = report.screen
    head = (
        f"{screen.name}: {len(screen):,} cells x {len(screen.gene_G):,} genes, {len(screen.n_of):,} perturbations, "
        f"{int(screen.control_N.sum()):,} controls"
    )
    lines = [*wrap(head), *wrap(f"read as: {screen.columns.summary}", indent="  ")]
    lines += [line for note in screen.notes for line in wrap(f"note: {note}", indent="  ")]
    kept = [one for one in report.results if not quiet or one.outcome in ("fail", "error")]
    return "\n".join([*lines, "", *(line for one in kept for line in _lines(one)), "", verdict(report.results)])


def _lines(result: CheckResult) -> list[str]:
    lines = wrap(f"{_SHOWN[result.outcome]:<5} {result.code} {result.name}: {result.message}", indent=" " * 6)
    if result.outcome in ("fail", "error"):
        lines += wrap(f"      next step: {result.next_step}", indent=" " * 8)
    return lines


def tool_text(tool: str, notes: Sequence[ToolNote]) -> str:
    """What a tool does with the file, what stops it first."""
    ordered = sorted(notes, key=lambda one: ("stops", "silent", "fine").index(one.effect))
    lines = [f"what {tool} does with this file, as its source was read:"]
    for one in ordered:
        lines += wrap(f"{_EFFECT[one.effect]:<8} {one.text}", indent=" " * 9)
    if not any(one.effect == "stops" for one in notes):
        lines.append("it reads the file")
    return "\n".join(lines)


def fix_text(out: Path, changes: Sequence[str]) -> str:
    """What was changed in the file that was written."""
    return "\n".join([f"written to {out}:", *(line for one in changes for line in wrap(f"  {one}", indent="    "))])


def verdict(results: Sequence[CheckResult]) -> str:
    """The last line: how many checks failed, and which."""
    n_of = Counter(one.outcome for one in results)
    named = ", ".join(one.name for one in results if one.outcome == "fail")
    rest = f"{n_of['pass']} ok, {n_of['inconclusive']} open, {n_of['not_applicable']} not applicable"
    rest += f", {plural(n_of['error'], 'error')}" if n_of["error"] else ""
    if not n_of["fail"]:
        return f"nothing was found: {rest}"
    return "\n".join(wrap(f"{plural(n_of['fail'], 'check')} failed: {named}; {rest}"))
