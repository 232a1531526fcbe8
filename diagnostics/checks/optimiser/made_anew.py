"""The check that one optimiser makes all steps: a new one at every call has forgotten all gradients but the last."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import NO_OWN_STEP, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult

_N_CALLS = 4


@check(
    "GP416",
    "optimiser.made_anew",
    "Does one optimiser make the steps of the training, with the history that it keeps?",
    cause="bug", kind="exact", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def made_anew(probe: Probe) -> CheckResult:
    """The optimisers that step the model's parameters in a few calls of the training step, and what they remember."""
    if probe.subject.training_step is None:
        return NO_OWN_STEP
    each = _optimisers(probe)
    stepped = [one for one in each if one]
    # One that takes several steps within a call, as an inner loop's does, has its history there.
    forgetful = len(stepped) > 2 and all(len(one) == 1 and one[0][1] for one in stepped)
    name = type(stepped[0][0][0]).__name__ if stepped else "optimiser"
    message = f"the steps of {len(each)} calls are made by the same optimiser, or keep no history"
    if forgetful:
        message = (
            f"at each of {len(stepped)} calls of the training step {name} begins without a history: it is made anew, "
            "or its state is cleared, and its rule averages over the gradients of one batch"
        )
    return verdict(
        good=not forgetful, message=message,
        next_step="make the optimiser once, before the loop, and do not clear its state between steps",
        statistic=float(forgetful), null=0.0, tolerance=0.0, n=len(each),
    )  # fmt: skip


Stepped = tuple[torch.optim.Optimizer, bool]
"""An optimiser that made one step in a call, and whether it came without a history and left with one."""


def _optimisers(probe: Probe) -> list[list[Stepped]]:
    """Those that stepped parameters of the model, call by call; one that made several steps is listed as often."""
    each: list[list[Stepped]] = []
    own = {id(one) for one in probe.subject.model.parameters()} if probe.subject.model is not None else set[int]()
    fresh: dict[int, bool] = {}

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        fresh[id(optimizer)] = not _remembers(optimizer)

    def after(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if any(id(one) in own for group in optimizer.param_groups for one in group["params"]):
            each[-1].append((optimizer, fresh.get(id(optimizer), False) and _remembers(optimizer)))

    handles = register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)
    try:
        with probe.trial("made anew") as (model, optimizer):
            passing = probe.batches("made anew", batch_size=probe.whole_sets(4))
            for _ in range(_N_CALLS):
                each.append([])
                probe.subject.step(model, optimizer, next(passing))
    finally:
        for handle in handles:
            handle.remove()
    return each


def _remembers(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it keeps a tensor as large as a parameter: more than a count of steps."""
    states = cast("dict[Tensor, dict[str, object]]", optimizer.state).items()
    return any(
        isinstance(value, Tensor) and value.shape == parameter.shape and value.numel() > 1
        for parameter, state in states
        for value in state.values()
    )
