"""PerturBench's latent additive model, a Lightning module, on its own data set: healthy, and planted bugs named.

The source of https://github.com/altoslabs/perturbench at d357dfa on the path runs it, with hydra-core and adjustText;
without them it is skipped.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from diagnostics import Report, diagnose
from gpcp.model.torch_seed import torch_seed
from tests.verification.peers.screen import GENES, N_GENES, screen, targets

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip("lightning.pytorch")
    datasets = pytest.importorskip("perturbench.data.datasets", exc_type=ImportError)
    pipelines = pytest.importorskip("perturbench.data.transforms.pipelines", exc_type=ImportError)
    utils = pytest.importorskip("perturbench.data.utils", exc_type=ImportError)
    collation = pytest.importorskip("perturbench.data.collate", exc_type=ImportError)
    models = pytest.importorskip("perturbench.modelcore.models", exc_type=ImportError)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FIELDS = {"before": "controls", "perturbation": "perturbations", "after": "gene_expression"}


class Data(lightning.LightningDataModule):
    """What the project's own data module hands its models, without its configuration files."""

    evaluation, num_genes, embedding_width = None, N_GENES, None

    def __init__(self, change: Any = None) -> None:
        super().__init__()
        cells = screen("control")
        cells.X = csr_matrix(cells.to_df().to_numpy())
        held_out = np.random.default_rng(0).random(cells.n_obs) < 0.2
        keys = {"perturbation_key": "gene", "covariate_keys": ["cell_type"], "perturbation_control_value": "control"}
        (self.train_dataset, self.train_context), (self.val_dataset, _) = (
            datasets.SingleCellPerturbationWithControls.from_anndata(cells[rows].copy(), **keys)
            for rows in (~held_out, held_out)
        )
        context = self.train_context
        self.num_perturbations = len(context["perturbation_uniques"])
        pipeline = pipelines.SingleCellPipeline(context["perturbation_uniques"], context["covariate_uniques"])
        changed = pipeline if change is None else lambda batch: change(pipeline(batch))
        self.train_dataset.transform = self.val_dataset.transform = changed
        self.names = list(pipeline.transforms["perturbations"].transforms[0].classes)

    def train_dataloader(self) -> Any:
        return self._loader(self.train_dataset, shuffle=True)

    def val_dataloader(self) -> Any:
        return self._loader(self.val_dataset, shuffle=False)

    def _loader(self, data: Any, *, shuffle: bool) -> Any:
        return utils.batch_dataloader(data, batch_size=128, shuffle=shuffle, collate_fn=collation.noop_collate())


def module_of(data: Data, kind: Any = models.LatentAdditive) -> Any:
    with torch_seed(0):
        return kind(
            n_genes=N_GENES, n_perts=data.num_perturbations, encoder_width=64, lr=1e-3, wd=1e-8, dropout=0.1,
            inject_covariates_encoder=True, inject_covariates_decoder=True, datamodule=data,
        )  # fmt: skip


def verdict(module: Any, data: Data, **options: Any) -> Report:
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    return diagnose(
        trainer, module, data, fields=FIELDS, genes=GENES, targets=targets(data.names),
        predict=lambda batch: module(batch.controls, batch.perturbations, batch.covariates), **options,
    )  # fmt: skip


class Detached(models.LatentAdditive):
    """The latent perturbation is kept from learning."""

    def forward(self, control_input: Any, perturbation: Any, covariates: Any) -> Any:
        inner = self.pert_encoder
        self._modules["pert_encoder"] = _WithoutGradient(inner)
        try:
            return super().forward(control_input, perturbation, covariates)
        finally:
            self._modules["pert_encoder"] = inner


class _WithoutGradient(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, perturbation: torch.Tensor) -> torch.Tensor:
        return self.inner(perturbation).detach()


def shuffled(batch: Any) -> Any:
    """The labels of other cells."""
    return batch._replace(perturbations=batch.perturbations[torch.randperm(len(batch.perturbations))])


def test_it_is_healthy():
    data = Data()
    report = verdict(module_of(data), data)
    assert report.diagnosis is None, report.text()
    assert not [one for one in report.results if one.outcome == "error"]
    assert sum(one.outcome == "pass" for one in report.results) > 60


def test_a_latent_that_gets_no_gradient_is_named():
    data = Data()
    found = verdict(module_of(data, Detached), data, stop_early=True).diagnosis
    assert found is not None
    assert found.code == "GP319"
    assert "pert_encoder" in found.message


def test_labels_of_other_cells_are_the_datas_fault():
    data = Data(shuffled)
    found = verdict(module_of(data), data, stop_early=True).diagnosis
    assert found is not None
    assert found.cause == "data", found.message
