"""GEARS's own module and loss: as published a cell's place in its batch matters, which is found; mended it is healthy.

``pip install cell-gears==0.1.2 torch-geometric==2.8.1 dcor xxhash`` runs it; without them it is skipped.
"""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from diagnostics import Intent, Report, diagnose
from gpcp.model.torch_seed import torch_seed
from tests.outside.data import cells
from tests.verification.peers.screen import N_GENES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    published = pytest.importorskip("gears.model", exc_type=ImportError)
    utils = pytest.importorskip("gears.utils", exc_type=ImportError)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BATCH = 32
UNUSED = ("pert_w.*", "bn_pert_base_trans.*")
"""Declared by the module and never called."""


class EachCell(nn.Module):
    """A graph convolution over the nodes of several cells, whose edges are those of one: laid for each of them."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, node: Tensor, edge: Tensor, weight: Tensor) -> Tensor:
        n_cells = len(node) // N_GENES
        start = N_GENES * torch.arange(n_cells).repeat_interleave(edge.shape[1])
        return self.inner(node, edge.repeat(1, n_cells) + start, weight.repeat(n_cells))


def edges(weight_GG: np.ndarray) -> tuple[Tensor, Tensor]:
    edge = torch.as_tensor(np.array(np.nonzero((weight_GG != 0) | (weight_GG.T != 0))))
    return edge, torch.ones(edge.shape[1])


def module_of(before_BG: np.ndarray, weight_GG: np.ndarray, *, mended: bool) -> nn.Module:
    alike_GG = np.abs(np.corrcoef(before_BG.T)) - np.eye(N_GENES)
    together, ontology = edges(alike_GG * (alike_GG > 0.4)), edges(weight_GG)
    with torch_seed(0):
        made = published.GEARS_Model({
            "num_genes": N_GENES, "num_perts": N_GENES, "hidden_size": 32, "decoder_hidden_size": 16,
            "uncertainty": False, "no_perturb": False, "device": "cpu",
            "num_go_gnn_layers": 1, "num_gene_gnn_layers": 1,
            "G_coexpress": together[0], "G_coexpress_weight": together[1],
            "G_go": ontology[0], "G_go_weight": ontology[1],
        })  # fmt: skip
    if mended:
        made.layers_emb_pos = nn.ModuleList(EachCell(one) for one in made.layers_emb_pos)
    return made


def answered(model: nn.Module, before_BG: Tensor, gene_B: Tensor) -> Tensor:
    """A batch of graphs, as far as the module reads it."""
    asked = SimpleNamespace(
        x=before_BG.reshape(-1, 1), pert_idx=[[int(gene)] for gene in gene_B],
        batch=torch.arange(len(before_BG)).repeat_interleave(N_GENES),
    )  # fmt: skip
    return model(asked)


def verdict(*, mended: bool = True, plant: str = "", **options: Any) -> Report:
    training, held_out = cells(5000, N_GENES, seed=71, dose="fixed").split(1000)
    loaders = [
        DataLoader(
            TensorDataset(*(torch.as_tensor(one) for one in (part.before, part.gene[:, 0], part.after))),
            batch_size=BATCH, shuffle=part is training,
        )
        for part in (training, held_out)
    ]  # fmt: skip
    model = module_of(training.before, training.weight, mended=mended)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=5e-4)
    control_G = torch.as_tensor(training.before.mean(axis=0))
    every = {f"G{gene}": np.arange(N_GENES) for gene in range(N_GENES)}

    def training_step(batch: list[Tensor]) -> float:
        before_BG, gene_B, after_BG = batch
        model.train()
        optimizer.zero_grad()
        labels = [f"G{int(gene)}" for gene in gene_B]
        answer_BG = answered(model, before_BG, gene_B.roll(1) if plant == "labels in the step" else gene_B)
        loss = utils.loss_fct(answer_BG, after_BG, labels, ctrl=control_G, dict_filter=every, direction_lambda=1e-3)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), clip_value=1e-9 if plant == "clipped" else 1.0)
        optimizer.step()
        return loss.item()

    return diagnose(
        model, loaders[0], held_out=loaders[1], fields={"before": 0, "perturbation": 1, "after": 2},
        predict=lambda batch: answered(model, batch[0], batch[1]), training_step=training_step, optimizer=optimizer,
        intent=Intent(given="identity", unused=UNUSED), **options,
    )  # fmt: skip


def test_a_cells_place_in_its_batch_matters_as_published():
    """The co-expression graph holds the nodes of the first cell alone: only that cell hears its neighbours."""
    found = verdict(mended=False, stop_early=True).diagnosis
    assert found is not None
    assert found.code == "GP315", found.message


def test_it_is_healthy_once_every_cell_has_its_edges():
    report = verdict()
    assert report.diagnosis is None, report.text()
    assert not [one for one in report.results if one.outcome == "error"]


def test_labels_of_other_cells_in_the_step_are_named():
    found = verdict(plant="labels in the step", stop_early=True).diagnosis
    assert found is not None
    assert found.cause == "bug", found.message
