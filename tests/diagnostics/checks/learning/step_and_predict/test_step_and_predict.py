"""The step and predict of somebody's loop: the same inputs, the same units, and the weights that predict loads."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.check_result import CheckResult
from gpcp.model.torch_seed import torch_seed

N_GENES = 6

Batch = Mapping[str, Tensor]
Inputs = Callable[[Batch], Tensor]


def arrays(n_pairs: int, seed: int, noise: float = 0.05) -> dict[str, Tensor]:
    """Cells, one gene of each perturbed by a dose, and what follows linearly from it."""
    draw = torch.Generator().manual_seed(seed)
    before = 2 + torch.randn(n_pairs, N_GENES, generator=draw)
    gene = torch.randint(N_GENES, (n_pairs,), generator=draw)
    dose = 1 + 2 * torch.rand(n_pairs, generator=draw)
    given = functional.one_hot(gene, N_GENES) * dose[:, None]
    effect = torch.randn(N_GENES, N_GENES, generator=torch.Generator().manual_seed(7))
    after = before + given @ effect + noise * torch.randn(n_pairs, N_GENES, generator=draw)
    return {"before": before, "perturbation": given, "after": after}


def as_given(batch: Batch) -> Tensor:
    return torch.cat([batch["before"], batch["perturbation"]], dim=1)


def logged(batch: Batch) -> Tensor:
    return torch.cat([batch["before"], batch["perturbation"].log1p()], dim=1)


def shifted(batch: Batch) -> Tensor:
    return torch.cat([batch["before"], batch["perturbation"].roll(1, dims=1)], dim=1)


def noisy(batch: Batch) -> Tensor:
    return as_given(batch) + 0.1 * torch.randn(len(batch["before"]), 2 * N_GENES)


def identity(value: Tensor, batch: Batch) -> Tensor:
    return value


def change(value: Tensor, batch: Batch) -> Tensor:
    return value - batch["before"]


def whole(value: Tensor, batch: Batch) -> Tensor:
    return value + batch["before"]


def small(value: Tensor, batch: Batch) -> Tensor:
    return (value - 1) / 3


def large(value: Tensor, batch: Batch) -> Tensor:
    return value * 3 + 1


@dataclass
class Loop:
    """A training of one's own with a step, a predict, and in between what one of them does and the other does not."""

    in_step: Inputs = as_given
    in_predict: Inputs = as_given
    target: Callable[[Tensor, Batch], Tensor] = identity
    back: Callable[[Tensor, Batch], Tensor] = identity
    criterion: Callable[[Tensor, Tensor], Tensor] = functional.mse_loss
    model: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        with torch_seed(0):
            self.model = nn.Sequential(nn.Linear(2 * N_GENES, 64), nn.ReLU(), nn.Linear(64, N_GENES))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=5e-3)

    def step(self, batch: Batch) -> float:
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(self.in_step(batch)), self.target(batch["after"], batch))
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self, batch: Batch) -> Tensor:
        return self.back(self.model(self.in_predict(batch)), batch)

    def result(self, code: str, **more: Any) -> CheckResult:
        report = diagnose(
            self.model, arrays(1500, 1), held_out=arrays(500, 2), optimizer=self.optimizer, training_step=self.step,
            predict=self.predict, given="identity and dose", only=[code], **more,
        )  # fmt: skip
        (result,) = report.results
        return result


@pytest.mark.parametrize("in_step", [as_given, noisy])
def test_the_same_inputs_and_what_is_drawn_at_random_pass(in_step: Inputs):
    result = Loop(in_step=in_step).result("GP511")
    assert (result.outcome, result.statistic) == ("pass", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("in_predict", [logged, shifted])
def test_other_inputs_at_prediction_are_a_bug(in_predict: Inputs):
    result = Loop(in_predict=in_predict).result("GP511")
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert "the model is called with" in result.message


@pytest.mark.slow
def test_the_target_among_the_inputs_is_another_question():
    def teacher(batch: Batch) -> Tensor:
        return torch.cat([batch["after"], batch["perturbation"]], dim=1)

    assert Loop(in_step=teacher).result("GP511").outcome != "fail"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "back", "criterion"),
    [
        (identity, identity, functional.mse_loss),
        (small, large, functional.mse_loss),
        (change, whole, functional.mse_loss),
        (small, large, functional.smooth_l1_loss),
        (identity, identity, functional.poisson_nll_loss),
    ],
)  # fmt: skip
def test_what_predict_turns_back_passes_whatever_the_loss(target: Any, back: Any, criterion: Any):
    assert Loop(target=target, back=back, criterion=criterion).result("GP512").outcome in ("pass", "not_applicable")


@pytest.mark.slow
@pytest.mark.parametrize("criterion", [functional.mse_loss, functional.smooth_l1_loss])
@pytest.mark.parametrize(
    ("target", "back", "named"),
    [
        (small, identity, "times its value"),
        (identity, large, "times its value"),
        (change, identity, "without the cell before"),
        (identity, whole, "on top of the cell after"),
    ],
)
def test_predictions_in_other_units_than_the_loss_are_a_bug(target: Any, back: Any, named: str, criterion: Any):
    result = Loop(target=target, back=back, criterion=criterion).result("GP512")
    assert (result.outcome, result.cause) == ("fail", "bug"), result.message
    assert named in result.message


def test_a_loss_without_a_single_answer_is_not_judged():
    def absolute(answer: Tensor, target: Tensor) -> Tensor:
        return (answer - target).abs().mean()

    assert Loop(criterion=absolute).result("GP512").outcome in ("pass", "not_applicable")


class Best(Loop):
    """A net that overfits a few cells; predictions come from the best weights so far, as they were kept."""

    def __init__(self, keep: Callable[[Any], Any], measured_on: Batch) -> None:
        super().__init__()
        self.keep, self.measured_on = keep, measured_on
        with torch_seed(0):
            self.model = nn.Sequential(nn.Linear(2 * N_GENES, 256), nn.ReLU(), nn.Linear(256, N_GENES))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=5e-3)
        self.best = {"loss": float("inf"), "weights": keep(self.model.state_dict())}

    def on_epoch(self) -> None:
        with torch.no_grad():
            loss = functional.mse_loss(self.model(as_given(self.measured_on)), self.measured_on["after"]).item()
        if loss < self.best["loss"]:
            self.best.update(loss=loss, weights=self.keep(self.model.state_dict()))

    def predict(self, batch: Batch) -> Tensor:
        last = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self.best["weights"])
        answer = self.model(as_given(batch))
        self.model.load_state_dict(last)
        return answer

    def judged(self, *, only: list[str]) -> Any:
        return diagnose(
            self.model, few(), held_out=arrays(400, 2, noise=1.0), optimizer=self.optimizer, training_step=self.step,
            predict=self.predict, given="identity and dose", on_epoch=self.on_epoch, n_epochs=200, only=only,
        )  # fmt: skip


def few() -> dict[str, Tensor]:
    return arrays(96, 1, noise=1.0)


def as_they_are(weights: Any) -> Any:
    return weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keep", "measured_on", "why"),
    [
        (copy.deepcopy, arrays(96, 3, noise=1.0), None),
        (as_they_are, arrays(96, 3, noise=1.0), "without a copy"),
        (copy.deepcopy, few(), "pairs that are trained on"),
    ],
)
def test_the_weights_that_predict_loads_are_held_against_the_best_epoch(keep: Any, measured_on: Any, why: str | None):
    best = Best(keep, measured_on)
    (result,) = best.judged(only=["GP513"]).results
    assert result.outcome == ("pass" if why is None else "fail"), result.message
    assert why is None or why in result.message


@pytest.mark.slow
def test_a_model_whose_predict_loads_weights_is_asked_as_it_is():
    report = Best(copy.deepcopy, arrays(96, 3, noise=1.0)).judged(only=["GP302", "GP507"])
    assert {one.outcome for one in report.results} <= {"pass", "not_applicable"}
