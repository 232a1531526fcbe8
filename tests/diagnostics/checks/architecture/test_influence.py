"""Paths from gene to gene: a triangle and a gene without paths are named, whatever a healthy model leaves out."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from gpcp.model.batch import ModelBatch
from tests.diagnostics.checks.subjects import Mlp, failures, found, made, pairs_of, subject

N_GENES = 8


class Tokens(nn.Module):
    """A token for each gene, and a transformer as people write it."""

    def __init__(self, attend: Tensor | None = None) -> None:
        super().__init__()
        self.gene = nn.Embedding(N_GENES, 16)
        self.value = nn.Linear(3, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(16, 1)
        self.attend = attend

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        del measured_BG
        value_BG3 = torch.stack((before_BG, target_BG, perturbed_BG.to(before_BG)), dim=-1)
        attend = None if self.attend is None else self.attend.to(before_BG)
        return self.out(self.encoder(self.gene.weight[None] + self.value(value_BG3), mask=attend)).squeeze(-1)


def hidden(*keys: int) -> Tensor:
    """A mask by which nobody but they themselves attends to some genes."""
    attend = torch.zeros(N_GENES, N_GENES)
    attend[:, list(keys)] = float("-inf")
    attend.fill_diagonal_(0.0)
    return attend


def neighbours(width: int) -> Tensor:
    """A mask by which each gene attends to those beside it, as on a chromosome."""
    place = torch.arange(N_GENES)
    return torch.where((place[:, None] - place[None]).abs() <= width, 0.0, float("-inf"))


def within_blocks(size: int) -> Tensor:
    """A mask by which each gene attends to its own block, as after a view where a transpose is needed."""
    block = torch.arange(N_GENES) // size
    return torch.where(block[:, None] == block[None], 0.0, float("-inf"))


FAULTS = [
    (within_blocks(2), "4 blocks of 2"),
    (within_blocks(4), "2 blocks of 4"),
    (nn.Transformer.generate_square_subsequent_mask(N_GENES), "triangle"),
    (nn.Transformer.generate_square_subsequent_mask(N_GENES).T, "triangle"),
    (hidden(3), "no path leads from 1 of 8 genes: ENSSIMG00000000003"),
]


@pytest.mark.parametrize(("attend", "words"), FAULTS)
def test_a_mask_between_genes_is_named_first(attend: Tensor, words: str):
    asked = subject(made(lambda: Tokens(attend)), intent=Intent(masked=False))
    result = found(asked, "architecture.expression_paths")
    assert result.outcome == "fail"
    assert words in result.message
    assert failures(asked, "architecture")[0] == "architecture.expression_paths"


@pytest.mark.parametrize("gene", [0, 5])
def test_a_gene_whose_perturbation_is_dropped_is_named(gene: int):
    def dropped(model: nn.Module, batch: ModelBatch) -> Tensor:
        return model(replace(batch, perturbed_BL=batch.perturbed_BL & (batch.token_BL != gene)))

    asked = subject(forward=dropped)
    result = found(asked, "architecture.perturbation_paths")
    assert result.outcome == "fail"
    assert f"no path leads from 1 of 8 genes: ENSSIMG0000000000{gene}" in result.message
    assert failures(asked, "architecture") == ["architecture.perturbation_paths"]


def test_a_gene_that_no_other_reaches_is_named():
    def alone(model: nn.Module, batch: ModelBatch) -> Tensor:
        return torch.where(batch.token_BL == 2, 2 * batch.before_BL, model(batch))

    result = found(subject(forward=alone), "architecture.expression_paths")
    assert result.outcome == "fail"
    assert "no path leads to 1 of 8 genes: ENSSIMG00000000002" in result.message


@pytest.mark.parametrize("attend", [None, neighbours(1), neighbours(3)])
def test_paths_that_are_left_out_by_design_are_told_and_not_judged(attend: Tensor | None):
    asked = subject(made(lambda: Tokens(attend)), intent=Intent(masked=False))
    names = ("architecture.expression_paths", "architecture.perturbation_paths")
    assert [found(asked, name).outcome for name in names] == ["pass", "pass"]
    assert ("of the paths" in found(asked, names[0]).message) == (attend is not None)


@pytest.mark.parametrize("end", [nn.Identity(), nn.ReLU()])
@pytest.mark.parametrize("n_genes", [3, 8, 300])
def test_healthy_models_have_every_path(end: nn.Module, n_genes: int):
    asked = subject(made(lambda: Mlp(n_genes, last=end)), pairs=pairs_of(n_genes, n_pairs=30))
    names = ("architecture.expression_paths", "architecture.perturbation_paths")
    assert [found(asked, name).outcome for name in names] == ["pass", "pass"]


def test_all_genes_alike_and_some_genes_alike_are_told_apart():
    def pooled(model: nn.Module, batch: ModelBatch) -> Tensor:
        lifted_B1 = torch.where(batch.perturbed_BL, 1.0, 0.0).sum(dim=1, keepdim=True)
        return model(replace(batch, perturbed_BL=torch.zeros_like(batch.perturbed_BL))) + lifted_B1

    def wrapped(model: nn.Module, batch: ModelBatch) -> Tensor:
        return model(replace(batch, token_BL=batch.token_BL % 4))

    all_alike, some = (found(subject(forward=one), "architecture.distinguishes_genes") for one in (pooled, wrapped))
    assert (all_alike.outcome, some.outcome) == ("fail", "fail")
    assert "all 8 genes" in all_alike.message
    assert "residual" in all_alike.next_step
    assert "wrap around" in some.next_step
