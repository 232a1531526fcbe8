"""What a short training shows: models that learn, and those that lack one thing, each found by its check.

Dimension key: ``B`` pairs, ``G`` genes of the vocabulary.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.cascade import carried_out, chosen
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.short_training import ShortTraining, pace, short_training
from diagnostics.faults.altered_pairs import AlteredPairs
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from simulators.exact.bayes import bayes
from tests.diagnostics.checks.sources import Changed, Fixed, drawn, pairs_of, with_before
from tests.diagnostics.checks.subjects import Linear, Mlp, failures, found, made, subject

N_GENES = 8


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)


learner = partial(subject, make_optimizer=adamw)


class Constant(nn.Module):
    """One number for each gene, whatever is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.level_G = nn.Parameter(torch.zeros(N_GENES))

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.level_G.expand(before_BG.shape)


class Deaf(nn.Module):
    """Reads the cell before and no perturbation."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(N_GENES, N_GENES)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.map(before_BG)


class OneNumber(nn.Module):
    """The cell before, gene by gene, and one number of the whole perturbation."""

    def __init__(self) -> None:
        super().__init__()
        self.own_G = nn.Parameter(torch.zeros(N_GENES))
        self.one = nn.Sequential(nn.Linear(3 * N_GENES, 32), nn.ReLU(), nn.Linear(32, 1))
        self.all = nn.Linear(1, N_GENES)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        perturbed = torch.cat((before_BG, target_BG, perturbed_BG.to(before_BG)), dim=1)
        return self.own_G * before_BG + self.all(self.one(perturbed))


@pytest.mark.parametrize("regime", ["matched", "counterfactual", "interventional"])
@pytest.mark.parametrize("make", [Linear, pytest.param(Mlp, marks=pytest.mark.slow)], ids=["linear", "mlp"])
def test_healthy_models_fail_nothing(make: Callable[[int], nn.Module], regime) -> None:
    asked = learner(made(lambda: make(N_GENES)), pairs=pairs_of(regime=regime, n_pairs=20_000))
    assert failures(asked, "learning") == []


@pytest.mark.parametrize(
    ("name", "make", "regime"),
    [
        ("learning.beats_baseline", Constant, "interventional"),
        pytest.param("learning.reaches_linear", Constant, "interventional", marks=pytest.mark.slow),
        ("learning.uses_perturbation", Deaf, "interventional"),
        pytest.param("learning.uses_perturbation", Deaf, "counterfactual", marks=pytest.mark.slow),
        ("learning.rank", OneNumber, "interventional"),
    ],
)
def test_a_model_that_lacks_something_is_found_by_its_check(name: str, make: Callable[[], nn.Module], regime) -> None:
    result = found(learner(made(make), pairs=pairs_of(regime=regime, n_pairs=20_000)), name)
    assert (result.outcome, result.cause) == ("fail", "architecture"), result.message
    assert result.next_step


def test_memorised_pairs_are_too_few() -> None:
    few = Fixed(drawn(pairs_of(), 30))
    asked = learner(made(lambda: Mlp(N_GENES)), pairs=few, held_out=pairs_of(seed=0))
    result = found(asked, "learning.generalises")
    assert (result.outcome, result.cause) == ("fail", "data"), result.message


def test_a_loss_below_the_bayes_risk_is_too_good() -> None:
    """The cell before is the cell after, but for a hundredth of noise: no real pair holds that much."""
    source = pairs_of(n_pairs=20_000)

    def leaking(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
        return with_before(pairs, pairs.after_BG + rng.normal(0, 0.01, pairs.after_BG.shape))

    def exact(pairs: PairBatch):
        # The answer to the pairs as they would have been: it does not look at the cell before.
        return bayes(source.scm, "interventional", pairs)

    asked = learner(made(lambda: Linear(N_GENES)), pairs=Changed(source, leaking), exact=exact)
    result = found(asked, "learning.too_good")
    assert (result.outcome, result.cause) == ("fail", "data"), result.message
    honest = learner(made(lambda: Linear(N_GENES)), pairs=source, exact=exact)
    assert found(honest, "learning.too_good").outcome == "pass"


@pytest.mark.slow
def test_a_source_that_keeps_its_model_waiting_is_found() -> None:
    slow = AlteredPairs(source=pairs_of(n_pairs=20_000), wait_s=0.02)
    result = found(learner(made(lambda: Linear(N_GENES)), pairs=slow), "learning.input")
    assert (result.outcome, result.cause) == ("fail", "data"), result.message


def test_a_quick_source_keeps_nobody_waiting() -> None:
    asked = learner(made(lambda: Linear(N_GENES)), pairs=pairs_of(n_pairs=20_000))
    assert found(asked, "learning.input").outcome == "pass"


def test_a_training_that_blows_up_is_put_down_to_the_optimiser() -> None:
    probe = Probe(learner(made(lambda: Linear(N_GENES)), pairs=pairs_of()))
    training = short_training(probe)
    assert training is not None
    blown = Probe(probe.subject)
    blown.once("short training", lambda _: replace(training, diverged=True, model=None))
    result = asked_of(blown, "learning.beats_baseline")
    assert (result.outcome, result.cause) == ("fail", "optimiser")
    assert asked_of(blown, "learning.reaches_linear").outcome == "not_applicable"


def asked_of(probe: Probe, name: str) -> CheckResult:
    (one,) = chosen([name])
    return carried_out(one, probe)


def test_too_few_steps_blame_nobody() -> None:
    probe = Probe(learner(made(Constant), pairs=pairs_of()))
    training = short_training(probe)
    assert training is not None
    short = Probe(probe.subject)
    short.once("short training", lambda _: replace(training, n_steps=20))
    result = asked_of(short, "learning.beats_baseline")
    assert result.outcome == "inconclusive"
    assert "no more steps could be afforded" in result.message


def test_the_pace_rises_and_falls_and_never_exceeds_the_rate() -> None:
    paces = np.array([pace(step, 300) for step in range(300)])
    top = int(np.argmax(paces))
    assert 0 < top < 60
    assert (np.diff(paces[: top + 1]) > 0).all()
    assert (np.diff(paces[top:]) < 0).all()
    assert 0 < paces.min() <= paces.max() <= 1


def test_all_checks_judge_one_training() -> None:
    probe = Probe(learner(made(lambda: Linear(N_GENES)), pairs=pairs_of()))
    first: ShortTraining | None = short_training(probe)
    assert short_training(probe) is first
