"""Torch's own losses and softmax: what they take, and what they are given by mistake."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.inputs.diagnose import diagnose
from gpcp.model.torch_seed import torch_seed

N_GENES = 5


def attended(scores: Tensor, fill: float) -> Tensor:
    """The mean of a softmax that leaves the first key out if ``fill`` shuts it."""
    is_shut = torch.zeros(scores.shape[-1], dtype=torch.bool)
    is_shut[0] = True
    return scores.masked_fill(is_shut, fill).softmax(-1).square().mean()


@dataclass
class Case:
    """What a step lowers, of the model's answer and the cell after; and what is wrong with it."""

    loss: Callable[[Tensor, Tensor], Tensor]
    wrong: str = ""


CASES = {
    "logits": Case(lambda out, y: functional.binary_cross_entropy_with_logits(out, (y > 0).float())),
    "sigmoid twice": Case(
        lambda out, y: functional.binary_cross_entropy_with_logits(out.sigmoid(), (y > 0).float()), "gets probabilities"
    ),
    "classes": Case(lambda out, y: functional.cross_entropy(out, y.argmax(1))),
    "softmax twice": Case(lambda out, y: functional.cross_entropy(out.softmax(1), y.argmax(1)), "cross_entropy gets"),
    "log-probabilities": Case(lambda out, y: functional.nll_loss(out.log_softmax(1), y.argmax(1))),
    "probabilities": Case(lambda out, y: functional.nll_loss(out.softmax(1), y.argmax(1)), "use log_softmax"),
    "divergence": Case(lambda out, y: functional.kl_div(out.log_softmax(1), y.softmax(1), reduction="batchmean")),
    "divergence of probabilities": Case(
        lambda out, y: functional.kl_div(out.softmax(1), y.softmax(1), reduction="batchmean"), "kl_div gets"
    ),
    "logarithms of rates": Case(lambda out, y: functional.poisson_nll_loss(out, y.abs())),
    "rates": Case(lambda out, y: functional.poisson_nll_loss(functional.softplus(out), y.abs(), log_input=False)),
    "rates below 0": Case(lambda out, y: functional.poisson_nll_loss(out, y.abs(), log_input=False), "rates below 0"),
    "masked": Case(lambda out, y: functional.mse_loss(out, y) + attended(out, float("-inf"))),
    "masked by a large number": Case(lambda out, y: functional.mse_loss(out, y) + attended(out, -1e9)),
    "masked by a small number": Case(lambda out, y: functional.mse_loss(out, y) + attended(out, 1e-9), "stays in"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_loss_is_not_made_for_is_named(case: Case):
    draw = torch.Generator().manual_seed(0)
    arrays = {name: torch.randn(64, N_GENES, generator=draw) for name in ("before", "after")}
    arrays["perturbation"] = functional.one_hot(torch.arange(64) % N_GENES, N_GENES)
    with torch_seed(0):
        model = nn.Linear(2 * N_GENES, N_GENES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def predict(batch: dict[str, Tensor]) -> Tensor:
        return model(torch.cat([batch["before"], batch["perturbation"]], dim=1))

    def step(batch: dict[str, Tensor]) -> float:
        optimizer.zero_grad()
        loss = case.loss(predict(batch), batch["after"])
        loss.backward()
        optimizer.step()
        return loss.item()

    (result,) = diagnose(
        model, arrays, optimizer=optimizer, training_step=step, predict=predict, given="identity", only=["GP214"]
    ).results
    assert result.outcome == ("fail" if case.wrong else "pass"), result.message
    assert case.wrong in result.message
