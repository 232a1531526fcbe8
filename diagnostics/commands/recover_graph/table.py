"""The table of ``recover-graph``: losses between baseline and Bayes risk, and scores of the recovered graph.

One block a regime, because a score means nothing without its target graph and read-out, which head the block.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from diagnostics.cli.text import interval, number, score, span, whole_span, wrap
from diagnostics.cli.text import table as aligned
from diagnostics.commands.recover_graph.verdicts import linear_loss, share_of_linear
from diagnostics.results.run_record import RunRecord, in_words

_T = TypeVar("_T")

_Column = tuple[str, Callable[[RunRecord], str]]

_LOSSES: tuple[_Column, ...] = (
    ("seed", lambda r: str(r.seed)),
    ("baseline", lambda r: number(r.baseline_loss)),
    ("loss", lambda r: number(r.loss)),
)
_KNOWN: tuple[_Column, ...] = (
    ("Bayes", lambda r: number(r.bayes_risk)),
    ("ridge", lambda r: number(r.ridge_loss)),
    ("skill", lambda r: score(r.skill)),
)
_REAL: tuple[_Column, ...] = (
    ("linear", lambda r: number(linear_loss(r))),
    ("of way", lambda r: score(share_of_linear(r))),
)
_GRAPH: tuple[_Column, ...] = (
    ("AUPRC", lambda r: score(r.auprc, 3)),
    ("95 % CI", lambda r: interval(score(r.ci_low, 3), score(r.ci_high, 3))),
    ("null95", lambda r: score(r.null_95, 3)),
    ("ceiling", lambda r: score(r.ceiling_auprc, 3)),
    ("SHD", lambda r: "-" if r.shd is None else str(r.shd)),
    ("sec.", lambda r: f"{r.seconds:.0f}"),
)


def header(records: Sequence[RunRecord]) -> str:
    """What was run, wrapped: the worlds, the model, the pairs."""
    return "\n".join(wrapped for line in about(records) for wrapped in _wrap(line))


def about(records: Sequence[RunRecord]) -> list[str]:
    """The worlds; the model and its pairs."""
    first = records[0]
    worlds = list({record.seed: record for record in records}.values())
    real = first.bayes_risk is None
    lines = [
        f"{first.world}: {first.n_genes} genes, {'/'.join(str(row.n_edges) for row in worlds)} edges "
        f"{'in the data' if real else 'in the graphs'} of seed {'/'.join(str(row.seed) for row in worlds)}"
    ]
    if first.var_sortability is not None:
        lines[0] += (
            f"; var-sortability {span([row.var_sortability for row in worlds])}, R2-sortability "
            f"{span([row.r2_sortability for row in worlds])} (0.5 hides the causal order)"
        )
    pairs = list(dict.fromkeys(f"{row.n_pairs:,} pairs in {row.n_steps} steps" for row in records))
    lines.append(
        f"preset {first.preset}: {first.n_parameters:,} numbers, learnt from {' or '.join(pairs)}; every loss is a "
        f"mean squared error on the same {first.n_held_out:,} held-out pairs; the baseline is the "
        + ("best of mean change, mean and mean of the cell type" if real else "better of mean change and mean")
    )
    return lines


def table(records: Sequence[RunRecord]) -> str:
    """All runs, a block for each regime with its target graph and read-out."""
    blocks: dict[tuple[str, str, str], list[RunRecord]] = {}
    for record in records:
        blocks.setdefault((record.regime, record.target, record.read_out), []).append(record)
    return "\n\n".join("\n".join(_block(rows)) for rows in blocks.values())


def _block(rows: Sequence[RunRecord]) -> list[str]:
    first = rows[0]
    head = (
        f"{first.regime.upper()}  perturbed {whole_span(*first.n_perturbed)} of {first.n_genes} genes; target: "
        f"{first.target} "
        f"(base rate {span([r.base_rate for r in rows])}); read-out: {in_words(first.read_out)}"
    )
    if first.shd is not None:
        head += f"; SHD at |effect| >= {first.threshold:g}"
    lines = _wrap(head)
    columns = (*_LOSSES, *(_REAL if first.bayes_risk is None else _KNOWN), *_GRAPH)
    head, shown = [name for name, _ in columns], [[show(row) for _, show in columns] for row in rows]
    lines += aligned(head, shown, align="r", gap=1).splitlines()
    others = [
        f"{in_words(read_out)} {span([s.auprc for s in scores])}"
        + ("" if scores[0].ceiling_auprc is None else f" (ceiling {span([s.ceiling_auprc for s in scores])})")
        for read_out, scores in _grouped((s.read_out, s) for r in rows for s in r.read_outs if s.read_out != r.read_out)
    ]
    if others:
        lines += _wrap(f"other read-outs, AUPRC: {'; '.join(others)}")
    methods = [
        f"{in_words(method)}{'*' if scores[0].classical else ''} {span([s.auprc for s in scores])}"
        for method, scores in _grouped((s.method, s) for r in rows for s in r.methods)
    ]
    if methods:
        lines += _wrap(f"other methods, AUPRC: {'; '.join(methods)}  (* the classical estimator of this regime)")
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        lines += _wrap(f"note: {note}")
    return lines


def _grouped(items: Iterable[tuple[str, _T]]) -> list[tuple[str, list[_T]]]:
    groups: dict[str, list[_T]] = {}
    for name, item in items:
        groups.setdefault(name, []).append(item)
    return list(groups.items())


def _wrap(line: str) -> list[str]:
    return wrap(line, indent="     ")


def finishing_line(record: RunRecord) -> str:
    """The loss between its baseline and its ceiling, and the recovered graph, in one line."""
    between = f"loss {record.baseline_loss:.4f} -> {record.loss:.4f}"
    if record.bayes_risk is not None and record.skill is not None:
        between += f" (Bayes {record.bayes_risk:.4f}), skill {record.skill:.4f}"
    else:
        between += f" (best linear {linear_loss(record):.4f})"
    return f"{record.regime:<14} seed {record.seed}: {between}, AUPRC {record.auprc:.3f}, {record.seconds:.0f} s"
