"""STATE's own ``StateTransitionPerturbationModel`` as a program: trained on a screen's training cells, asked in sets.

``python -m diagnostics.audit.exchange.programs.state [--steps N] [--set-size N] [--width N] FOLDER``

in an environment with ``gpcp[state]``. Perturbations are encoded by the targets of training that they have and by
features of measured targets; the model's file of embeddings of genes would take their place in a real screen.
"""

import argparse
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.exchange.programs.asked import Asked, Encoding, program
from gpcp.core.random import stream

N_SETS = 8
"""Sets of a batch."""

RATE, CLIP = 1e-3, 10.0
"""Learning rate, and the norm at which gradients are clipped, as in STATE's own configuration."""


def options_of(words: Sequence[str]) -> argparse.Namespace:
    """The options of the program."""
    parser = argparse.ArgumentParser(prog="state")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--set-size", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    return parser.parse_args(words)


def state_model(n_genes: int, pert_dim: int, *, set_size: int, width: int) -> Any:
    """STATE's module for some genes: a Llama of two layers without positions over the cells of a set, energy loss."""
    transition: Any = import_module("state.tx.models.state_transition")
    backbone = {
        "bidirectional_attention": True, "max_position_embeddings": set_size, "hidden_size": width,
        "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
        "head_dim": width // 4, "use_cache": False, "attention_dropout": 0.0, "tie_word_embeddings": False,
    }  # fmt: skip
    # Its constructor prints the module.
    with redirect_stdout(io.StringIO()):
        return transition.StateTransitionPerturbationModel(
            input_dim=n_genes, hidden_dim=width, output_dim=n_genes, pert_dim=pert_dim, gene_dim=n_genes,
            batch_dim=1, hvg_dim=n_genes, gene_names=None, embed_key="X_hvg", output_space="gene",
            control_pert="non-targeting", transformer_backbone_key="llama", transformer_backbone_kwargs=backbone,
            cell_set_len=set_size, lr=RATE, loss="energy", predict_residual=True, n_encoder_layers=2,
            n_decoder_layers=2, dropout=0.1,
        )  # fmt: skip


@final
class SetsOfCells:
    """Sets of cells of one perturbation and context, each with as many controls of the context, drawn by a seed."""

    def __init__(self, asked: Asked, encoding: Encoding, *, n_sets: int, set_size: int) -> None:
        self._log_BG, label_B, context_B = (
            asked.logs(asked.train),
            asked.labels(asked.train),
            asked.contexts(asked.train),
        )
        self._rows = [
            (np.flatnonzero((label_B == label) & (context_B == context)), encoding.row(label), context)
            for label, context in sorted(set(zip(label_B.tolist(), context_B.tolist(), strict=True)))
        ]
        self._control_of = {
            context: np.flatnonzero((label_B == asked.control) & (context_B == context)) for context in set(context_B)
        }
        self._seed, self._n_sets, self._set_size = asked.seed, n_sets, set_size

    def __len__(self) -> int:
        return self._n_sets

    def __getitem__(self, index: int) -> dict[str, NDArray[np.float32]]:
        rng = stream(self._seed, "exchange", "sets", index)
        cell_B, encoding, context = self._rows[int(rng.integers(len(self._rows)))]
        after = self._log_BG[_drawn(cell_B, self._set_size, rng)]
        before = self._log_BG[_drawn(self._control_of[context], self._set_size, rng)]
        return {
            "ctrl_cell_emb": before, "pert_cell_emb": after,
            "pert_emb": np.repeat(encoding[None], self._set_size, axis=0),
        }  # fmt: skip


def _drawn(row_B: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``n`` of some rows, each once where there are as many."""
    return rng.choice(row_B, size=n, replace=len(row_B) < n)


def predict(asked: Asked, words: Sequence[str]) -> None:
    """Train on the training cells, answer each set of the cells that are asked for by itself."""
    import lightning.pytorch as lightning
    from torch.utils.data import DataLoader

    from gpcp.model.torch_seed import torch_seed

    options = options_of(words)
    encoding = Encoding.of(asked)
    # What is not known is an error before anything is trained.
    rows = {label: encoding.row(label) for label in dict.fromkeys(asked.labels(asked.ask).tolist())}
    sets = SetsOfCells(asked, encoding, n_sets=N_SETS * options.steps, set_size=options.set_size)
    with torch_seed(asked.seed):
        model = state_model(len(asked.genes), encoding.width, set_size=options.set_size, width=options.width)
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=1, gradient_clip_val=CLIP, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, DataLoader(cast("Any", sets), batch_size=N_SETS))
    asked.write(answer_in_sets(model.eval(), asked, rows, set_size=options.set_size))


def answer_in_sets(
    model: Any, asked: Asked, rows: dict[str, NDArray[np.float32]], *, set_size: int
) -> NDArray[np.float32]:
    """The answer to every cell that is asked for, in sets of one perturbation and context, float32 (B, G)."""
    import torch

    log_BG, label_B, context_B = asked.logs(asked.ask), asked.labels(asked.ask), asked.contexts(asked.ask)
    answer_BG = np.empty_like(log_BG)
    for label, context in dict.fromkeys(zip(label_B.tolist(), context_B.tolist(), strict=True)):
        row_B = np.flatnonzero((label_B == label) & (context_B == context))
        for cells in np.split(row_B, range(set_size, len(row_B), set_size)):
            batch = {
                "ctrl_cell_emb": torch.as_tensor(log_BG[cells]),
                "pert_emb": torch.as_tensor(np.repeat(rows[label][None], len(cells), axis=0)),
            }
            with torch.no_grad():
                answer_BG[cells] = model(batch, padded=False).numpy()
    return answer_BG


if __name__ == "__main__":
    raise SystemExit(program(predict))
