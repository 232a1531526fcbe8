"""A real Lightning module and trainer: healthy, with a bug, and as a callback."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.frameworks.lightning import DiagnoseCallback
from gpcp.core.errors import InputError
from gpcp.model.torch_seed import torch_seed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lightning.pytorch as pl

pytestmark = pytest.mark.slow

N_GENES = 6
EXACT = ["architecture", "optimiser", "GP201"]


@pytest.fixture(autouse=True)
def _their_warnings() -> Iterator[None]:
    """Lightning warns of few workers and missing loggers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Module(pl.LightningModule):
    """Learns the change of all genes from the cell before and the perturbed gene."""

    def __init__(self, *, detached: bool = False, by_hand: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * N_GENES, 32), nn.ReLU(), nn.Linear(32, N_GENES))
        self.detached = detached
        self.automatic_optimization = not by_hand

    def forward(self, x: Tensor, gene: Tensor) -> Tensor:
        return x + self.layers(torch.cat((x, functional.one_hot(gene, N_GENES).to(x)), dim=1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, gene, y = batch
        answer = self(x.detach(), gene)
        if self.detached:
            answer = x + self.layers[2](
                self.layers[1](self.layers[0](torch.cat((x, functional.one_hot(gene, N_GENES).to(x)), 1))).detach()
            )
        loss = functional.mse_loss(answer, y)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 100)}


class Data(pl.LightningDataModule):
    """Pairs in which the perturbed gene falls by 2 and its neighbour by 1."""

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(1200, N_GENES, generator=generator) + 4
        gene = torch.randint(N_GENES, (1200,), generator=generator)
        y = x - 2 * functional.one_hot(gene, N_GENES) - functional.one_hot((gene + 1) % N_GENES, N_GENES)
        self.parts = TensorDataset(x[:1000], gene[:1000], y[:1000]), TensorDataset(x[1000:], gene[1000:], y[1000:])

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[0], batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[1], batch_size=50)


FIELDS = {"before": 0, "perturbation": 1, "after": 2}


def trainer() -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


def module(**parts: bool) -> Module:
    with torch_seed(0):
        return Module(**parts)


def test_a_healthy_module_with_its_data_module():
    made = module()
    weights = {name: value.clone() for name, value in made.state_dict().items()}
    report = diagnose(trainer(), made, Data(), fields=FIELDS, only=EXACT)
    assert report.diagnosis is None, report.diagnosis
    assert not [one for one in report.results if one.outcome == "error"]
    assert all(torch.equal(value, weights[name]) for name, value in made.state_dict().items())
    (rate,) = [one for one in report.results if one.code == "GP407"]
    assert "StepLR" in rate.message
    assert "epochs" in rate.message


def test_a_module_with_a_bug_is_named():
    report = diagnose(trainer(), module(detached=True), Data(), fields=FIELDS, only=EXACT)
    assert report.diagnosis is not None
    assert "layers.0" in report.diagnosis.message


def test_the_callback_diagnoses_before_the_first_step_and_can_stop_the_training(capsys: pytest.CaptureFixture[str]):
    for detached in (False, True):
        callback = DiagnoseCallback(stop=True, fields=FIELDS, only=EXACT)
        training = pl.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[callback],
        )  # fmt: skip
        training.fit(module(detached=detached), Data())
        assert callback.report is not None
        assert (callback.report.diagnosis is not None) == detached
        assert (training.global_step < 20) == detached
        assert "checks passed on Module" in capsys.readouterr().out


def test_a_module_that_optimises_by_hand_is_refused_with_the_remedy():
    with pytest.raises(InputError, match="optimises by hand: give diagnose\\(\\) a training_step of your own"):
        diagnose(trainer(), module(by_hand=True), Data(), fields=FIELDS)
