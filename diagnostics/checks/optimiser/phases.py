"""Trainings in phases: what a step does at the end of its run, where it does something else at the beginning.

A curriculum leaves hard pairs out at first, an autoencoder is trained before perturbations are given to it. What a step
lacks then is no fault if it has it in the last epoch. That epoch is reached by calling what runs after each epoch.
"""

import copy
from dataclasses import replace

from diagnostics.checks.engine.check import Check
from diagnostics.checks.engine.identities import as_risk
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult

_OF_THE_STEP = frozenset({"GP208", "GP210", "GP211", "GP212", "GP404", "GP406"})
"""What a step reads and moves; not rates and schedules, which are judged over all epochs."""

_MOST_EPOCHS = 100


def only_at_first(one: Check, probe: Probe, found: CheckResult) -> CheckResult:
    """A failure of a step, or a risk where the same question is answered well in the last epoch."""
    subject = probe.subject
    if (
        found.outcome != "fail" or one.code not in _OF_THE_STEP or subject.training_step is None
        or subject.on_epoch is None or subject.n_epochs is None or subject.n_epochs < 2 or subject.model is None
    ):  # fmt: skip
        return found
    with probe.trial("last epoch") as (model, optimizer):
        weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
        for _ in range(min(subject.n_epochs - 1, _MOST_EPOCHS)):
            subject.end_epoch()
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        later = one.ask(Probe(replace(subject, on_epoch=None), seed=probe.seed, n_sample=probe.n_sample))
    return as_risk(found, "since it is so in the first epochs only") if later.outcome == "pass" else found
