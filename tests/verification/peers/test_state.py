"""STATE's own module and data module: healthy as they are, and each planted bug named.

``pip install arc-state==0.11.1`` (with cell-load 0.10.4) runs it; without them it is skipped.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diagnostics import Intent, Report, diagnose
from gpcp.model.torch_seed import torch_seed
from tests.verification.peers.screen import GENES, screen, targets

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip("lightning.pytorch")
    loading = pytest.importorskip("cell_load.data_modules", exc_type=ImportError)
    transition = pytest.importorskip("state.tx.models.state_transition", exc_type=ImportError)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SET = 16
FIELDS = {"before": "ctrl_cell_emb", "perturbation": "pert_emb", "after": "pert_cell_emb"}
BACKBONE = {
    "bidirectional_attention": True, "max_position_embeddings": SET, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16, "use_cache": False,
    "attention_dropout": 0.0, "tie_word_embeddings": False,
}  # fmt: skip

Batch = dict[str, Any]


def data_of(folder: Path) -> Any:
    """Controls drawn at random for each cell; four perturbations of one type of cells held out."""
    screen("non-targeting").write_h5ad(folder / "screen.h5ad")
    (folder / "screen.toml").write_text(
        f'[datasets]\nscreen = "{folder}"\n[training]\nscreen = "train"\n'
        '[fewshot."screen.T1"]\nval = ["G00", "G05", "G10", "G15"]\n'
    )
    made = loading.PerturbationDataModule(
        str(folder / "screen.toml"), batch_size=8, num_workers=0, pert_col="gene", batch_col="batch",
        embed_key="X_hvg", output_space="gene", cell_sentence_len=SET, basal_mapping_strategy="random",
    )  # fmt: skip
    made.setup()
    return made


def module_of(data: Any) -> Any:
    dims = data.get_var_dims()
    known = ("input_dim", "output_dim", "pert_dim", "batch_dim", "gene_dim", "hvg_dim", "gene_names")
    with torch_seed(0):
        return transition.StateTransitionPerturbationModel(
            hidden_dim=64, control_pert="non-targeting", embed_key="X_hvg", output_space="gene",
            transformer_backbone_key="llama", transformer_backbone_kwargs=dict(BACKBONE), cell_set_len=SET, lr=1e-3,
            loss="energy", predict_residual=True, n_encoder_layers=2, n_decoder_layers=2, dropout=0.1,
            **{name: dims[name] for name in known},
        )  # fmt: skip


def verdict(module: Any, data: Any, **options: Any) -> Report:
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, gradient_clip_val=10
    )
    return diagnose(
        trainer, module, data, fields=FIELDS, genes=GENES, targets=targets(list(data.pert_onehot_map)),
        intent=Intent(given="identity", set_size=SET), **options,
    )  # fmt: skip


def exchanged(batch: Batch) -> Batch:
    """The control as what is to be predicted."""
    return {**batch, "ctrl_cell_emb": batch["pert_cell_emb"], "pert_cell_emb": batch["ctrl_cell_emb"]}


def in_the_data(change: Callable[[Batch], Batch]) -> Callable[[Any, Any], None]:
    def plant(module: Any, data: Any) -> None:
        del module
        for name in ("train_dataloader", "val_dataloader"):
            usual = getattr(data, name)

            def loader(usual: Any = usual) -> Any:
                made = usual()
                collate = made.collate_fn
                made.collate_fn = lambda rows: change(collate(rows))
                return made

            setattr(data, name, loader)

    return plant


def in_the_step(change: Callable[[Batch], Batch]) -> Callable[[Any, Any], None]:
    class Changed(transition.StateTransitionPerturbationModel):
        def training_step(self, batch: Batch, batch_idx: int) -> Any:
            return super().training_step(change(batch), batch_idx)

    def plant(module: Any, data: Any) -> None:
        del data
        module.__class__ = Changed

    return plant


def detached(module: Any, data: Any) -> None:
    class Detached(transition.StateTransitionPerturbationModel):
        def encode_perturbation(self, pert: torch.Tensor) -> torch.Tensor:
            return super().encode_perturbation(pert).detach()

    del data
    module.__class__ = Detached


def head_alone(module: Any, data: Any) -> None:
    class HeadAlone(transition.StateTransitionPerturbationModel):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.project_out.parameters(), lr=self.lr)

    del data
    module.__class__ = HeadAlone


def test_it_is_healthy(tmp_path: Path):
    data = data_of(tmp_path)
    report = verdict(module_of(data), data)
    assert report.diagnosis is None, report.text()
    assert not [one for one in report.results if one.outcome == "error"]
    assert np.sum([one.outcome == "pass" for one in report.results]) > 60


@pytest.mark.parametrize(
    ("plant", "code", "cause", "words"),
    [
        (detached, "GP319", "bug", "pert_encoder"),
        (head_alone, "GP403", "optimiser", "27 of 31 parameters"),
        (in_the_data(exchanged), "GP129", "data", "exchanged"),
        (in_the_step(exchanged), "", "bug", "step"),
    ],
    ids=["detached", "head alone", "exchanged in the data", "exchanged in the step"],
)
def test_a_planted_bug_is_named(
    tmp_path: Path, plant: Callable[[Any, Any], None], code: str, cause: str, words: str
):  # fmt: skip
    data = data_of(tmp_path)
    module = module_of(data)
    plant(module, data)
    found = verdict(module, data, stop_early=True).diagnosis
    assert found is not None
    assert found.code.startswith(code), found.message
    assert found.cause == cause
    assert words in found.message
