"""Checks of sets: cells in another order, and a set of one cell."""

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from gpcp.model.batch import ModelBatch
from tests.diagnostics.checks.subjects import found, subject

ORDER, ONE = "architecture.set_order", "architecture.set_of_one"
SIZE = 3


def values(batch: ModelBatch) -> Tensor:
    return torch.where(batch.measured_BL, batch.before_BL, 0.0)


def with_mean(model: nn.Module, batch: ModelBatch) -> Tensor:
    """Each cell with the mean of its set, of any size."""
    value_BL = values(batch)
    size = min(SIZE, len(value_BL))
    mean_SL = value_BL.reshape(-1, size, value_BL.shape[1]).mean(dim=1)
    return model(batch) + mean_SL.repeat_interleave(size, dim=0)


def with_first(model: nn.Module, batch: ModelBatch) -> Tensor:
    """Each cell with the first one of its set."""
    first_SL = values(batch)[::SIZE]
    return model(batch) + first_SL.repeat_interleave(SIZE, dim=0)[: len(batch.before_BL)]


def with_spread(model: nn.Module, batch: ModelBatch) -> Tensor:
    """In units of the spread over the set, which of one cell is not a number."""
    value_BL = values(batch)
    size = min(SIZE, len(value_BL))
    spread_SL = value_BL.reshape(-1, size, value_BL.shape[1]).std(dim=1)
    return model(batch) + spread_SL.repeat_interleave(size, dim=0)


def fixed_size(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(batch) + values(batch).reshape(-1, SIZE, batch.before_BL.shape[1]).mean(dim=1).repeat_interleave(
        SIZE, 0
    )


def asked(forward, name: str):
    return found(subject(forward=forward, intent=Intent(set_size=SIZE)), name)


def test_a_mean_over_the_set_has_no_order_and_its_first_cell_has():
    healthy, ordered = asked(with_mean, ORDER), asked(with_first, ORDER)
    assert (healthy.outcome, healthy.next_step) == ("pass", "")
    assert ordered.outcome == "pass"
    assert "no positional encoding" in ordered.next_step
    assert "of the predictions' spread" in ordered.message
    assert ordered.statistic is not None
    assert ordered.tolerance is not None
    assert ordered.statistic > ordered.tolerance


def test_a_set_of_one_is_answered_or_noted():
    assert asked(with_mean, ONE).next_step == ""
    spread, refused = asked(with_spread, ONE), asked(fixed_size, ONE)
    assert "not finite" in spread.message
    assert (spread.outcome, bool(spread.next_step)) == ("pass", True)
    assert "whole sets alone (RuntimeError" in refused.message
    assert refused.outcome == "not_applicable"


def test_cells_that_are_answered_alone_are_not_asked():
    for name in (ORDER, ONE):
        assert found(subject(), name).outcome == "not_applicable"
