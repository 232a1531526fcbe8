"""The table of ``recover-graph`` on a screen: losses between baseline and ceiling, and the graph where it is known."""

from collections.abc import Sequence
from typing import Any

from diagnostics.cli.text import interval, number, plural, score, wrap
from diagnostics.cli.text import table as aligned
from diagnostics.graphs.named import DOWNSTREAM
from diagnostics.runs.store import Record


def screen_table(records: Sequence[Record]) -> str:
    """What was run, a line for each seed, and remarks."""
    first = records[0]
    graph = first["auprc"] is not None
    exact = first["bayes_risk"] is not None
    head = about(first)
    names, rows = columns(records, graph=graph, exact=exact)
    blocks = ["\n".join(line for text in head for line in wrap(text, indent="     "))]
    title = f"SCREEN  perturbations by name; target: {DOWNSTREAM} (base rate {score(first['base_rate'])})"
    if not graph:
        title = "SCREEN  perturbations by name; no graph is known: nothing is scored"
    body = [*wrap(title, indent="     "), aligned(names, rows, align="r", gap=1)]
    body += [line for note in notes_of(records) for line in wrap(f"note: {note}", indent="     ")]
    return "\n\n".join([*blocks, "\n".join(body)])


def about(first: Record) -> list[str]:
    """What was learnt from, and by what."""
    return [
        f"{first['world']}: {first['n_genes']} genes, responses to {plural(first['n_perturbations'], 'perturbation')} "
        "that cells got alone",
        f"preset {first['preset']}: {first['n_parameters']:,} numbers, learnt from {first['n_pairs']:,} pairs in "
        f"{first['n_steps']} steps; every loss is a mean squared error on the same {first['n_held_out']:,} held-out "
        "pairs; the baseline is the better of mean change and mean",
    ]


def notes_of(records: Sequence[Record]) -> list[str]:
    """Remarks of the runs, each once."""
    return list(dict.fromkeys(note for record in records for note in record["notes"]))


def columns(records: Sequence[Record], *, graph: bool, exact: bool) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and a row for each seed."""
    names = ["seed", "baseline", "loss", *(["exact"] if exact else []), "ridge", "skill" if exact else "of way"]
    names += ["AUPRC", "95 % CI", "null95", "ceiling", "cells"] if graph else []
    return [*names, "sec."], [[*_losses(one, exact=exact), *(_graph(one) if graph else []), f"{one['seconds']:.0f}"]
                              for one in records]  # fmt: skip


def _losses(record: dict[str, Any], *, exact: bool) -> list[str]:
    shown = [str(record["seed"]), number(record["baseline_loss"]), number(record["loss"])]
    shown += [number(record["bayes_risk"])] if exact else []
    return [*shown, number(record["ridge_loss"]), score(record["skill"] if exact else record["share_of_linear"])]


def _graph(record: dict[str, Any]) -> list[str]:
    ends = interval(score(record["ci_low"], 3), score(record["ci_high"], 3))
    scores = (score(record[name], 3) for name in ("null_95", "ceiling_auprc", "measured_auprc"))
    return [score(record["auprc"], 3), ends, *scores]
