"""More data, a bigger model, or longer training: which of these options wins, decided over seeds.

One stands at a number of pairs, a capacity and a number of steps. From there each option is tried alone, with the same
seeds, that is on the same worlds and pairs, so that what it wins is a paired difference of skill; of real cells, of the
share of the way to the best linear predictor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from gpcp.core.intervals import Interval, paired_difference

OptionName = Literal["more data", "bigger model", "longer training"]

WORTH = 0.01
"""Skill below which a gain is not worth its cost: a hundredth of the way from the input-free
baseline to the exact answer."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """What one option wins.

    Parameters
    ----------
    option : {"more data", "bigger model", "longer training"}
    summary : str
        From where to where, such as ``"2,000 -> 8,000 pairs"``.
    skill : Interval
        Of skill, with the option less without it.
    """

    option: OptionName
    summary: str
    skill: Interval

    @property
    def won(self) -> bool:
        """Whether it is surely above 0, and worth having."""
        return self.skill.low > 0 and self.skill.value >= WORTH

    @property
    def ruled_out(self) -> bool:
        """Whether it is surely not worth having."""
        return self.skill.high < WORTH


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Which option to take next.

    Parameters
    ----------
    verdict : str
        An option's name; several, joined by ``" or "``, where they tie; ``"neither"`` where no option wins and each is
        ruled out; ``"nothing is left"``; ``"open"`` where the seeds do not decide.
    gains : tuple of Gain
    left : Interval or None
        Skill that is left to the exact answer where one stands; None where that is not known.
    undecided : tuple of str
        Beside an option that is named: those that are not shown to win, nor to win less than it.
    """

    verdict: str
    gains: tuple[Gain, ...]
    left: Interval | None
    undecided: tuple[OptionName, ...] = ()


def answer_of(
    stands_R: Sequence[float],
    options: Mapping[OptionName, tuple[str, Sequence[float]]],
    *,
    level: float = 0.95,
    exact_known: bool = True,
) -> Answer:
    """Decide between the options.

    The option with the largest gain is named if its interval lies above 0 and its gain is worth it, together with
    every other won option whose gain is not surely smaller (paired over seeds).

    Parameters
    ----------
    stands_R : sequence of float
        Skill where one stands, seed by seed.
    options : mapping of name to (str, sequence of float)
        What each option is, and the skill after it for the same seeds in the same order.
    level : float
        Of confidence of each interval by itself.
    exact_known : bool
        Whether skill 1 is the exact answer, which nothing passes.

    Raises
    ------
    InputError
        The seeds do not fit together or a skill is not finite (:func:`gpcp.core.intervals.paired_difference`).
    """
    left = paired_difference([1.0] * len(stands_R), stands_R, level=level) if exact_known else None
    gains = tuple(
        Gain(option=option, summary=summary, skill=paired_difference(after_R, stands_R, level=level))
        for option, (summary, after_R) in options.items()
    )
    won = sorted((gain for gain in gains if gain.won), key=lambda gain: -gain.skill.value)
    if not won:
        return Answer(verdict=_without_winner(left, gains), gains=gains, left=left)

    def no_less(gain: Gain) -> bool:
        """Not surely below the best of those that won."""
        return paired_difference(options[won[0].option][1], options[gain.option][1], level=level).low <= 0

    named: list[str] = [won[0].option, *(gain.option for gain in won[1:] if no_less(gain))]
    undecided: tuple[OptionName, ...] = tuple(
        gain.option for gain in gains if not gain.won and not gain.ruled_out and no_less(gain)
    )
    return Answer(verdict=" or ".join(named), gains=gains, left=left, undecided=undecided)


def _without_winner(left: Interval | None, gains: tuple[Gain, ...]) -> str:
    if left is not None and left.high < WORTH:
        return "nothing is left"
    return "neither" if gains and all(gain.ruled_out for gain in gains) else "open"


def fitting_of(train_loss: float, exact_train_loss: float, loss: float, bayes_risk: float) -> str:
    """What the training loss says of the reason, in words.

    Parameters
    ----------
    train_loss, exact_train_loss : float
        Of the model and of the exact answer on the same training pairs.
    loss, bayes_risk : float
        The same on held-out pairs.
    """
    gap = loss - bayes_risk
    if gap <= 0:
        return "the held-out loss is at the Bayes risk"
    below = exact_train_loss - train_loss
    if below > 0:
        return (
            f"on its training pairs the model is below the exact answer by {below:.3f}: it memorises their noise, "
            "which more pairs prevent"
        )
    share = min(1.0, -below / gap)
    rest = "" if share > 0.995 else f"; the other {1 - share:.0%} appear on new pairs only"
    return (
        f"on its training pairs the model is above the exact answer by {-below:.3f}: {share:.0%} of the excess on "
        f"held-out pairs are for want of capacity or steps{rest}"
    )
