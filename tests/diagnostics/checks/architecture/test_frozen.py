"""Frozen weights that nothing was learnt in, and learnt ones of many kinds that are taken for such."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from diagnostics.checks.architecture.frozen import is_noise
from diagnostics.checks.engine.intent import Intent
from tests.diagnostics.checks.subjects import Mlp, failures, found, made, subject

NAME = "architecture.frozen"


def held(*, learnt: bool) -> nn.Module:
    model = made(lambda: Mlp(8))
    weight = model.get_parameter("first.weight")
    if learnt:
        # A direction that most rows share, as training leaves it.
        row = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            weight.add_(0.2 * row)
    weight.requires_grad_(False)
    return model


@pytest.mark.parametrize("intent", [Intent(), Intent(frozen=("first.*",))])
def test_a_frozen_layer_at_its_draw_is_found_even_if_it_is_meant_to_be_frozen(intent: Intent):
    asked = subject(held(learnt=False), intent=intent)
    result = found(asked, NAME)
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert "first.weight" in result.message
    assert failures(asked, "architecture") == [NAME]
    assert found(subject(held(learnt=True), intent=intent), NAME).outcome == "pass"
    assert found(subject(made(lambda: Mlp(8))), NAME).outcome == "not_applicable"


DRAWN = {
    "linear": lambda seed: nn.Linear(40, 64).weight,
    "narrow": lambda seed: nn.Linear(20, 8).weight,
    "embedding": lambda seed: nn.Embedding(21, 32).weight,
    "xavier": lambda seed: nn.init.xavier_uniform_(torch.empty(48, 16)),
    "kaiming": lambda seed: nn.init.kaiming_normal_(torch.empty(64, 32)),
    "small": lambda seed: 1e-3 * torch.randn(60, 20),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_usual_draw_is_noise(name: str):
    n_found = 0
    for seed in range(20):
        torch.manual_seed(seed)
        n_found += is_noise(DRAWN[name](seed).detach().double().numpy())
    # Four tests at a hundredth each, and a singular value that fluctuates more the smaller the matrix.
    assert n_found >= 16


def components(rng: np.random.Generator) -> NDArray[np.float64]:
    left, _, _ = np.linalg.svd(rng.normal(size=(60, 200)) @ rng.normal(size=(200, 60)))
    return np.asarray(left[:, :20] * 60**0.5)


def clustered(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(rng.normal(size=(5, 24))[rng.integers(5, size=200)] + 0.3 * rng.normal(size=(200, 24)))


def one_hot(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.eye(30)[rng.permutation(30)]


def low_rank(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(rng.normal(size=(80, 4)) @ rng.normal(size=(4, 40)) + 0.2 * rng.normal(size=(80, 40)))


def one_direction(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(rng.normal(size=(64, 64)) + 0.5 * rng.normal(size=64)[:, None])


@pytest.mark.parametrize("make", [components, clustered, one_hot, low_rank, one_direction])
def test_what_has_structure_is_no_noise(make):  # pyright: ignore
    assert not any(is_noise(make(np.random.default_rng(seed))) for seed in range(20))
