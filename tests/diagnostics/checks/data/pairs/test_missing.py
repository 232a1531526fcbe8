"""Values that are missing: a step that takes them up is found, one that leaves them out passes."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.checks.engine.subject import Subject
from tests.diagnostics.checks.data.pairs.batches import ReadsKind, asked, columns
from tests.diagnostics.checks.subjects import found


def test_a_step_that_takes_missing_values_up_is_found():
    made = columns()
    made["after"][np.random.default_rng(0).random((1_000, 6)) < 0.01] = np.nan
    result = found(asked(made, model=ReadsKind(2)), "data.missing")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert "are missing" in result.message


def step_with(whole: Subject, error: Callable[[Tensor, Tensor], Tensor]) -> Subject:
    """The same parts with a step of their own that lowers some error."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: object) -> float:
        batch = whole.pairs.batch_of(pairs)  # pyright: ignore
        optimizer.zero_grad()
        loss = error(model(batch), batch["after"])
        loss.backward()
        optimizer.step()
        return loss.item()

    parts = {name: getattr(whole, name) for name in ("pairs", "collate", "intent", "model", "forward")}
    return Subject(**parts, make_optimizer=whole.make_optimizer, training_step=step)


def masked_before(answer: Tensor, after: Tensor) -> Tensor:
    known = ~after.isnan()
    return ((answer - after)[known] ** 2).mean()


def masked_after(answer: Tensor, after: Tensor) -> Tensor:
    error = functional.mse_loss(answer, after, reduction="none")
    return torch.where(error.isnan(), 0.0, error).mean()


def lacking() -> dict[str, np.ndarray]:
    made = columns()
    made["after"][np.random.default_rng(0).random((1_000, 6)) < 0.01] = np.nan
    return made


def test_one_that_leaves_them_out_passes_and_so_do_whole_pairs():
    assert found(asked(columns(), model=ReadsKind(2)), "data.missing").message == "no value is missing"
    result = found(step_with(asked(lacking(), model=ReadsKind(2)), masked_before), "data.missing")
    assert result.outcome == "pass"
    assert "does as well" in result.message


def test_one_that_leaves_them_out_of_the_loss_alone_is_a_bug():
    result = found(step_with(asked(lacking(), model=ReadsKind(2)), masked_after), "data.missing")
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert "not of its gradient" in result.message
