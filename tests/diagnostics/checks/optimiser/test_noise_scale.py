"""The gradient noise scale against closed forms: gradients of known mean and covariance, and a model of constants."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.cascade import all_checks, chosen
from diagnostics.checks.optimiser.noise_scale import noise_scale
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.sources import Fixed, drawn, pairs_of
from tests.diagnostics.checks.subjects import Mlp, found, made, subject

NAME = "optimiser.batch_size"


@pytest.mark.parametrize(("signal", "scale"), [(1.0, 40.0), (0.5, 160.0), (2.0, 10.0)])
def test_gradients_of_known_noise(signal: float, scale: float):
    """``|G|^2 = signal^2`` and ``tr S = 40``, in 20 directions; batches of 8 pairs."""
    rng = np.random.default_rng(0)
    mean_E = np.zeros(20)
    mean_E[0] = signal
    values: list[float] = []
    covered = 0
    for _ in range(40):
        gradients = [mean_E + rng.normal(0, (2 / 8) ** 0.5, 20) for _ in range(160)]
        one = noise_scale(gradients, 8)
        values.append(one.signal / one.noise)
        covered += one.pairs.low <= scale <= one.pairs.high
    # Unbiased in its inverse; the intervals hold the truth in about 95 %.
    assert np.mean(values) == pytest.approx(1 / scale, abs=4 * float(np.std(values)) / 40**0.5)
    assert covered >= 33


def test_a_signal_of_nothing_has_no_upper_end():
    rng = np.random.default_rng(1)
    one = noise_scale([rng.normal(0, 1, 50) for _ in range(160)], 8)
    assert one.pairs.high == np.inf
    assert one.pairs.low > 100


class Constants(nn.Module):
    """One number a gene: the gradient of a pair's mean squared error is ``2 (level - after) / G``."""

    def __init__(self, level_G: Tensor) -> None:
        super().__init__()
        self.level_G = nn.Parameter(level_G)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.level_G.expand(before_BG.shape)


def still(model: nn.Module) -> torch.optim.Optimizer:
    """So slow that its weights stay where they begin."""
    return torch.optim.SGD(model.parameters(), lr=1e-12)


def unperturbed() -> PairBatch:
    pairs = drawn(pairs_of(), 4_000)
    return replace(pairs, perturbed_BG=np.zeros_like(pairs.perturbed_BG))


def of_constants(distance: float, monkeypatch: pytest.MonkeyPatch) -> tuple[CheckResult, float]:
    """What is found, and ``tr Cov(after) / |level - mean|^2``."""
    monkeypatch.setattr("diagnostics.checks.optimiser.noise_scale.best_rate", lambda probe: None)
    pairs = unperturbed()
    level_G = pairs.after_BG.mean(axis=0) + distance
    asked = subject(Constants(torch.as_tensor(level_G)), pairs=Fixed(pairs), make_optimizer=still)
    return found(asked, NAME), float(pairs.after_BG.var(axis=0).sum() / (8 * distance**2))


@pytest.mark.parametrize("distance", [0.3, 1.0])
def test_a_model_of_constants(distance: float, monkeypatch: pytest.MonkeyPatch):
    result, scale = of_constants(distance, monkeypatch)
    assert result.outcome == "pass", result.message
    assert result.statistic == pytest.approx(scale, rel=0.25)
    assert "about" in result.next_step


def test_at_the_optimum_there_is_only_noise(monkeypatch: pytest.MonkeyPatch):
    result, _ = of_constants(1e-3, monkeypatch)
    assert result.outcome == "inconclusive"
    assert "does not stand out of its noise" in result.message


def test_a_network_has_one_and_it_is_asked_by_name_alone():
    result = found(subject(made(lambda: Mlp(8)), pairs=pairs_of()), NAME)
    assert result.outcome == "pass", result.message
    assert result.statistic is not None
    assert 10 < result.statistic < 10_000
    optional = [one for one in all_checks() if one.optional]
    assert NAME in [one.name for one in optional]
    assert not set(optional) & {*chosen([]), *chosen(["exact", "optimiser"])}
    assert [one.name for one in chosen(["GP414"])] == [NAME]
