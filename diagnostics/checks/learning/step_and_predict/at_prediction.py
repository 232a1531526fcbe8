"""The check that predict gives the model the inputs that the training step has trained it with.

A covariate on another scale, a normalisation or an index that only one of the two applies: the inputs of the model's
parts are compared for the same pairs. What differs is blamed only where a trained model, given the step's inputs,
predicts unseen pairs clearly better than it does with predict's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.data.collation import with_other_answers
from diagnostics.checks.engine.answers import errors_if_finite
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.identities import NO_OWN_STEP
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import modes_kept
from diagnostics.checks.learning.short_training import ShortTraining, short_training
from diagnostics.checks.learning.step_and_predict.sites import Calls, answering, calls_of, common_site, unlike
from diagnostics.checks.learning.step_and_predict.trained_again import (
    WORSE,
    Both,
    at_better_rate,
    batched,
    of_part,
    p_worse,
    predicted,
    some_judged,
    trained_again,
)
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Both:
    """The calls of one step and of predict on the same pairs."""

    step: Calls
    predict: Calls


@check(
    "GP511",
    "learning.inputs_at_prediction",
    "Does predict give the model the inputs that the training step has trained it with?",
    cause="bug", kind="statistical", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def inputs_at_prediction(probe: Probe) -> CheckResult:
    """What each part is called with by the step and by predict; if that differs, what it costs after a training."""
    if probe.subject.training_step is None:
        return NO_OWN_STEP
    unlike_parts = _unlike_parts(probe)
    if unlike_parts is None:
        return CheckResult(outcome="not_applicable", message="the step and predict call no part of the model alike")
    if not unlike_parts:
        return CheckResult(
            outcome="pass", message="the step and predict call the model with the same inputs", statistic=0.0,
            tolerance=0.0, n=len(probe.few),
        )  # fmt: skip
    name, how = list(unlike_parts.items())[-1]
    shown = f"{name} is called with {how}"
    training = short_training(probe)
    compared = None if training is None else _compared(probe, training)
    if training is None or compared is None:
        return CheckResult(outcome="not_applicable", message=f"{shown}; what that costs cannot be measured")
    own, as_trained = compared
    p = p_worse(training, own, as_trained)
    return CheckResult(
        outcome="fail" if p < ALPHA else "pass",
        message=f"for the same pairs, {shown}; after {training.n_steps} steps of training the held-out loss is "
        f"{own.loss:.4g} as predict calls it and {as_trained.loss:.4g} with the step's inputs",
        next_step="compare, line by line, what the training step and predict do to the batch before the model: a "
        "logarithm, a scale, a shift, an index, an order",
        statistic=own.loss / max(as_trained.loss, 1e-30), null=WORSE, p=p, n=len(own.n_B),
    )  # fmt: skip


def _unlike_parts(probe: Probe) -> dict[str, str] | None:
    """Parts whose inputs from the data differ, each with how; None where no part can be compared.

    Not what a step draws at random, nor what holds the target: a likelihood's or a teacher's own inputs.
    """
    pairs = probe.few
    usual, again = _both(probe, pairs, draw=0), _both(probe, pairs, draw=1)
    other = _both(probe, with_other_answers(pairs, probe.rng("inputs at prediction")), draw=0)
    step, asked, drawn, altered = usual.step.once(), usual.predict.once(), again.step.once(), other.step.once()
    model = probe.subject.model
    assert model is not None
    modules = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
    names = {module: name or "the model" for name, module in modules}
    found: dict[str, str] = {}
    n_compared = 0
    for module, one in step.items():
        if not (one.from_data and one.before_modes and module in asked and module in drawn and module in altered):
            continue
        mine, theirs = one.inputs, asked[module].inputs
        if [value.shape for value in mine] != [value.shape for value in theirs]:
            continue
        n_compared += 1
        for place, value in enumerate(mine):
            steady = not unlike(drawn[module].inputs[place], value) and not unlike(altered[module].inputs[place], value)
            if steady and unlike(value, theirs[place]):
                found[names[module]] = _how(value, theirs[place])
    return found if n_compared else None


def _how(in_step: Tensor, in_predict: Tensor) -> str:
    one, other = in_step.double(), in_predict.double()
    at = (one != other).flatten().nonzero().flatten()[:3]
    values = [", ".join(f"{float(v):.3g}" for v in value.flatten()[at]) for value in (one, other)]
    share = float((one != other).double().mean())
    return f"{values[0]} in the step where predict has {values[1]} (at {share:.0%} of the positions)"


def _both(probe: Probe, pairs: PairBatch, *, draw: int) -> _Both:
    subject = probe.subject
    with probe.trial(f"inputs at prediction {draw}", redrawn=draw > 0) as (model, optimizer):
        # A step that keeps its first batch shows at the second.
        subject.step(model, optimizer, pairs.rows(np.roll(np.arange(len(pairs)), 1)))
        ((_, batch),) = batched(probe, pairs, len(pairs))
        with modes_kept(model), torch.no_grad(), calls_of(model) as asked:
            subject.predict(model, batch)
        with calls_of(model) as stepped:
            subject.step(model, optimizer, pairs)
    return _Both(step=stepped, predict=asked)


def _compared(probe: Probe, training: ShortTraining) -> Both | None:
    """Errors on unseen pairs as predict calls the model, and with what the model answers in the step."""
    return at_better_rate(probe, training, lambda rate: _trained_at(probe, training, rate))


def _trained_at(probe: Probe, training: ShortTraining, rate: float | None) -> Both | None:
    pairs = some_judged(probe, training)
    token_G = training.fit.part.token_G
    own: list[NDArray[np.float64]] = []
    as_trained: list[NDArray[np.float64]] = []
    with trained_again(probe, training, rate) as (model, optimizer):
        for part, batch in batched(probe, pairs, training.batch_size):
            both = _answers(probe, model, optimizer, part, batch)
            if both is None:
                return None
            own.append(of_part(probe, both[0], batch, token_G))
            as_trained.append(of_part(probe, both[1], batch, token_G))
    part = training.fit.part.of(pairs)
    first, second = (errors_if_finite(np.concatenate(one), part) for one in (own, as_trained))
    return None if first is None or second is None else (first, second)


def _answers(
    probe: Probe, model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch, batch: ModelBatch
) -> tuple[Tensor, Tensor] | None:  # fmt: skip
    """What predict answers, and what it makes of the answer that the step's own call of the model gives."""
    with calls_of(model) as asked:
        own = predicted(probe.subject, model, batch)
    # The rate has come down to next to nothing: the weights stay.
    with calls_of(model) as stepped:
        probe.subject.step(model, optimizer, pairs)
    site = common_site(stepped, asked, n_pairs=len(pairs))
    if site is None:
        return None
    output = stepped.once()[site].output
    assert output is not None
    with answering(site, lambda answer: output.detach().to(answer)):
        return own, predicted(probe.subject, model, batch)
