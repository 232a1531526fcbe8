"""Every healthy recipe learns, under its own name, and is the same however often it is made."""

import pytest
import torch

from tests.outside.case import Case, held_out_error, some, train
from tests.outside.judge import cases_of

HEALTHY = [*cases_of("healthy"), *cases_of("unseen_healthy")]

MARGIN = 0.9
"""Held-out error at most, over that of the mean: a recipe that learns is clearly better, whatever noise leaves."""


@pytest.fixture(autouse=True)
def _generator_left_as_it_was():
    with torch.random.fork_rng():
        yield


def by_name(case: Case) -> str:
    return case.name


def first_batch(case: Case) -> list[torch.Tensor]:
    """The first training batch of a recipe that was just made, and what the model predicts for it."""
    parts = case.make()
    batch = next(iter(parts.loader))
    parts.model.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        answer = parts.predict(batch)
    return [torch.as_tensor(batch[entry]) for entry in parts.fields.values()] + [answer]


def test_there_are_many_and_each_has_its_own_name():
    assert len(HEALTHY) >= 80
    assert len({case.name for case in HEALTHY}) == len(HEALTHY)


def test_a_healthy_recipe_has_no_bug():
    assert [case.name for case in HEALTHY if case.bug or case.cause or case.line] == []


@pytest.mark.parametrize("case", HEALTHY[::22], ids=by_name)
def test_a_recipe_is_made_the_same_twice(case: Case):
    for one, again in zip(first_batch(case), first_batch(case), strict=True):
        torch.testing.assert_close(one, again, rtol=0, atol=0, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("case", some(HEALTHY, 15), ids=by_name)
def test_a_recipe_learns(case: Case):
    parts = case.make()
    train(parts)
    wrong, mean = held_out_error(parts)
    assert wrong < MARGIN * mean
