"""The screen of ``compare_heads``: the setting, the table between baseline and exact answer, the verdicts in words.

No dimension key: nothing here is an array.
"""

import statistics
import textwrap
from collections.abc import Sequence

from diagnostics.compared import Compared, Judged, Levels, interval, needed_words, student_factor
from diagnostics.tables import WIDTH, number, share

_WIDE = 10.0
"""Standard errors to either side of a difference above which more seeds are advised."""

_SEED_OUT, _ALTERNATIVE = "linear", "mlp"
"""The author's ``out`` where every gene asks, and the same with a hidden layer."""


def screen(result: Compared, levels: Levels, *, part: str, about: str, notes: Sequence[str]) -> str:
    """All that the command prints of its results."""
    blocks = [_wrapped(about), _table(result, levels, part), _ranks(levels), _verdicts(result)]
    if answer := out_line(result):
        blocks.append(answer)
    n, level = result.n_comparisons, 100 * result.level
    blocks.append(
        _wrapped(
            f"Intervals are paired over seeds and hold together in 95 % of repetitions: Bonferroni over {n} "
            f"comparison{'s' if n > 1 else ''}, {level:.2f} % each. The seeds are trainings in one world: nothing is "
            "said of other worlds."
        )
    )
    if few := _few_seeds(result):
        blocks.append(few)
    blocks += [_wrapped(f"Note: {note}.") for note in notes]
    return "\n\n".join(blocks)


def out_line(result: Compared) -> str | None:
    """Whether the author's ``out`` loses anything against a hidden layer, where both were compared."""
    difference = result.between(_SEED_OUT, _ALTERNATIVE)
    if difference is None:
        return None
    if difference.tie:
        judged = f"tie: paired difference {interval(difference)} holds 0"
    else:
        less, more = (_SEED_OUT, _ALTERNATIVE) if difference.mean > 0 else (_ALTERNATIVE, _SEED_OUT)
        judged = f"differ: {less} learns less than {more} within these steps, {interval(difference)}"
    losing = next((one.loses_information for one in result.judged if one.entry.name == _SEED_OUT), False)
    lost = "yes, see its verdict" if losing else "not shown"
    return _wrapped(f"Is `out` losing information? {lost.capitalize()}. {_SEED_OUT} and {_ALTERNATIVE} {judged}.")


def _few_seeds(result: Compared) -> str | None:
    """Said where intervals are wide because of the number of seeds, whatever the seeds say."""
    n = min((difference.n_seeds for _, _, difference in result.pairs), default=0)
    if n < 2:
        return None
    factor = student_factor(n, result.level)
    if factor <= _WIDE:
        return None
    return _wrapped(
        f"With {n} seeds an interval reaches {factor:.0f} standard errors to either side; with {2 * n} it would be "
        f"{student_factor(2 * n, result.level):.1f}: give more --seeds, or name a --reference, for fewer ties."
    )


def _table(result: Compared, levels: Levels, part: str) -> str:
    head = part.replace("_", " ")
    lines = [f"{head:21s} {'numbers':>7s} {'loss':>8s} {'skill':>7s} {'seeds':>15s}  difference to the reference    "
             "rank"]  # fmt: skip
    lines.append(
        f"{'nothing known':21s} {'':7s} {number(levels.baseline):>8s} {'0':>7s} {'':>15s}  ({levels.baseline_name})"
    )
    lines.append(f"{'ridge':21s} {'':7s} {number(levels.ridge):>8s} {share(levels.skill(levels.ridge), 3):>7s}")
    lines += [_line(one, levels) for one in reversed(result.judged)]
    kind = "closed form" if levels.bayes_exact else "simulated"
    lines.append(f"{'exact answer':21s} {'':7s} {number(levels.bayes):>8s} {'1':>7s} {'':15s}  ({kind}); rank needed:"
                 f"{needed_words(levels):>7s}")  # fmt: skip
    return "\n".join(line.rstrip() for line in lines)


def _line(one: Judged, levels: Levels) -> str:
    entry = one.entry
    skills = [levels.skill(loss) for loss in entry.finite.values()]
    spread = f"{share(min(skills), 3)} .. {share(max(skills), 3)}" if skills else "-"
    skill = share(statistics.fmean(skills), 3) if skills else "-"
    loss = number(entry.loss) if skills else "-"
    if one.difference is None:
        beside = one.outcome
    else:
        ends = f"{one.difference.low:+.3f} .. {one.difference.high:+.3f}"
        beside = f"{one.difference.mean:+.3f} {ends} {one.outcome}"
    return (
        f"{entry.name:21s} {entry.n_parameters:7,d} {loss:>8s} {skill:>7s} {spread:>15s}  {beside:31s} {entry.rank:3d}"
    )


def _ranks(levels: Levels) -> str:
    shown = [
        f"rank {rank}: {number(levels.reach(rank))}"
        + (f" (none expected below {number(levels.bayes + bound)})" if bound is not None else "")
        for rank in range(min(len(levels.residuals), 4))
        for bound in [levels.bounds.get(rank)]
    ]
    return _wrapped(
        "Least loss found of answers of a rank, whatever says them (alternating least squares on the exact answer; "
        f"gene means{' and skip' if levels.skip else ''} free): " + ", ".join(shown) + "."
    )


def _verdicts(result: Compared) -> str:
    return "\n".join(_wrapped(one.says, indent="  ") for one in result.judged)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
