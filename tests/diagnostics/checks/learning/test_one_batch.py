"""Sixteen memorised pairs: models that can, models that cannot, and pairs that look the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.learning.memorised import LEAST_ASKED, MOST_LEFT, group_errors, looks, tolerance_of
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.sources import Changed, Fixed, drawn, pairs_of
from tests.diagnostics.checks.subjects import Linear, Mlp, adamw, found, made, subject, transformer

NAME = "learning.one_batch"


class Pooled(nn.Module):
    """All genes depend on one number."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.all = nn.Linear(80, 32), nn.Linear(32, 1), nn.Linear(1, 20)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        perturbed = (before_BG, target_BG, measured_BG.to(before_BG), perturbed_BG.to(before_BG))
        return self.all(self.one(torch.relu(self.first(torch.cat(perturbed, dim=1)))))


class Blind(nn.Module):
    """One constant for each gene."""

    def __init__(self) -> None:
        super().__init__()
        self.level_G = nn.Parameter(torch.zeros(20))

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.level_G.expand(before_BG.shape)


@pytest.mark.parametrize("make", [Pooled, Blind])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_models_that_cannot_distinguish_pairs_are_found(make, seed: int):
    pairs = pairs_of("erdos_renyi/20", "matched", seed=seed, n_perturbed=(1, 5))
    result = found(subject(made(make, seed=seed), pairs=pairs), NAME)
    assert (result.outcome, result.cause) == ("fail", "architecture")
    assert result.statistic is not None
    assert result.tolerance is not None
    assert result.statistic > result.tolerance


@pytest.mark.parametrize(
    "make",
    [
        lambda: Mlp(8),
        lambda: Linear(8),
        pytest.param(transformer, marks=pytest.mark.slow),
        pytest.param(lambda: transformer("seed_perturbed"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("regime", ["matched", "interventional"])
def test_healthy_models_learn_them(make, regime):
    assert found(subject(made(make), pairs=pairs_of(regime=regime)), NAME).outcome == "pass"


def test_dropout_is_off_whatever_the_step_does():
    model = made(lambda: Mlp(8, extra=nn.Dropout(0.9)))
    composed = subject(model, make_optimizer=adamw)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        model.train()
        return composed.step(model, optimizer, pairs)

    assert found(subject(model, training_step=step), NAME).outcome == "pass"


def test_pairs_that_look_the_same_are_not_asked():
    pairs = drawn(pairs_of(), 1)
    rng = np.random.default_rng(0)
    same = pairs.rows(np.zeros(40, dtype=np.int64))
    noise_BG = np.where(same.perturbed_BG, 0, rng.normal(size=same.after_BG.shape))
    alike = replace(same, after_BG=(same.after_BG + noise_BG).astype(np.float32))
    assert found(subject(made(lambda: Mlp(8)), pairs=Fixed(alike)), NAME).outcome == "not_applicable"


def test_what_twins_leave_in_any_case_is_not_held_against_a_model():
    """Every pair comes four times with noise of its own on the answer: the mean of the four is all there is."""

    def twins(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
        rows = np.repeat(np.arange(len(pairs) // 4), 4)
        four = pairs.rows(np.resize(rows, len(pairs)))
        noise_BG = np.where(four.perturbed_BG, 0, rng.normal(0, 2, four.after_BG.shape))
        return replace(four, after_BG=(four.after_BG + noise_BG).astype(np.float32))

    result = found(subject(made(lambda: Mlp(8)), pairs=Changed(pairs_of(), twins)), NAME)
    assert result.outcome == "pass"


def test_group_errors_are_those_of_means_within_groups():
    pairs = drawn(pairs_of(), 12)
    group_B = np.repeat(np.arange(3, dtype=np.uint64), 4)
    found_B = group_errors(pairs, group_B)
    for group in range(3):
        rows = slice(4 * group, 4 * group + 4)
        after_BG = np.where(pairs.scored_BG[rows], pairs.after_BG[rows].astype(np.float64), np.nan)
        brute = sum(np.nanvar(column) * np.isfinite(column).sum() for column in after_BG.T if np.isfinite(column).any())
        assert found_B[rows].sum() == pytest.approx(brute)
    assert group_errors(pairs, np.arange(12, dtype=np.uint64)).sum() == 0


def test_pairs_look_different_if_anything_that_is_shown_differs():
    pairs = drawn(pairs_of(), 30)
    assert len(np.unique(looks(pairs))) == 30
    unseen = replace(pairs, after_BG=np.where(pairs.scored_BG, pairs.after_BG + 1, pairs.after_BG).astype(np.float32))
    assert (looks(unseen) == looks(pairs)).all()
    perturbed = replace(
        pairs, after_BG=np.where(pairs.scored_BG, pairs.after_BG, pairs.after_BG + 1).astype(np.float32)
    )
    assert (looks(perturbed) != looks(pairs)).all()


def test_what_may_be_left_follows_from_what_one_number_leaves():
    pairs = drawn(pairs_of("scale_free/20"), 16)
    noise_BG = np.random.default_rng(0).normal(size=(16, 20)).astype(np.float32)
    assert tolerance_of(replace(pairs, after_BG=noise_BG, perturbed_BG=np.zeros((16, 20), dtype=bool))) == MOST_LEFT
    # Every deviation is one number times the gene's own weight: less may be left, down to a limit.
    line_BG = np.outer(np.linspace(-1, 1, 16), np.linspace(1, 2, 20))
    assert tolerance_of(replace(pairs, after_BG=line_BG.astype(np.float32))) == LEAST_ASKED
