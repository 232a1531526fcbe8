"""Checks of what a training runs after an epoch: that the weights keep what they learnt, and that training goes on.

Two short trainings are played over a few epochs from the same start with the same random numbers, one of them with
other values to predict. What runs after an epoch may average, clip, prune or exchange the weights: all of that depends
on what was learnt. Weights that come out alike whatever was learnt were drawn anew, or read back from before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn

from diagnostics.checks.data.collation import with_other_answers
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import shown, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import HAS_MODES
from diagnostics.checks.optimiser.one_step import mode_of
from diagnostics.results.check_result import CheckResult

_N_EPOCHS, _N_STEPS, _N_PAIRS = 2, 24, 4
"""Epochs that are played, their steps, and pairs of each: an average may be updated at every tenth step alone."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """One epoch that was played.

    Parameters
    ----------
    begun, learnt, left : dict of str to Tensor
        Parameters by name before its first step, after its last, and after what runs then.
    training : frozenset of bool
        Modes in which its steps call the model.
    n_states, n_states_left : int
        Parameters of which the optimiser keeps a history, before and after what runs then.
    """

    begun: dict[str, Tensor]
    learnt: dict[str, Tensor]
    left: dict[str, Tensor]
    training: frozenset[bool]
    n_states: int
    n_states_left: int


def _epochs(probe: Probe, *, other: bool) -> tuple[Epoch, ...]:
    """Some epochs, with the pairs' own values to predict or with others."""
    found: list[Epoch] = []
    with probe.trial("after epoch") as (model, optimizer):
        passing = probe.batches("after epoch", batch_size=probe.whole_sets(_N_PAIRS))
        for _ in range(_N_EPOCHS):
            begun = _weights(model)
            with mode_of(model) as modes:
                for _ in range(_N_STEPS):
                    pairs = next(passing)
                    pairs = with_other_answers(pairs, probe.rng("after epoch")) if other else pairs
                    probe.subject.step(model, optimizer, pairs)
            learnt, n_states = _weights(model), _n_states(optimizer)
            probe.subject.end_epoch()
            found.append(
                Epoch(
                    begun=begun, learnt=learnt, left=_weights(model), training=frozenset(modes), n_states=n_states,
                    n_states_left=_n_states(optimizer),
                )
            )  # fmt: skip
    return tuple(found)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def _n_states(optimizer: torch.optim.Optimizer) -> int:
    """Parameters with a history that is not all 0."""
    return sum(
        any(isinstance(one, Tensor) and bool((one != 0).any()) for one in cast("dict[str, object]", state).values())
        for state in cast("dict[Tensor, object]", optimizer.state).values()
    )


def both_epochs(probe: Probe) -> tuple[tuple[Epoch, ...], tuple[Epoch, ...]]:
    """The same epochs with two kinds of values to predict, played once."""
    return probe.once("after epoch", lambda probe: (_epochs(probe, other=False), _epochs(probe, other=True)))


def _not_given(probe: Probe) -> CheckResult | None:
    if probe.subject.on_epoch is None:
        return CheckResult(outcome="not_applicable", message="what runs after an epoch is not given: on_epoch=")
    return None


def _lost(one: Epoch, other: Epoch) -> set[str]:
    """Parameters that come out alike, and changed, though they were trained to different values.

    None where all that come out alike hold one size of value: that is a bound to which they were clipped.
    """
    lost = {
        name
        for name, learnt in one.learnt.items()
        if not torch.equal(learnt, one.begun[name])
        and not torch.equal(learnt, other.learnt[name])
        and not torch.equal(one.left[name], learnt)
        and torch.equal(one.left[name], other.left[name])
    }
    return lost if any(_differ(one.left[name].abs()) for name in lost) else set()


def _differ(value: Tensor) -> bool:
    return bool((value != value.flatten()[:1]).any())


@check(
    "GP412",
    "optimiser.after_epoch",
    "Does what runs after an epoch keep what the weights have learnt?",
    cause="bug", kind="exact", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def after_epoch(probe: Probe) -> CheckResult:
    """In every epoch that is played: a first epoch may be one that is taken back on purpose, such as the worse one."""
    absent = _not_given(probe)
    if absent is not None:
        return absent
    some, others = both_epochs(probe)
    lost_each = [_lost(one, other) for one, other in zip(some, others, strict=True)]
    lost = sorted(name for name in lost_each[0] if all(name in one for one in lost_each))
    trained = {name for name, one in some[0].learnt.items() if not torch.equal(one, some[0].begun[name])}
    changed = {name for name in trained if any(not torch.equal(one.left[name], one.learnt[name]) for one in some)}
    message = f"what runs after an epoch leaves all {len(trained)} trained parameters as they are"
    if changed:
        message = (
            f"what runs after an epoch changes {len(changed)} of {len(trained)} trained parameters, and what they "
            "become depends on what was learnt"
        )
    if lost:
        back = all(torch.equal(one.left[name], some[0].begun[name]) for one in some for name in lost)
        how = "are set back to the values that they began with" if back else "start anew from other values"
        message = (
            f"after each epoch {len(lost)} of {len(trained)} trained parameters {how}, whatever the epoch has learnt: "
            f"{shown(lost)}"
        )
    elif all(one.n_states and not one.n_states_left for one in some):
        message += "; the optimiser's history is lost there"
    return verdict(
        good=not lost, message=message,
        next_step="look in on_epoch for reset_parameters(), a new model, or load_state_dict() of weights that are "
        "never updated",
        statistic=float(len(lost)), null=0.0, tolerance=0.0, n=len(trained),
    )  # fmt: skip


@check(
    "GP413",
    "optimiser.mode_after_epoch",
    "Does training go on in training mode after an epoch?",
    cause="bug", kind="exact", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def mode_after_epoch(probe: Probe) -> CheckResult:
    """The mode in which the steps of each epoch call the model, where a layer of it differs between the two."""
    absent = _not_given(probe)
    if absent is not None:
        return absent
    model = probe.subject.model
    assert model is not None
    modules = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
    layers = [name for name, one in modules if isinstance(one, HAS_MODES)]
    if not layers:
        return CheckResult(outcome="not_applicable", message="the model does the same in both modes")
    first, *later = both_epochs(probe)[0]
    stuck = True in first.training and all(one.training == frozenset({False}) for one in later)
    return verdict(
        good=not stuck,
        message=f"the steps after the first epoch run in evaluation mode: {', '.join(layers[:3])} no longer do what "
        "they do in training" if stuck else "the steps of the second epoch run in the mode of the first",
        next_step="call model.train() at the beginning of every epoch, or in the step: a validation leaves "
        "model.eval() behind",
        statistic=float(stuck), null=0.0, tolerance=0.0, n=len(later),
    )  # fmt: skip
