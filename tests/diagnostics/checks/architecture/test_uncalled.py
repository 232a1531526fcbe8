"""A layer that the step never calls is noted; one that only another term of the loss uses is not taken for it."""

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from tests.diagnostics.checks.subjects import adamw, found, pairs_of

NEVER = "the training step, whose optimiser holds them, never calls them"
N_GENES = 8


class WithHead(nn.Module):
    """A batch predictor beside the answers, whose output only a term of the loss may use."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(N_GENES, N_GENES)
        self.batch_predictor = nn.Linear(N_GENES, 2)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return before_BG + self.layer(target_BG)


def stepping(*, uses: bool, calls: bool = True, intent: Intent | None = None) -> Subject:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        assert isinstance(model, WithHead)
        batch, after_BL = model_batch(pairs)
        optimizer.zero_grad()
        value = subject.scalar_loss(subject.predict(model, batch), after_BL, batch.scored_BL)
        if uses:
            value = value + model.batch_predictor(batch.before_BL).square().mean()
        elif calls:
            model.batch_predictor(batch.before_BL)
        value.backward()
        optimizer.step()
        return float(value.detach())

    subject = Subject(
        pairs=pairs_of(N_GENES), model=WithHead(), make_optimizer=adamw, training_step=step, intent=intent or Intent()
    )
    return subject


def test_a_layer_that_is_built_and_never_called_is_noted_and_no_fault():
    result = found(stepping(uses=False, calls=False), "architecture.gradients")
    assert result.outcome == "pass"
    assert (
        f"2 parameters enter no prediction, and {NEVER}: batch_predictor.weight, batch_predictor.bias" in result.message
    )
    assert result.next_step


def test_a_head_that_the_step_calls_is_not_called_dead():
    for uses in (True, False):
        message = found(stepping(uses=uses), "architecture.gradients").message
        assert NEVER not in message
        assert "enter no prediction: batch_predictor.weight" in message


def test_what_is_unused_on_purpose_is_no_note():
    meant = found(
        stepping(uses=False, calls=False, intent=Intent(unused=("batch_predictor.*",))), "architecture.gradients"
    )
    assert (meant.outcome, meant.next_step) == ("pass", "")
