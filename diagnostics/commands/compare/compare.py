"""Configurations that differ in one part, compared over paired seeds, and whether one of them loses information.

The last needs the exact answer of a known world: of real cells it is not known.

Intervals are Student's, of differences between trainings of the same seed, and hold together: with several comparisons
each is at the level ``1 - .05 / n`` (Bonferroni), so that all of them cover at once in 95 % of repetitions. Where the
reference is the best of those compared, it was chosen by looking at every pair, and every pair counts. A tie is an
interval, as it is shown, that holds 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from diagnostics.cli.text import score
from diagnostics.scoring.levels import Levels
from gpcp.core.errors import InputError, nearest
from gpcp.core.intervals import Interval, paired_difference

Outcome = Literal["reference", "tie", "better", "worse", "diverged"]

CONFIDENCE = 0.95


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One configuration and its trainings.

    Parameters
    ----------
    name : str
    loss_of : mapping of int to float or None
        Held-out loss of each seed; None where the training diverged.
    n_parameters : int
    rank : int
        The output rank, see :mod:`diagnostics.architecture.head_rank`.
    objective : str
        What its training lowered.
    limits : tuple of str
        See :func:`diagnostics.architecture.static_limits.limits`.
    """

    name: str
    loss_of: Mapping[int, float | None]
    n_parameters: int
    rank: int
    objective: str
    limits: tuple[str, ...]

    @property
    def finite(self) -> dict[int, float]:
        """Losses of the seeds that did not diverge."""
        return {seed: loss for seed, loss in self.loss_of.items() if loss is not None}

    @property
    def loss(self) -> float:
        """Mean over the seeds that did not diverge; infinite where all did."""
        losses = self.finite.values()
        return sum(losses) / len(losses) if losses else math.inf


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RankCeilings:
    """The losses that answers of limited rank could reach on the held-out pairs of a known world.

    Parameters
    ----------
    bayes_risk : float
        Loss of the exact answer, below the baseline.
    residuals : tuple of float
        Of ranks 0, 1, ...: mean squared distance of the best answer found from the exact one, offsets and skip
        connection free; see :mod:`diagnostics.scoring.low_rank`. The last one explains 99 % of what rank 0 leaves,
        unless there are no more ranks.
    reached : tuple of float
        The losses of these answers on the held-out pairs.
    bounds : mapping of int to float
        Of some ranks: a residual that no answer comes below. Empty where the exact answer is simulated.
    skip : bool
        A skip connection is given for nothing.
    needed : int or None
        Rank that explains 99 %; None where none does.
    """

    bayes_risk: float
    residuals: tuple[float, ...]
    reached: tuple[float, ...]
    bounds: Mapping[int, float]
    skip: bool
    needed: int | None

    def reach(self, rank: int) -> float:
        """Loss of the best answer of a rank that was found."""
        return self.reached[min(rank, len(self.reached) - 1)]

    def narrow(self, rank: int) -> bool:
        """Whether answers of a rank leave out more than a hundredth of what is to be learnt."""
        return self.needed is None or rank < self.needed


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One configuration beside the reference.

    Parameters
    ----------
    entry : Entry
    outcome : Outcome
    difference : Interval or None
        Of its loss and the reference's, with its interval; None for the reference, and where no seed can be paired.
    loses_information : bool or None
        The rank argument and the measurement both say so; None where no exact answer is known.
    summary : str
        The verdict in words.
    """

    entry: Entry
    outcome: Outcome
    difference: Interval | None
    loses_information: bool | None
    summary: str


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """All configurations, the best first, and the level of each interval.

    Parameters
    ----------
    judged : tuple of Judged
    reference : str
    n_comparisons : int
    level : float
    pairs : tuple of (str, str, Interval)
        Every pair of configurations, at the same level.
    """

    judged: tuple[Judged, ...]
    reference: str
    n_comparisons: int
    level: float
    pairs: tuple[tuple[str, str, Interval], ...]

    def between(self, first: str, second: str) -> Interval | None:
        """Interval of two by their names; None where they were not both compared."""
        for one, other, difference in self.pairs:
            if (one, other) == (first, second):
                return difference
            if (other, one) == (first, second):
                return -difference
        return None


def compared(
    entries: Sequence[Entry], levels: Levels, ceilings: RankCeilings | None, *, reference: str | None = None
) -> Compared:
    """Judge configurations against one of them, the best by mean loss unless it is named.

    Parameters
    ----------
    entries : sequence of Entry
    levels : Levels
        On the held-out pairs.
    ceilings : RankCeilings or None
        None where no exact answer is known.
    reference : str, optional

    Raises
    ------
    InputError
        There are fewer than two, or the reference is none of them.
    """
    names = [entry.name for entry in entries]
    if len(entries) < 2:
        raise InputError(f"{len(entries)} configuration cannot be compared: name two or more")
    if reference is not None and reference not in names:
        raise InputError(f"the reference {reference!r} is not among those compared; {nearest(reference, names)}")
    ordered = sorted(entries, key=lambda entry: entry.loss)
    chosen = next(entry for entry in ordered if reference in (None, entry.name))
    n = len(entries) * (len(entries) - 1) // 2 if reference is None else len(entries) - 1
    level = 1 - (1 - CONFIDENCE) / n
    pairs = [
        (one.name, other.name, difference)
        for place, one in enumerate(entries)
        for other in entries[place + 1 :]
        for difference in [_between(one, other, level)]
        if difference is not None
    ]
    others = {entry.name: _judged(entry, chosen, ceilings, level) for entry in ordered if entry is not chosen}
    itself = _judged_reference(chosen, list(others.values()), levels, ceilings)
    judged = [others.get(entry.name, itself) for entry in ordered]
    return Compared(judged=tuple(judged), reference=chosen.name, n_comparisons=n, level=level, pairs=tuple(pairs))


def _between(first: Entry, second: Entry, level: float) -> Interval | None:
    both = [seed for seed in first.finite if seed in second.finite]
    if not both:
        return None
    return paired_difference([first.finite[seed] for seed in both], [second.finite[seed] for seed in both], level=level)


def _judged_reference(
    reference: Entry, others: Sequence[Judged], levels: Levels, ceilings: RankCeilings | None
) -> Judged:
    """It loses information where another is better than it, and than what its rank allows."""
    better = [one.entry for one in others if one.outcome == "better"]
    narrow = ceilings is not None and ceilings.narrow(reference.rank)
    passing = [] if ceilings is None else [one for one in better if one.loss < ceilings.reach(reference.rank)]
    summary = f"{reference.name} is the reference, {_measured(levels, reference.loss)}"
    if ceilings is not None and narrow and passing:
        summary = f"{reference.name}, the reference, {_loss_of_information(reference, passing[0], ceilings)}"
    elif not reference.finite:
        summary = f"{reference.name}, the reference, diverged in every training"
    elif ceilings is not None and narrow:
        summary += (
            f"; its answers have rank {reference.rank} and the exact answer needs {needed_words(ceilings)}, but none "
            f"that is compared was shown to pass what rank {reference.rank} allows"
        )
    return Judged(
        entry=reference,
        outcome="reference",
        difference=None,
        loses_information=None if ceilings is None else narrow and bool(passing),
        summary=summary + _diverged(reference),
    )


def _measured(levels: Levels, loss: float) -> str:
    """Skill, or how far it is on the way to the best linear predictor."""
    if levels.bayes_risk is not None:
        return f"skill {score(levels.skill(loss), 3)}"
    return f"{score(levels.of_way(loss), 3)} of the way to the best linear predictor"


def _judged(entry: Entry, reference: Entry, ceilings: RankCeilings | None, level: float) -> Judged:
    difference = _between(entry, reference, level)
    if difference is None:
        outcome: Outcome = "diverged"
    elif difference.ties:
        outcome = "tie"
    else:
        outcome = "worse" if difference.value > 0 else "better"
    # That the rank is what limits is shown by another that went where no answer of this rank was found to go.
    loses = None
    if ceilings is not None:
        passed = reference.loss < ceilings.reach(entry.rank)
        loses = outcome == "worse" and ceilings.narrow(entry.rank) and passed
    summary = _summary(entry, reference, ceilings, outcome, difference, loses=loses)
    return Judged(entry=entry, outcome=outcome, difference=difference, loses_information=loses, summary=summary)


def interval(difference: Interval) -> str:
    """``+.0123 (+.0100 .. +.0150)``."""
    return f"{difference.value:+.4f} ({difference.low:+.4f} .. {difference.high:+.4f})"


def _summary(
    entry: Entry,
    reference: Entry,
    ceilings: RankCeilings | None,
    outcome: Outcome,
    difference: Interval | None,
    *,
    loses: bool | None,
) -> str:
    after = _diverged(entry)
    if difference is None:
        return f"{entry.name} and {reference.name} have no seed in which neither diverged{after}"
    beside = f"{entry.name} and {reference.name}"
    if outcome == "tie":
        one = ", which one seed can only leave open" if difference.n == 1 else ""
        return f"{beside} tie: their paired difference {interval(difference)} holds 0{one}{after}"
    if loses and ceilings is not None:
        return f"{entry.name} {_loss_of_information(entry, reference, ceilings)}{after}"
    if outcome == "better":
        return f"{entry.name} learns more than {reference.name} within these steps: {interval(difference)}{after}"
    why = _other_reasons(entry, reference, ceilings)
    return f"{entry.name} learns less than {reference.name} within these steps: {interval(difference)}; {why}{after}"


def _diverged(entry: Entry) -> str:
    n = len(entry.loss_of) - len(entry.finite)
    return f"; {n} of {len(entry.loss_of)} trainings diverged" if n else ""


def _loss_of_information(entry: Entry, passing: Entry, ceilings: RankCeilings) -> str:
    return (
        f"loses information: {_rank_argument(entry, ceilings)}; measured {entry.loss:.4f}, while "
        f"{passing.name} measured {passing.loss:.4f}"
    )


def needed_words(ceilings: RankCeilings) -> str:
    """The rank that the exact answer needs."""
    return f"more than {len(ceilings.residuals) - 1}" if ceilings.needed is None else str(ceilings.needed)


def _rank_argument(entry: Entry, ceilings: RankCeilings) -> str:
    on = "its answers lie on a line (rank 1)" if entry.rank == 1 else f"its answers have rank {entry.rank}"
    bound = ceilings.bounds.get(entry.rank)
    proved = "" if bound is None else f" and none is expected below {ceilings.bayes_risk + bound:.4f}"
    return (
        f"{on}, the exact answer needs rank {needed_words(ceilings)} for 99 % of what is to be learnt; the best answer "
        f"of rank {entry.rank} that was found has loss {ceilings.reach(entry.rank):.4f}{proved}"
    )


def _other_reasons(entry: Entry, reference: Entry, ceilings: RankCeilings | None) -> str:
    if ceilings is not None and ceilings.narrow(entry.rank):
        return (
            f"its answers have rank {entry.rank}, fewer than the {needed_words(ceilings)} that are needed, but none "
            f"passed what that rank allows, {ceilings.reach(entry.rank):.4f}: not shown to be lost information"
        )
    own = [limit for limit in entry.limits if limit not in reference.limits]
    if own:
        return "its configuration says why: it " + "; it ".join(own)
    if ceilings is None:
        return "whether information is lost is not known here"
    return (
        f"its output rank is enough ({entry.rank}), so that no loss of information is shown: give it more steps, "
        "another rate or another start"
    )
