"""``Cure``: one change of a training that can be made from outside, and the cures that a subject can be given."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeAlias, final

from torch import nn

from diagnostics.checks.cures import changes
from diagnostics.checks.cures.watched import Watched, watched
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.learning.learning_rate import RangeTest, given_rate
from diagnostics.checks.learning.units import Units
from diagnostics.checks.optimiser.schedule import schedule_of
from gpcp.training.loss import masked_loss

Within: TypeAlias = Callable[[nn.Module], AbstractContextManager[object]]

SAME_RATE = 1.5
"""Factor below which two rates are one."""

FACTORS = (0.1, 10.0)

UNEVEN = 10.0
"""Factor between the spreads of two genes from which on it may matter in which units they are."""


def _unchanged(_: nn.Module) -> AbstractContextManager[object]:
    return nullcontext()


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cure:
    """One change.

    Parameters
    ----------
    name : str
    mends : tuple of str
        Names of checks, or patterns, whose failure it would mend.
    rate : float, optional
        Of every step; else that of the training.
    subject : Subject, optional
        What is trained in place of the subject.
    within : callable
        ``model -> context`` within which the training is made.
    units : Units, optional
        Those in which the training is given its pairs.
    not_tried : str
        Why it cannot be tried; empty where it can.
    """

    name: str
    mends: tuple[str, ...] = ()
    rate: float | None = None
    subject: Subject | None = None
    within: Within = _unchanged
    units: Units | None = None
    not_tried: str = ""

    def of(self, failed: Sequence[str]) -> tuple[str, ...]:
        """Those of some failing checks whose failure it would mend."""
        return tuple(name for name in failed if any(fnmatchcase(name, pattern) for pattern in self.mends))


def cures_for(probe: Probe) -> list[Cure]:
    """What can be tried on a subject; of what cannot, the reason."""
    seen = watched(probe)
    return [*_rates(probe), *_losses(probe), *_inputs(probe), *_of_the_step(seen)]


def _rates(probe: Probe) -> Iterator[Cure]:
    mends = ("learning.rate", "optimiser.learning_rate")
    given = given_rate(probe)
    range_test: RangeTest | None = probe.made("range_test")
    best = range_test.suggestion if range_test is not None and range_test.learns else None
    if best is not None and (given is None or not _same(best, given)):
        yield Cure(name=f"learning rate {best:.2g}, as the range test suggests", mends=mends, rate=best)
    for factor in FACTORS:
        # A rate of 0 stays 0 times any factor.
        if probe.subject.make_optimizer is not None and (
            given is None or (best is not None and _same(best, given * factor))
        ):
            continue
        yield Cure(name=f"learning rate x{factor:g}", mends=mends, within=_scaled(factor))
    name = "schedule held at its highest rate"
    if given is not None:
        found = schedule_of(probe)
        if found.names or float(found.rate_ST.min()) < given:
            yield Cure(name=name, mends=("optimiser.learning_rate",), rate=given)
    elif probe.subject.make_optimizer is None:
        yield Cure(name=name, not_tried="the training step holds an optimiser of its own: give optimizer= too")


def _scaled(factor: float) -> Within:
    def within(_: nn.Module) -> AbstractContextManager[object]:
        return changes.scaled_rate(factor)

    return within


def _same(one: float, other: float) -> bool:
    return max(one, other) < SAME_RATE * min(one, other)


def _losses(probe: Probe) -> Iterator[Cure]:
    """The loss that the library would train by, in place of the one that is given, or of a whole step."""
    subject = probe.subject
    reference = replace(subject, loss=masked_loss, objective=None, training_step=None)
    loss = "squared error over scored genes"
    if subject.training_step is None:
        if subject.loss is not None or subject.objective is not None:
            yield Cure(name=f"{loss} in place of the loss", mends=("loss.*", "optimiser.descends"), subject=reference)
        return
    name = f"a plain step (clear, {loss}, backward, step) in place of training_step"
    if subject.make_optimizer is None:
        reason = "the training step holds its loss and its optimiser: give optimizer= too"
        yield Cure(name=name, not_tried=reason)
        return
    wiring = ("gradients", "cleared", "moves_parameters", "descends", "first_step")
    mends = ("loss.*", "data.step_inputs", *(f"optimiser.{one}" for one in wiring))
    yield Cure(name=name, mends=mends, subject=reference)


def _inputs(probe: Probe) -> Iterator[Cure]:
    units = Units.of(probe.sample)
    if units.far or units.spread_G.max() > UNEVEN * units.spread_G.min():
        mends = ("data.gene_shares", "data.units", "optimiser.start")
        yield Cure(name="each gene centred and in units of its spread", mends=mends, units=units)


def _of_the_step(seen: Watched) -> Iterator[Cure]:
    """What a step was seen to do, undone."""
    if seen.half:
        name, mends = f"float32 in place of {seen.half}", ("optimiser.precision", "optimiser.gradients")
        yield Cure(name=name, mends=mends, within=changes.single_precision)
    if seen.left is not None:
        name = f"gradients as they are added up (the step makes them {seen.left:.2g} times as long)"
        mends = ("optimiser.first_step", "optimiser.gradients", "optimiser.moves_parameters")
        reason = "a gradient scaler of the step is at work between backward and step" if seen.scaler else ""
        yield Cure(name=name, mends=mends, within=changes.gradients_as_added_up, not_tried=reason)
    if seen.dropped:
        yield Cure(name=f"no dropout (up to {seen.dropped:.2g} is dropped)", within=changes.nothing_dropped)
    if seen.evaluation:
        yield Cure(name="training mode in every step", mends=("architecture.modes",), within=changes.always_training)
