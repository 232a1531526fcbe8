"""The table of ``audit``: one row a number, one column a panel, the null beside them."""

from collections.abc import Callable, Sequence

from diagnostics.audit.audit import PanelAudit
from diagnostics.audit.decomposition import CHANGE, CONTEXTS, DEPTH, FREE, REGRESSION, REMAINS
from diagnostics.audit.verdicts import findings, percent, verdict
from diagnostics.cli.text import table as aligned
from diagnostics.cli.text import wrap
from gpcp.core.intervals import Interval

_Row = tuple[str, Callable[[PanelAudit], str], str]


def screen(audits: Sequence[PanelAudit], *, title: str) -> str:
    """All that the command prints of its results: what was audited, the table, the verdicts."""
    blocks = [_header(audits, title), table(audits), *(_verdicts(audit) for audit in audits)]
    return "\n\n".join(blocks)


def table(audits: Sequence[PanelAudit]) -> str:
    """Every number with its 95 % interval, and its null."""
    rows: list[list[str]] = []
    for title, found in _sections(audits):
        rows += [[""], [title]]
        rows += [[f"  {name}", *(show(audit) for audit in audits), null] for name, show, null in found]
    return aligned(["", *(audit.name for audit in audits), "null"], rows)


def _sections(audits: Sequence[PanelAudit]) -> list[tuple[str, list[_Row]]]:
    names = list(dict.fromkeys(name for audit in audits if audit.parts for name in audit.parts.share_of))
    return [
        ("size", _size()),
        ("entries: a gene of a pair each", _entries()),
        ("parts of delta^2, in this order", [_part_row(name) for name in _ordered(names)]),
        ("beside the parts", _beside()),
        ("delta^2 and Jaccard by partner", _partners()),
        ("loss on held-out cells", _losses(audits)),
    ]


def _size() -> list[_Row]:
    return [
        ("genes", lambda a: f"{a.n_genes:,}", ""),
        ("pairs", lambda a: f"{a.n_pairs:,}", ""),
        ("mean delta^2 of scored entries", lambda a: "0" if a.parts is None else _number(a.parts.mean_square), ""),
    ]


def _entries() -> list[_Row]:
    return [
        ("measured in both, of all", lambda a: percent(a.entries.measured), ""),
        ("expressed in both, of scored", lambda a: percent(a.entries.both), ""),
        ("expressed in one", lambda a: percent(a.entries.one), ""),
        ("expressed in neither", lambda a: percent(a.entries.neither), ""),
        ("  in neither by chance", lambda a: f"{a.entries.neither_by_chance:.0%}", ""),
        ("genes never expressed", lambda a: str(a.entries.n_silent), ""),
    ]


def _ordered(names: Sequence[str]) -> list[str]:
    return [name for name in (CHANGE, *CONTEXTS, DEPTH, REGRESSION, REMAINS) if name in names]


def _part_row(name: str) -> _Row:
    null = {REGRESSION: "half of the rest", REMAINS: "half of the rest"}.get(name, "0 %")
    return (name, lambda a: "-" if a.parts is None or name not in a.parts.share_of else _part(a, name), null)


def _part(audit: PanelAudit, name: str) -> str:
    return "-" if audit.parts is None else percent(audit.parts.share_of[name])


def _beside() -> list[_Row]:
    return [
        (
            "before alone predicts (free)",
            lambda a: "-" if a.parts is None else percent(a.parts.before_alone),
            f"{FREE:.0%}",
        ),
        ("counting noise at half depth", lambda a: _maybe(a.noise.half_depth), "100 %"),
        ("counting noise at full, by a model", lambda a: _maybe(a.noise.full_depth), "100 %"),
    ]


def _partners() -> list[_Row]:
    return [
        ("as paired", lambda a: _both(a.partners.square_chosen, a.partners.jaccard_chosen), ""),
        ("random, same key", lambda a: _both(a.partners.square_same_key, a.partners.jaccard_same_key), ""),
        ("random, any key", lambda a: _both(a.partners.square_any_key, a.partners.jaccard_any_key), ""),
        ("the key takes away", lambda a: percent(a.partners.key_buys), "0 %"),
        ("the choice within it takes away", lambda a: percent(a.partners.choice_buys), "0 %"),
    ]


def _losses(audits: Sequence[PanelAudit]) -> list[_Row]:
    rows: list[_Row] = [
        (name, lambda a, name=name: f"{a.gain.loss_of[name]:.4f}" if name in a.gain.loss_of else "-", "")
        for name in dict.fromkeys(name for audit in audits for name in audit.gain.loss_of)
    ]
    rows.append(("baseline: the better of the means", lambda a: a.gain.baseline, ""))
    rows.append(("gain of the best linear over it", lambda a: _maybe(a.gain.gain), "0 %"))
    rows.append(("gain of the perturbation", lambda a: _maybe(a.gain.perturbed_gain), "0 %"))
    rows.append(("  smallest that would be seen", _visible, ""))
    rows.append(("pairs held out / to fit on", lambda a: f"{a.gain.n_held_out:,} / {a.gain.n_training:,}", ""))
    return rows


def _visible(audit: PanelAudit) -> str:
    return "-" if audit.gain.best is None else f"{audit.gain.smallest_visible:.2%}"


def _maybe(estimate: Interval | None) -> str:
    return "-" if estimate is None else percent(estimate)


def _number(estimate: Interval) -> str:
    decimals = 3 if estimate.high < 10 else 2 if estimate.high < 100 else 0
    low, high = (f"{end:.{decimals}f}" for end in (estimate.low, estimate.high))
    return f"{estimate.value:.{decimals}f} [{low}, {high}]"


def _both(square: Interval, jaccard: Interval) -> str:
    return f"{square.value:.3f}, {jaccard.value:.3f}"


def _header(audits: Sequence[PanelAudit], title: str) -> str:
    lines = _wrap(title)
    for audit in audits:
        lines += _wrap(f"{audit.name}: {audit.panel_summary}; pairs of {audit.paired.in_words()}")
    lines += _wrap("95 % intervals over pairs, of these donors and datasets; '-' where a number is not applicable")
    return "\n".join(lines)


def _verdicts(audit: PanelAudit) -> str:
    lines = _wrap(f"{audit.name.upper()}: {verdict(audit)}")
    for number, finding in enumerate(findings(audit), 1):
        lines += _wrap(f"{number}. {finding.summary}", indent="   ")
        if finding.next_step:
            lines += _wrap(f"   -> {finding.next_step}", indent="      ")
    notes = [audit.noise.summary, *([audit.gain.summary] if audit.gain.summary else [])]
    lines += [line for note in notes for line in _wrap(f"   ({note})", indent="   ")]
    return "\n".join(lines)


def _wrap(line: str, *, indent: str = "  ") -> list[str]:
    return wrap(line, indent=indent)
