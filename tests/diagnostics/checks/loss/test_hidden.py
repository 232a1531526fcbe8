"""NaN in a prediction: hidden by a loss or a step that leaves it out, seen in those that mask by the targets."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.loss.hidden import hides_nan
from gpcp import torch_seed
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import adamw, pairs_of

PAIRS = pairs_of()
N_GENES = len(PAIRS.vocab)


class Net(nn.Module):
    """A small module of dense tensors."""

    def __init__(self) -> None:
        super().__init__()
        with torch_seed(0):
            self.layer = nn.Linear(2 * N_GENES, N_GENES)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return before_BG + self.layer(torch.cat([before_BG, target_BG], dim=-1))


def judged(loss: Callable[..., Tensor]) -> str:
    return hides_nan(Probe(Subject(pairs=PAIRS, loss=loss))).outcome


def nan_mean(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return torch.where(scored_BL, (prediction_BL - after_BL) ** 2, torch.nan).nanmean()


def filled(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL.nan_to_num(), after_BL, scored_BL)


def only_finite(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    kept_BL = scored_BL & prediction_BL.isfinite()
    return (prediction_BL - after_BL)[kept_BL].square().mean()


def by_targets(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    missing_BL = torch.where(scored_BL, after_BL, torch.nan)
    kept_BL = missing_BL.isfinite()
    return nn.functional.smooth_l1_loss(prediction_BL[kept_BL], missing_BL[kept_BL])


def times_mask(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    counts_BL = scored_BL.to(prediction_BL.dtype)
    return ((prediction_BL - after_BL) ** 2 * counts_BL).sum() / counts_BL.sum()


def clipped(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return (prediction_BL - after_BL)[scored_BL].square().clamp(max=30.0).mean()


@pytest.mark.parametrize("loss", [nan_mean, filled, only_finite])
def test_a_loss_that_leaves_out_what_is_no_number_is_named(loss: Callable[..., Tensor]) -> None:
    assert judged(loss) == "fail"


def trimmed(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    error_E = (prediction_BL - after_BL)[scored_BL].square()
    return error_E.topk(len(error_E) * 19 // 20, largest=False).values.mean()


@pytest.mark.parametrize("loss", [masked_loss, by_targets, times_mask, clipped, trimmed])
def test_masks_of_the_targets_are_healthy(loss: Callable[..., Tensor]) -> None:
    assert judged(loss) == ("not_applicable" if loss is trimmed else "pass")


def stepping(loss: Callable[..., Tensor], *, sets: bool = False) -> Subject:
    """A step of one's own; of sets one that calls ``forward`` itself and takes the mean of each set first."""
    model = Net()

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        batch, after_BL = model_batch(pairs)
        optimizer.zero_grad()
        if sets:
            shape = (len(pairs) // 4, 4, N_GENES)
            dense = (torch.tensor(one) for one in (pairs.before_BG, pairs.after_BG * pairs.perturbed_BG))
            answer = model.forward(*(one.reshape(shape) for one in dense), after_BL, after_BL)
            per_set = (answer - torch.tensor(pairs.after_BG).reshape(shape)).square().mean(dim=(1, 2))
            value = loss(per_set, torch.zeros_like(per_set), torch.ones_like(per_set, dtype=torch.bool))
        else:
            value = loss(subject.predict(model, batch), after_BL, batch.scored_BL)
        value.backward()
        optimizer.step()
        return float(value.detach())

    subject = Subject(pairs=PAIRS, model=model, make_optimizer=adamw, training_step=step)
    return subject  # the step asks it


@pytest.mark.parametrize(("loss", "outcome"), [(nan_mean, "fail"), (masked_loss, "pass"), (by_targets, "pass")])
def test_a_step_is_asked_through_the_answers_of_its_model(loss: Callable[..., Tensor], outcome: str) -> None:
    subject = stepping(loss)
    before = [one.detach().clone() for one in subject.model.parameters()] if subject.model is not None else []
    found = hides_nan(Probe(subject))
    assert found.outcome == outcome, found.message
    assert subject.model is not None
    assert all(torch.equal(one, other) for one, other in zip(before, subject.model.parameters(), strict=True))


@pytest.mark.parametrize(("loss", "outcome"), [(nan_mean, "fail"), (masked_loss, "pass")])
def test_a_set_that_diverges_is_to_be_seen(loss: Callable[..., Tensor], outcome: str) -> None:
    subject = stepping(loss, sets=True)
    assert len(Probe(subject).few) % 4 == 0
    assert hides_nan(Probe(subject)).outcome == outcome


def test_a_step_that_refuses_says_so() -> None:
    def refusing(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
        value = masked_loss(prediction_BL, after_BL, scored_BL)
        if not value.isfinite():
            raise FloatingPointError("the loss is not finite")
        return value

    assert hides_nan(Probe(stepping(refusing))).outcome == "pass"


def test_nothing_of_ones_own_is_not_asked() -> None:
    assert hides_nan(Probe(Subject(pairs=PAIRS))).outcome == "not_applicable"
