"""Perturbed genes that the model confuses, perturbed genes that are ignored beside others, and models that read all."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gpcp.model.batch import ModelBatch
from tests.diagnostics.checks.sources import pairs_of
from tests.diagnostics.checks.subjects import Linear, Mlp, found, made, subject, transformer

APART, EVERY = "architecture.distinguishes_genes", "architecture.reads_every_perturbation"


class Tokens(nn.Module):
    """Each gene's prediction uses its own value and all genes' perturbations, which it reads by their tokens."""

    def __init__(self, *, n_known: int = 8, strongest: bool = False) -> None:
        super().__init__()
        self.n_known, self.strongest = n_known, strongest
        self.perturbed, self.asked = nn.Embedding(n_known, 6), nn.Embedding(8, 6)

    def forward(self, batch: ModelBatch) -> Tensor:
        token_BL = batch.token_BL.expand(batch.before_BL.shape)
        change_BL = torch.where(batch.perturbed_BL & batch.measured_BL, batch.target_BL - batch.before_BL, 0.0)
        if self.strongest:
            size_BL = change_BL.abs()
            change_BL = torch.where(size_BL == size_BL.max(dim=1, keepdim=True).values, change_BL, 0.0)
        read_BD = (self.perturbed(token_BL % self.n_known) * change_BL[..., None]).sum(dim=1)
        return batch.before_BL + (self.asked(token_BL) * read_BD[:, None]).sum(dim=2)


@pytest.mark.parametrize("n_known", [1, 3, 7])
def test_tokens_that_wrap_are_found(n_known: int) -> None:
    result = found(subject(made(lambda: Tokens(n_known=n_known))), APART)
    assert (result.outcome, result.cause) == ("fail", "bug")
    # Genes that share an entry, two by two: 8 tokens fall into n_known heaps.
    heaps = [len(range(start, 8, n_known)) for start in range(n_known)]
    expected = sum(heap * (heap - 1) // 2 for heap in heaps)
    assert result.n == 28
    assert result.statistic == pytest.approx(expected / 28)


HEALTHY: list[Callable[[], nn.Module]] = [
    Tokens,
    lambda: Linear(8),
    lambda: Mlp(8),
    lambda: transformer("default"),
    lambda: transformer("seed_perturbed"),
]


@pytest.mark.parametrize("make", HEALTHY)
@pytest.mark.parametrize("name", [APART, EVERY])
def test_models_that_read_every_gene_pass(name: str, make: Callable[[], nn.Module]) -> None:
    assert found(subject(made(make)), name).outcome == "pass"


def test_genes_without_a_path_to_others_are_no_one_gene() -> None:
    class Graph(nn.Module):
        """Genes 0 to 3 act on others; the rest have no edge."""

        def __init__(self) -> None:
            super().__init__()
            self.edge = nn.Parameter(torch.ones(8, 8))

        def forward(self, batch: ModelBatch) -> Tensor:
            change_BL = torch.where(batch.perturbed_BL, batch.target_BL - batch.before_BL, 0.0)
            acts = (torch.arange(8) < 4).to(change_BL)[:, None]
            return batch.before_BL + change_BL @ (self.edge.to(change_BL) * acts)

    assert found(subject(made(Graph)), APART).outcome == "pass"


def test_the_strongest_perturbed_gene_alone_is_not_enough() -> None:
    result = found(subject(made(lambda: Tokens(strongest=True))), EVERY)
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert result.statistic is not None
    assert result.statistic > 0.25


def test_two_genes_are_too_few_to_ask() -> None:
    few = subject(made(lambda: Linear(2)), pairs=pairs_of("chain/2"))
    assert found(few, APART).outcome == "not_applicable"
    assert found(few, EVERY).outcome == "not_applicable"
