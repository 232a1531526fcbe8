"""A real ``Trainer`` of transformers with the callback: healthy, and with a bug that stops the training."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gpcp.model.torch_seed import torch_seed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers import Trainer, TrainingArguments
    from transformers.modeling_outputs import SequenceClassifierOutput

    from diagnostics.inputs.frameworks.transformers import DiagnoseTrainerCallback

pytestmark = pytest.mark.slow

N_GENES = 6


class Model(nn.Module):
    """As transformers expects: answers with a loss and logits."""

    def __init__(self, *, wrong_sign: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * N_GENES, 32), nn.ReLU(), nn.Linear(32, N_GENES))
        self.sign = -1.0 if wrong_sign else 1.0

    def forward(self, input_values: Tensor, gene: Tensor, labels: Tensor) -> SequenceClassifierOutput:
        one_hot = functional.one_hot(gene, N_GENES).to(input_values)
        logits = input_values + self.layers(torch.cat((input_values, one_hot), dim=1))
        return SequenceClassifierOutput(loss=self.sign * functional.mse_loss(logits, labels), logits=logits)


class Pairs(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The perturbed gene falls by 2 and its neighbour by 1."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(800, N_GENES, generator=generator) + 4
        self.gene = torch.randint(N_GENES, (800,), generator=generator)
        self.y = (
            self.x - 2 * functional.one_hot(self.gene, N_GENES) - functional.one_hot((self.gene + 1) % N_GENES, N_GENES)
        )

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"input_values": self.x[row], "gene": self.gene[row], "labels": self.y[row]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrong_sign", [False, True])
def test_the_callback_diagnoses_the_trainers_training(wrong_sign: bool, tmp_path: Path):
    with torch_seed(0):
        model = Model(wrong_sign=wrong_sign)
        callback = DiagnoseTrainerCallback(
            stop=True,
            fields={"before": "input_values", "perturbation": "gene", "after": "labels"},
            loss=functional.mse_loss,
            only=["loss", "architecture", "optimiser"],
        )
        arguments: dict[str, Any] = {"output_dir": str(tmp_path), "max_steps": 4, "report_to": [], "use_cpu": True}
        trainer = Trainer(
            model=model,
            args=TrainingArguments(**arguments, save_strategy="no", disable_tqdm=True),
            train_dataset=Pairs(),
            callbacks=[callback],
        )
        trainer.train()
    report = callback.report
    assert report is not None
    assert not [one for one in report.results if one.outcome == "error"]
    assert (report.diagnosis is not None) == wrong_sign, report.diagnosis
    if wrong_sign:
        assert report.diagnosis is not None
        assert "the training step reports -" in report.diagnosis.message
