"""Values that are missing: a step that takes them up is found, one that leaves them out passes."""

import numpy as np
import torch
from torch import nn

from diagnostics.checks.engine.subject import Subject
from tests.diagnostics.checks.data.pairs.batches import ReadsKind, asked, columns
from tests.diagnostics.checks.subjects import found


def test_a_step_that_takes_missing_values_up_is_found():
    made = columns()
    made["after"][np.random.default_rng(0).random((1_000, 6)) < 0.01] = np.nan
    result = found(asked(made, model=ReadsKind(2)), "data.missing")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert "are missing" in result.message


def test_one_that_leaves_them_out_passes_and_so_do_whole_pairs():
    made = columns()
    assert found(asked(made, model=ReadsKind(2)), "data.missing").message == "no value is missing"
    made["after"][np.random.default_rng(0).random((1_000, 6)) < 0.01] = np.nan
    whole = asked(made, model=ReadsKind(2))

    def masked(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: object) -> float:
        batch = whole.pairs.batch_of(pairs)  # pyright: ignore
        optimizer.zero_grad()
        known = ~batch["after"].isnan()
        loss = ((model(batch) - batch["after"])[known] ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    parts = {name: getattr(whole, name) for name in ("pairs", "collate", "intent", "model", "forward")}
    kept = Subject(**parts, make_optimizer=whole.make_optimizer, training_step=masked)
    result = found(kept, "data.missing")
    assert result.outcome == "pass"
    assert "does as well" in result.message
