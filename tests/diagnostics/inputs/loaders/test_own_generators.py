"""A loader's own generators: found wherever they are held, and a pass by a seed whatever they were left at."""

import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from diagnostics.checks.engine.copies import Drawn
from diagnostics.inputs.loaders.batch_fields import BatchFields
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs
from diagnostics.inputs.loaders.own_generators import own_generators
from gpcp.core.pairs import concatenate

N, N_GENES = 24, 3


class Partners:
    """Controls, drawn as a generator says that was seeded once."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def drawn(self) -> int:
        one = self.generator
        if isinstance(one, random.Random):
            return one.randrange(N)
        if isinstance(one, np.random.Generator):
            return int(one.integers(N))
        return int(torch.randint(N, (), generator=one)) if isinstance(one, torch.Generator) else int(one.randint(N))


class Screen(Dataset[dict[str, Tensor]]):
    def __init__(self, generator: Any) -> None:
        self.partners = [Partners(generator)]
        self.cell = torch.randn(2 * N, N_GENES, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"before": self.cell[N + self.partners[0].drawn()], "after": self.cell[i]}


def generators() -> list[Any]:
    return [random.Random(1), np.random.default_rng(1), np.random.RandomState(1), torch.Generator().manual_seed(1)]


@pytest.mark.parametrize("generator", generators(), ids=lambda one: type(one).__name__)
def test_a_pass_follows_its_seed_and_the_generator_stays_where_it_was(generator: Any):
    screen = Screen(generator)
    pairs = LoaderPairs(DataLoader(screen, batch_size=8), BatchFields(before="before", after="after"))
    first, again, other = (concatenate(pairs.pairs(batch_size=8, seed=seed)).before_BG for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    expected = [Partners(one).drawn() for one in generators() if type(one) is type(generator)]
    assert screen.partners[0].drawn() == expected[0]


def test_they_are_found_where_loaders_hold_them():
    of_loader, of_collation, of_closure = (torch.Generator() for _ in range(3))

    def collated(rows: Any, generator: torch.Generator) -> Any:
        return rows, generator

    data = TensorDataset(torch.zeros(4))
    loader = DataLoader(data, shuffle=True, generator=of_loader, collate_fn=partial(collated, generator=of_collation))
    assert {id(one) for one in own_generators(loader)} == {id(of_loader), id(of_collation)}
    assert own_generators(lambda: of_closure) == [of_closure]
    assert own_generators([{"before": torch.zeros(2)}]) == []


def test_two_loaders_that_are_shuffled_alike_stay_so():
    rows: Any = torch.arange(N, dtype=torch.float32)[:, None].expand(N, N_GENES)
    before, after = (
        DataLoader(rows, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )

    class Zipped:
        def __iter__(self) -> Any:
            return ({"before": one, "after": other} for one, other in zip(before, after, strict=True))

        loaders = (before, after)

    pairs = LoaderPairs(Zipped(), BatchFields(before="before", after="after"))
    found = concatenate(pairs.pairs(batch_size=8, seed=5))
    assert np.array_equal(found.before_BG, found.after_BG)
    assert not np.array_equal(found.before_BG[:, 0], np.arange(N))


def test_generators_that_differ_by_their_draws_alone_are_not_taken_for_one():
    one, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    torch.randn(5, generator=other)
    with Drawn(5, [one, other]):
        assert torch.randn((), generator=one) != torch.randn((), generator=other)
