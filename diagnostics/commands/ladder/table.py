"""What ``ladder`` prints: a line for each rung between its baseline and its ceiling, and the verdict."""

from collections.abc import Mapping
from typing import Any

from diagnostics.cli.text import fill, number, score, table
from diagnostics.commands.ladder.rungs.asked import LadderRun
from diagnostics.commands.ladder.rungs.ladder import Ladder


def head(found: Ladder) -> tuple[str, ...]:
    """Of the columns of :func:`rows`."""
    return ("rung", "outcome", "baseline", "loss", "ceiling", "skill", found.recovered, "of at most", "seconds")


def short(record: Mapping[str, Any]) -> str:
    """One rung in a few words, as it ends."""
    loss = record.get("loss")
    found = "done" if loss is None else f"loss {loss:.4f}, skill {score(record.get('skill'), 2)}"
    return f"{found} ({record['seconds']:.0f} s)"


def rows(found: Ladder) -> list[list[str]]:
    """A row for each rung, as :func:`head`."""
    return [
        [
            one.rung,
            "pass" if one.passed else "FAIL",
            *(number(one.record.get(name)) for name in ("baseline", "loss", "ceiling")),
            score(one.record.get("skill"), 2),
            score(one.record.get("recovery"), 2),
            score(one.record.get("recovery_ceiling"), 2),
            f"{one.record['seconds']:.0f}",
        ]
        for one in found.results
    ]


def twin_rows(found: Ladder) -> list[list[str]]:
    """A row for each property of the twin: distance, measure, real, twin."""
    if found.twin is None:
        return []
    of = [
        [row["property"], score(row["distance"], 3), row["measure"], f"{row['real']:.4g}", f"{row['twin']:.4g}"]
        for row in found.twin["rows"]
    ]
    return [*of, ["a classifier's AUC", score(found.twin["auc"], 3), ".5 cannot separate them", "", ""]]


def screen(found: Ladder, run: LadderRun) -> str:
    """All that the command prints of its result."""
    budget = run.budget
    lines = [
        fill(f"{found.source}; {found.model}; {budget.n_steps} steps of {budget.batch_size} pairs on every rung"),
        *(fill(line) for line in found.summary),
    ]
    if found.twin is not None:
        lines += ["", table(("property", "distance", "measure", "real", "twin"), twin_rows(found), align="lrlrr")]
    if found.results:
        lines += ["", table(head(found), rows(found), align="llrrrrrrr"), ""]
        for one in found.results:
            lines.append(fill(f"{'pass' if one.passed else 'FAIL'}  {one.rung}: {one.message}", indent="      "))
            if one.next_step:
                lines.append(fill(f"-> {one.next_step}", first="      ", indent="      "))
        lines += ["", fill(f"verdict: {found.verdict}")]
    return "\n".join(lines)
