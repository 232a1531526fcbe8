"""The loss by itself: every check with the fault that it catches, and healthy losses of other kinds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Loss, Subject, TrainingStep
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.model.batch import model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import PartlyMeasured, adamw, failures, found, pairs_of, subject, transformer


def divided_by_none(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """A mean over each pair's scored genes, of which a pair may have none."""
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) ** 2
    return (error_BL.sum(dim=1) / scored_BL.sum(dim=1)).mean()


def detached(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL.detach(), after_BL, scored_BL)


def all_genes(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return ((prediction_BL - after_BL) ** 2).mean()


def inverted(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL, ~scored_BL)


def product(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return ((prediction_BL - after_BL) ** 2 * scored_BL).sum() / scored_BL.sum()


def without_last_gene(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL[:, 1:], after_BL[:, 1:], scored_BL[:, 1:])


def sign(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return -masked_loss(prediction_BL, after_BL, scored_BL)


def next_pairs_target(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL.roll(1, dims=0), scored_BL & scored_BL.roll(1, dims=0) | scored_BL)


def doubled_target(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, 1.01 * after_BL, scored_BL)


def summed(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL, scored_BL) * scored_BL.sum()


def mean_over_positions(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return (torch.where(scored_BL, prediction_BL - after_BL, 0.0) ** 2).mean()


def of_cell_means(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    miss_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0)
    return (miss_BL.sum(dim=1) / scored_BL.sum(dim=1).clamp(min=1)).square().mean()


def of_batch_means(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    miss_L = torch.where(scored_BL, prediction_BL - after_BL, 0.0).sum(dim=0) / scored_BL.sum(dim=0).clamp(min=1)
    return miss_L.square().sum() / scored_BL.any(dim=0).sum()


FAULTS = [
    ("loss.finite", detached),
    ("loss.scored_only", all_genes),
    ("loss.scored_only", inverted),
    ("loss.every_scored", without_last_gene),
    ("loss.least_at_target", sign),
    ("loss.least_at_target", doubled_target),
    ("loss.batch_size", summed),
    ("loss.padding", mean_over_positions),
    ("loss.every_direction", of_cell_means),
    ("loss.every_direction", of_batch_means),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=lambda one: one if isinstance(one, str) else one.__name__)
@pytest.mark.parametrize("measured", ["all", "some"])
def test_a_planted_fault_is_found_by_its_check_first(name: str, fault: Loss, measured: str):
    pairs = pairs_of() if measured == "all" else PartlyMeasured(pairs_of())
    assert failures(Subject(pairs=pairs, loss=fault), "loss")[0] == name


@pytest.mark.parametrize("measured", ["all", "some"])
def test_a_nan_that_no_batch_stores_is_a_risk(measured: str):
    pairs = pairs_of() if measured == "all" else PartlyMeasured(pairs_of())
    asked = Subject(pairs=pairs, loss=product)
    assert failures(asked, "loss") == []
    result = found(asked, "loss.nan_unscored")
    assert result.outcome == "pass"
    assert result.message.startswith("a risk")
    assert result.next_step


@dataclass(frozen=True)
class FirstScoresNothing:
    """The first pair of every batch has all genes perturbed."""

    source: PairSource

    @property
    def vocab(self) -> GeneVocab:
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        return self.source.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        for batch in self.source.pairs(batch_size=batch_size, seed=seed):
            first_B1 = (np.arange(len(batch)) == 0)[:, None]
            yield replace(batch, perturbed_BG=batch.perturbed_BG | first_B1)


def test_a_mean_over_no_gene_does_harm_where_a_pair_scores_none():
    assert failures(Subject(pairs=pairs_of(), loss=divided_by_none), "loss") == []
    asked = Subject(pairs=FirstScoresNothing(pairs_of()), loss=divided_by_none)
    assert failures(asked, "loss")[0] == "loss.finite"


def test_a_loss_that_compares_with_another_pair_is_found():
    assert "loss.least_at_target" in failures(Subject(pairs=pairs_of(), loss=next_pairs_target), "loss")


def root_mean_square(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL, scored_BL).sqrt()


def absolute(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return torch.where(scored_BL, prediction_BL - after_BL, 0.0).abs().sum() / scored_BL.sum().clamp(min=1)


def huber(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0)
    return nn.functional.huber_loss(error_BL, torch.zeros_like(error_BL), reduction="sum") / scored_BL.sum()


def with_a_floor(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """A likelihood's constant: the least value is not 0."""
    return masked_loss(prediction_BL, after_BL, scored_BL) + 0.9


def correlation(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """1 - Pearson's correlation over each cell's scored genes: no cell's level matters."""
    n_B1 = scored_BL.sum(dim=1, keepdim=True).clamp(min=1)

    def centred(value_BL: Tensor) -> Tensor:
        mean_B1 = torch.where(scored_BL, value_BL, 0.0).sum(dim=1, keepdim=True) / n_B1
        return torch.where(scored_BL, value_BL - mean_B1, 0.0)

    one_BL, other_BL = centred(prediction_BL), centred(after_BL)
    # A cell of fewer than two scored genes has no correlation.
    size_B = (one_BL.square().sum(dim=1) * other_BL.square().sum(dim=1) + 1e-30).sqrt()
    return 1 - ((one_BL * other_BL).sum(dim=1) / size_B)[scored_BL.sum(dim=1) > 1].mean()


def test_a_correlation_loses_a_shift_of_each_cell_and_is_left_open():
    result = found(Subject(pairs=pairs_of(), loss=correlation), "loss.every_direction")
    assert result.outcome == "inconclusive", result.message
    assert result.null is not None
    # Six pairs are asked.
    assert result.statistic == result.null - 6


@pytest.mark.parametrize(
    "loss", [masked_loss, partial(masked_loss, weight="pair"), root_mean_square, absolute, huber, with_a_floor]
)
@pytest.mark.parametrize("measured", ["all", "some"])
def test_healthy_losses_pass(loss: Loss, measured: str):
    pairs = pairs_of() if measured == "all" else PartlyMeasured(pairs_of())
    assert failures(Subject(pairs=pairs, loss=loss), "loss") == []


def test_without_a_loss_nothing_is_judged():
    from tests.diagnostics.checks.subjects import report

    results = report(Subject(pairs=pairs_of()), "loss").results
    assert {result.outcome for result in results} == {"not_applicable"}


def step_on(loss: Loss, *, of: str = "scored_BL") -> TrainingStep:
    """A step of one's own that lowers a loss of its own."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        batch, after_BL = model_batch(pairs)
        optimizer.zero_grad()
        value = loss(model(batch), after_BL, getattr(batch, of))
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


@pytest.mark.parametrize(
    "step", [step_on(masked_loss, of="measured_BL"), step_on(next_pairs_target), step_on(without_last_gene)]
)
def test_a_step_that_reports_the_loss_of_something_else_is_found(step: TrainingStep):
    result = found(subject(training_step=step), "loss.reported")
    assert result.outcome == "fail", result.message


def with_penalty(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    """A penalty of large predictions, as a divergence is of large codes."""
    return masked_loss(prediction_BL, after_BL, scored_BL) + 0.3 * prediction_BL.square().mean()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (with_penalty, "what no target enters"),
        pytest.param(absolute, "another quantity", marks=pytest.mark.slow),
        pytest.param(huber, "another quantity", marks=pytest.mark.slow),
    ],
)
def test_a_step_that_lowers_more_than_the_loss_or_another_one_is_noted(loss: Loss, words: str):
    asked = subject(transformer(whole=True), training_step=step_on(loss))
    result = found(asked, "loss.reported")
    assert result.outcome == "pass", result.message
    assert words in result.message
    assert failures(asked, "loss", "optimiser") == []
    assert failures(replace(asked, loss=None), "loss", "optimiser") == []


def test_a_step_that_reports_its_own_loss_passes_whatever_its_dropout():
    from gpcp.model.config import preset
    from gpcp.model.transformer import GenePerturbationTransformer

    model = GenePerturbationTransformer(replace(preset("default", 8), dropout=0.5))
    composed = subject(model, make_optimizer=adamw)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        model.train()
        return composed.step(model, optimizer, pairs)

    assert found(subject(model, training_step=step), "loss.reported").outcome == "pass"
