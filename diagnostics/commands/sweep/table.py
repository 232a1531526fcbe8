"""What a sweep found, as text: every trial beside the reference losses, and what may be concluded from them."""

import math
from collections.abc import Sequence

from diagnostics.cli.text import plural, wrap
from diagnostics.cli.text import table as aligned
from gpcp.search.result import SweepResult, SweepRow, importance
from gpcp.search.trial import FLAT

_SHORT = {"learning_rate": "rate", "weight_decay": "decay", "batch_size": "batch", "n_decoder_blocks": "blocks",
          "n_encoder_blocks": "encoder", "value_embedding": "embedding", "query_form": "query"}  # fmt: skip
_ORDER = {"finished": 0, "worse": 1, "flat": 2, "diverged": 3, "failed": 4, "running": 5, "waiting": 6}


def sweep_table(result: SweepResult) -> str:
    """All that the command prints of a sweep."""
    return "\n\n".join(part for part in ("\n".join(table(result)), "\n".join(conclusions(result))) if part)


def table(result: SweepResult) -> list[str]:
    """The levels, then a line for each trial: the best first, then what was given up."""
    names = result.space.names
    ties = {row.slot for row in result.ties}
    best = result.best
    head = ["trial", *(_SHORT.get(name, name) for name in names), "loss", "+-", "skill", "seeds", "min", "outcome"]
    rows: list[list[str]] = []
    for row in sorted(result.rows, key=lambda row: (_ORDER[row.outcome], row.loss, row.slot)):
        outcome = "best" if row is best else "ties" if row.slot in ties else row.outcome
        rows.append([str(row.slot), *(_value(row.values.get(name)) for name in names), *_figures(row, result), outcome])
    levels = {"untrained": result.start_loss, **result.levels}
    shown = "   ".join(f"{name} {_number(loss)}" for name, loss in levels.items())
    return [*wrap(f"held-out losses: {shown}"), "", *aligned(head, rows, align="r").splitlines()]


def conclusions(result: SweepResult) -> list[str]:
    """What the trials say, in words, and what they do not."""
    best = result.best
    if best is None:
        lines = ["no trial has been trained from every seed: nothing can be said of the best"]
    else:
        lines = [_of_best(result, best), _of_ties(result), *(f"edge: {one}" for one in result.edges())]
    lines += [*_of_rates(result), *_of_importance(result), *_of_others(result)]
    return [line for text in lines for line in wrap(text, indent="    ")]


def _figures(row: SweepRow, result: SweepResult) -> list[str]:
    skill = result.skill(row.loss)
    spread = ""
    if len(row.loss_R) > 1:
        spread = _number(math.sqrt(sum((one - row.loss) ** 2 for one in row.loss_R) / (len(row.loss_R) - 1)))
    return [
        _number(row.loss) if math.isfinite(row.loss) else "-",
        spread or "-",
        "-" if skill is None else f"{skill:.3f}",
        f"{len(row.loss_R)}/{result.n_seeds}",
        f"{row.seconds / 60:.1f}",
    ]


def _of_best(result: SweepResult, best: SweepRow) -> str:
    skill = result.skill(best.loss)
    settings = ", ".join(f"{name}={_value(value)}" for name, value in best.values.items())
    share = "" if skill is None else f", skill {skill:.3f} between baseline and Bayes risk"
    return f"best: trial {best.slot}, loss {_number(best.loss)}{share}: {settings}"


def _of_ties(result: SweepResult) -> str:
    width, n = result.tie_width, len(result.ties)
    if not math.isfinite(width):
        return "ties: one seed says nothing of the noise between seeds: no trial is put before another; give more seeds"
    noise = f"{_number(width)}, 2 sqrt(2) x the seeds' SD {_number(result.seed_sd)} / sqrt({result.n_seeds})"
    if not n:
        return f"ties: none; the next trial is further away than the noise between seeds explains ({noise})"
    names = ", ".join(str(row.slot) for row in result.ties[:8]) + (", ..." if n > 8 else "")
    cheapest = min((row for row in (*result.ties, result.best) if row is not None), key=lambda row: row.seconds)
    return (
        f"ties: {plural(n, 'trial')} within the noise between seeds ({noise}): {names}; the order among "
        f"them means nothing, and the cheapest is trial {cheapest.slot} ({cheapest.seconds:.0f} s)"
    )


def _of_rates(result: SweepResult) -> list[str]:
    rates = result.rates()
    if rates is None:
        return []
    lines: list[str] = []
    if rates.flat_below:
        lines.append(f"{_range(rates.flat_below)} ({plural(len(rates.flat_below), 'trial')}, too low)")
    if rates.flat_above:
        lines.append(f"{_range(rates.flat_above)} ({plural(len(rates.flat_above), 'trial')}, too high)")
    text = [f"flat loss (fell by less than {FLAT:.0%} of the best one's fall) at learning rates {' and '.join(lines)}"]
    text = text if lines else ["flat loss: at no end of the learning rates that were tried"]
    if rates.diverged_above:
        text.append(
            f"diverged at learning rates {_range(rates.diverged_above)} ({plural(len(rates.diverged_above), 'trial')})"
        )
    if rates.flat_between:
        text.append(
            f"flat or diverged though others learnt at lower and at higher rates: {_range(rates.flat_between)} "
            f"({plural(len(rates.flat_between), 'trial')}); look at what else they have in common"
        )
    return text


def _of_importance(result: SweepResult) -> list[str]:
    found = importance(result)
    if len(found) < 2:
        return []
    shares = ", ".join(f"{name} {mean:.0%} +- {spread:.0%}" for name, (mean, spread) in found.items())
    return [f"importance (fANOVA over {len(result.rows)} trials; +- between forests): {shares}"]


def _of_others(result: SweepResult) -> list[str]:
    lines: list[str] = []
    failed = [row for row in result.rows if row.outcome == "failed"]
    lines += [f"failed: trial {row.slot}: {row.error}" for row in failed[:3]]
    if len(failed) > 3:
        lines.append(f"failed: {len(failed) - 3} more, see the JSON")
    if result.n_unfinished:
        lines.append(
            f"unfinished: {result.n_unfinished} of {len(result.rows)} trials are run by other workers, or wait; the "
            "same command shows them when they are done"
        )
    return lines


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2g}" if value < 1e-2 or value >= 1e3 else f"{value:.3g}"
    return "-" if value is None else str(value)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _range(rates: Sequence[float]) -> str:
    low, high = f"{min(rates):.2g}", f"{max(rates):.2g}"
    return low if low == high else f"{low} .. {high}"
