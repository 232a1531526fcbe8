"""The same model trained plainly: the squared error of its predictions and Adam in place of its own training step.

Where the model does not learn by its own step, this says whose fault it is: if it learns plainly from the same pairs,
neither the pairs nor the architecture are to blame.
"""

from dataclasses import replace

from diagnostics.checks.engine.gains import Gain
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.short_training import ShortTraining, learns, short_training
from diagnostics.checks.learning.step_in_words import slow_parts, step_in_words
from diagnostics.results.check_result import CheckResult

_NEXT_STEP = (
    "look at the training step: the shapes and the two sides of its loss, what it passes to the model, in which units "
    "and in which mode, what it freezes or detaches"
)


def plain_gain(probe: Probe) -> Gain | None:
    """What the model gains over the input-free baseline if it is trained plainly; None where it is not known."""
    training = probe.once("plain training", _trained)
    if training is None or training.model is None:
        return None
    return training.gain(training.baseline, training.model.errors) if learns(training) else None


def _trained(probe: Probe) -> ShortTraining | None:
    subject = probe.subject
    if subject.training_step is None and subject.objective is None:
        return None
    plainly = replace(
        subject, training_step=None, objective=None, loss=None, make_optimizer=None, on_epoch=None, n_epochs=None
    )
    try:
        return short_training(Probe(plainly, seed=probe.seed, n_sample=probe.n_sample))
    except RuntimeError:
        # Predictions without gradients, such as of a predict() that turns them off, cannot be trained by.
        return None


def put_down_to_the_step(probe: Probe, found: CheckResult) -> CheckResult:
    """A failure to learn, as a bug of the training step where the model learns without it."""
    if found.outcome != "fail":
        return found
    gain = plain_gain(probe)
    if gain is None:
        return replace(found, message=f"{found.message}{slow_parts(probe)}")
    return replace(
        found, cause="bug", next_step=_NEXT_STEP,
        message=f"{found.message}; trained plainly, by the squared error of its predictions and Adam, the same model "
        f"is {gain} below it: the fault lies in its own training step{step_in_words(probe)}",
    )  # fmt: skip
