"""Cures in paired trainings: what was planted is cured and nothing else is, and what is healthy is left alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.cascade import in_measured_order
from diagnostics.checks.cures import changes
from diagnostics.checks.cures import tried as tried_file
from diagnostics.checks.cures.cure import cures_for
from diagnostics.checks.cures.tried import cures_tried
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.check_result import CheckResult
from diagnostics.results.cure_result import CureResult
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.sources import pairs_of
from tests.diagnostics.checks.subjects import Mlp, adamw, made, subject

PAIRS = pairs_of()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch):
    """Fewer steps than a person gets."""
    monkeypatch.setattr(tried_file, "N_STEPS", 40)


def perceptron(model: nn.Module | None = None, **parts) -> Subject:
    return subject(
        made(lambda: Mlp(8)) if model is None else model, **{"pairs": PAIRS, "make_optimizer": adam, **parts}
    )


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)


def descent(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.3)


def failed(*names: str) -> list[CheckResult]:
    return [
        CheckResult(name=name, outcome="fail", message="bad", next_step="mend", statistic=1.0, tolerance=0.0)
        for name in names
    ]


def tried(asked: Subject, *names: str) -> dict[str, CureResult]:
    """By the first words of their names."""
    found = cures_tried(Probe(asked, n_sample=1_000), failed(*names or ("learning.beats_baseline",)))
    return {one.name.split(",")[0].split(" (")[0]: one for one in found}


def offered(asked: Subject) -> list[str]:
    """Names of the cures that can be tried, up to their details."""
    return [one.name.split(" (")[0] for one in cures_for(Probe(asked, n_sample=1_000))]


def with_step(asked: Subject, between: Callable[[nn.Module], object]) -> Subject:
    """Its own step, which does something between backward and the update."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
        optimizer.zero_grad()
        loss = asked.composed_loss(model, pairs)
        loss.backward()
        between(model)
        optimizer.step()
        return loss.detach()

    return replace(asked, training_step=step)


def clipped_to_nothing(model: nn.Module) -> object:
    return nn.utils.clip_grad_norm_(model.parameters(), 1e-6)


def helping(found: dict[str, CureResult]) -> list[str]:
    return [name for name, one in found.items() if one.outcome == "helps"]


UNCLIPPED = "gradients as they are added up"


@pytest.mark.slow
def test_gradients_clipped_to_nothing_are_cured():
    asked = with_step(
        perceptron(make_optimizer=descent), lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1e-6)
    )
    found = tried(asked, "learning.rate", "optimiser.gradients")
    assert next(iter(found)) in (UNCLIPPED, "a plain step")
    unclipped, higher = found[UNCLIPPED], found["learning rate x10"]
    assert (unclipped.outcome, unclipped.checks) == ("helps", ("optimiser.gradients",))
    assert unclipped.gain is not None
    assert higher.gain is not None
    # Ten times a millionth is nothing still.
    assert abs(higher.gain) < 0.01 * unclipped.gain


@pytest.mark.parametrize("clipped", [True, False])
def test_gradients_are_altered_only_where_the_step_does_so(clipped: bool):
    asked = with_step(perceptron(), clipped_to_nothing if clipped else lambda model: None)
    assert (UNCLIPPED in offered(asked)) == clipped


@pytest.mark.parametrize("share", [0.95, 0.0])
def test_dropout_of_nearly_everything_is_cured(share: float):
    found = tried(perceptron(made(lambda: Mlp(8, extra=nn.Dropout(share)))))
    assert ("no dropout" in found) == (share > 0)
    assert (helping(found)[:1] == ["no dropout"]) == (share > 0)


@pytest.mark.slow
def test_dropout_by_a_function_is_found_as_well():
    class Dropped(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return nn.functional.dropout(value, 0.95, self.training)

    found = tried(perceptron(made(lambda: Mlp(8, extra=Dropped()))))
    assert helping(found)[:1] == ["no dropout"]
    assert nn.functional.dropout is torch.nn.functional.dropout
    assert not bool(nn.functional.dropout(torch.ones(1000), 0.95).all())


def test_a_loss_that_is_not_masked_is_cured_by_the_masked_one():
    def unmasked(prediction: Tensor, after: Tensor, scored: Tensor) -> Tensor:
        return ((prediction - after) ** 2 * (100 - 99 * scored.float())).mean()

    found = tried(perceptron(loss=unmasked), "loss.scored_only")
    name = "squared error over scored genes in place of the loss"
    assert (found[name].outcome, found[name].checks) == ("helps", ("loss.scored_only",))


def test_a_step_in_evaluation_mode_is_cured_by_training_mode():
    def make() -> nn.Module:
        return Mlp(8, extra=nn.BatchNorm1d(32))

    usual = perceptron(made(make))

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
        model.eval()
        optimizer.zero_grad()
        loss = usual.composed_loss(model, pairs)
        loss.backward()
        optimizer.step()
        return loss.detach()

    assert "training mode in every step" not in offered(usual)
    assert "training mode in every step" in offered(replace(usual, training_step=step))
    assert usual.model is not None
    assert "train" not in vars(usual.model)


def test_half_precision_is_undone_and_put_back():
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = usual.composed_loss(model, pairs)
        loss.backward()
        optimizer.step()
        return loss.detach()

    usual = perceptron()
    assert "float32 in place of bfloat16" in offered(replace(usual, training_step=step))
    with changes.autocast() as entered, torch.autocast("cpu", dtype=torch.bfloat16):
        assert not torch.is_autocast_enabled("cpu")
    assert entered == ["bfloat16"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.slow
def test_parameters_in_half_precision_are_cast_within_and_back():
    model = made(lambda: Mlp(8)).bfloat16()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = tried(perceptron(model))
    assert "float32 in place of bfloat16" in found
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16}


def test_a_rate_a_hundred_times_too_high_is_cured_by_the_suggested_one():
    def high(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.0)

    report = diagnose(perceptron(make_optimizer=high), only=("learning.rate",), cures=True)
    assert report.diagnosis is not None
    best = report.cures[0]
    assert (best.outcome, best.checks) == ("helps", ("learning.rate",))
    assert "as the range test suggests" in best.name
    assert best.low is not None
    assert best.low > 0
    assert best.line() in " ".join(report.text(width=1_000).split("cure  "))


def test_a_cure_for_a_step_of_its_own_says_what_cannot_be_tried():
    inner = made(lambda: Mlp(8))
    own = torch.optim.AdamW(inner.parameters(), lr=1e-6)
    usual = perceptron(inner)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
        own.zero_grad()
        loss = usual.composed_loss(model, pairs)
        loss.backward()
        own.step()
        return loss.detach()

    found = tried(replace(usual, training_step=step, make_optimizer=None))
    assert "give optimizer= too" in found["a plain step"].message
    assert "give optimizer= too" in found["schedule held at its highest rate"].message
    # Its rate can be scaled all the same.
    assert found["learning rate x10"].outcome == "helps"
    assert own.param_groups[0]["lr"] == 1e-6


def test_a_training_that_fails_is_no_cure_and_no_error():
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        raise ValueError("no step today")

    (found,) = cures_tried(Probe(perceptron(training_step=step)), failed("optimiser.gradients"))
    assert (found.outcome, "no step today" in found.message) == ("not_tried", True)


def test_nothing_is_tried_on_what_passes_or_is_not_there():
    assert diagnose(perceptron(), only=("loss",), cures=True).cures == ()
    assert cures_tried(Probe(perceptron()), []) == ()
    (found,) = cures_tried(Probe(Subject(pairs=PAIRS)), failed("data.signal"))
    assert "needs a model" in found.message
    assert diagnose(perceptron(loss=lambda p, a, s: (p - a).sum()), only=("loss",)).cures == ()


@pytest.mark.slow
def test_what_was_trained_is_put_back():
    asked = perceptron(make_optimizer=adamw)
    assert asked.model is not None
    before = {name: value.clone() for name, value in asked.model.state_dict().items()}
    first, again = (cures_tried(Probe(asked), failed("learning.rate")) for _ in range(2))
    assert first == again
    assert all(torch.equal(value, before[name]) for name, value in asked.model.state_dict().items())


def cure(check: str, gain: float, half: float) -> CureResult:
    return CureResult(
        name=check, outcome="helps", message="m", checks=(check,), gain=gain, low=gain - half, high=gain + half
    )


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [((0.1, 0.05), (0.5, 0.1), "b"), ((0.1, 0.05), (0.2, 0.06), "a"), ((0.5, 0.1), (0.1, 0.05), "a")],
    ids=["apart", "overlapping", "apart, in order"],
)
def test_the_order_of_causes_follows_gains_that_are_apart(first, second, order: str):
    results = tuple(failed("loss.a", "optimiser.b"))
    results = (results[0], replace(results[1], consequence_of="loss.a"))
    found = in_measured_order(results, (cure("loss.a", *first), cure("optimiser.b", *second)))
    assert [one.name for one in found if not one.consequence_of] == [{"a": "loss.a", "b": "optimiser.b"}[order]]
    assert in_measured_order(results, (cure("optimiser.b", *second),)) == results
    assert in_measured_order(results, ()) == results


def test_a_cures_numbers_are_finite():
    with pytest.raises(InputError, match=r"CureResult\.gain"):
        CureResult(name="rate", outcome="helps", message="m", gain=float("inf"))
    with pytest.raises(InputError, match="nearest"):
        CureResult(name="rate", outcome="help", message="m")  # pyright: ignore[reportArgumentType]
