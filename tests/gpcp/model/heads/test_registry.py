"""Every head keeps what heads promise, and one that does not is found out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.architecture.head_contract import broken_promises
from diagnostics.architecture.head_rank import output_rank
from gpcp.core.errors import InputError
from gpcp.model.heads.distribution import Mixture
from gpcp.model.heads.point import Linear, Pooled
from gpcp.model.heads.registry import HEADS, DistributionHead, Head, gives_distribution


@pytest.mark.parametrize("name", list(HEADS))
def test_the_contract(name: str) -> None:
    assert broken_promises(name) == []
    _, factory = HEADS[name]
    head = factory(3, 4)
    assert isinstance(head, Head)
    assert isinstance(head, DistributionHead) == gives_distribution(name)


@pytest.mark.parametrize("width", [1, 3, 12])
@pytest.mark.parametrize("n_genes", [2, 8])
@pytest.mark.parametrize("name", list(HEADS))
def test_the_rank_that_is_measured_is_the_closed_form(name: str, n_genes: int, width: int) -> None:
    expected = {"pooled": min(width, n_genes), "pooled_scalar": 1}.get(name, n_genes)
    assert output_rank(name, n_genes, width, seed=3) == expected


class _Own(nn.Module):
    """A linear head, to be broken."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.linear = nn.Linear(width, 1)

    @property
    def rank(self) -> int:
        return self.n_genes

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        return self.linear(decoded_BQD)[..., 0]


class _NoRank(nn.Module):
    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)


class _ReadsPadding(Pooled):  # pyright: ignore[reportGeneralTypeIssues]
    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        return super().forward(decoded_BQD, torch.ones_like(attend_BQ), token_BL)


class _OverTheBatch(_Own):
    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        answer_BL = super().forward(decoded_BQD, attend_BQ, token_BL)
        return answer_BL - answer_BL.mean(dim=0)


class _ByPosition(_Own):
    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        answer_BL = super().forward(decoded_BQD, attend_BQ, token_BL)
        return answer_BL * (1 + torch.arange(answer_BL.shape[1]))


class _OverTheGenes(_Own):
    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        answer_BL = super().forward(decoded_BQD, attend_BQ, token_BL)
        return answer_BL - torch.where(attend_BQ, answer_BL, 0.0).mean(dim=1, keepdim=True)


class _Silent(_Own):
    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__(n_genes, width)
        self.unused = nn.Parameter(torch.zeros(1))


class _Single(_Own):
    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        return super().forward(decoded_BQD, attend_BQ, token_BL).float()


class _Boasts(_Own):
    @property
    def rank(self) -> int:
        return self.n_genes + 1


class _OtherMean(_Own):
    def distribution(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Mixture:
        mean_BLM = self.forward(decoded_BQD, attend_BQ, token_BL)[..., None]
        return Mixture(logit_BLM=mean_BLM * 0, mean_BLM=mean_BLM + 1, log_sd_BLM=mean_BLM)


@contextmanager
def registered(name: str, reads: str, factory: Any) -> Iterator[None]:
    """Entered for a while: other tests go through all heads."""
    HEADS.register(name)((reads, factory))  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del HEADS._parts[name]  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("reads", "factory", "summary"),
    [
        ("own", _NoRank, "has no rank"),
        ("pooled", _ReadsPadding, "no query changes predictions"),
        ("own", _OverTheBatch, "other cells of its batch"),
        ("own", _ByPosition, "another order get other predictions"),
        ("own", _OverTheGenes, "changes another gene's prediction"),
        ("own", _Silent, "get no gradient: unused"),
        ("own", _Single, "it predicts in torch.float32"),
        ("own", _Boasts, "it states the rank 7; measured: 6"),
        ("own", _OtherMean, "not the mean of its distribution"),
    ],
)
def test_a_broken_promise_is_found(reads: str, factory: Any, summary: str) -> None:
    with registered("broken", reads, factory):
        assert any(summary in sentence for sentence in broken_promises("broken"))


def test_a_head_of_ones_own_runs_the_same_contract() -> None:
    with registered("mine", "own", _Own):
        assert broken_promises("mine") == []
    with pytest.raises(InputError, match="nearest: linear"):
        broken_promises("linaer")


def test_the_bottleneck_says_one_number_whatever_it_is_perturbed() -> None:
    head = HEADS["pooled_scalar"][1](5, 8).double()
    query_BQD = torch.randn((40, 3, 8), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answer_BL = head(query_BQD, torch.ones((40, 3), dtype=torch.bool), torch.arange(5)[None])
    apart_BL = (answer_BL - answer_BL[:1]).detach()
    size_L = torch.linalg.svdvals(apart_BL)
    assert float(size_L[1]) < 1e-12 * float(size_L[0])


def test_heads_that_were_there_before_are_the_same_modules() -> None:
    # Checkpoints know parameters by their names.
    assert sorted(dict(Linear(3, 4).named_parameters())) == ["linear.bias", "linear.weight"]
    names = {"per_gene": ["bias_G", "weight_GD"], "pooled": ["linear.bias", "linear.weight"]}
    for name, expected in names.items():
        assert sorted(dict(HEADS[name][1](3, 4).named_parameters())) == expected
