"""Batches of a loader: a linear world of six genes, what they hold altered; as a subject of the checks."""

from typing import Any

import numpy as np
import torch
from torch import nn

from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.subject import Subject, existing
from diagnostics.inputs.loaders.batch_fields import BatchFields
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs

Batch = dict[str, np.ndarray]

FIELDS = BatchFields(before="before", after="after", perturbation="gene", dose="dose")


def columns(n_pairs: int = 1_000, *, seed: int = 0, noise: float = 0.3) -> Batch:
    """Gene 0 acts on gene 1, gene 1 on gene 2; a perturbed gene changes by its dose, and noise lies on the others."""
    rng = np.random.default_rng(seed)
    before = rng.normal(3, 1, (n_pairs, 6))
    gene = np.eye(6)[rng.integers(6, size=n_pairs)]
    dose = gene * rng.uniform(-2, 2, (n_pairs, 1))
    total = np.eye(6) + 0.8 * np.eye(6, k=1) + 0.64 * np.eye(6, k=2) * (np.arange(6) == 0)[:, None]
    after = before + dose @ total + noise * rng.normal(size=(n_pairs, 6)) * (gene == 0)
    kind = np.eye(2)[rng.integers(2, size=n_pairs)]
    return {"before": before, "after": after, "gene": gene, "dose": dose, "kind": kind}


def batches(made: Batch, size: int = 100) -> list[dict[str, torch.Tensor]]:
    """As a loader gives them."""
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in made.items()}
    n = len(made["before"])
    return [{name: value[start : start + size] for name, value in tensors.items()} for start in range(0, n, size)]


class ReadsKind(nn.Module):
    """A linear model of everything, the entry ``kind`` included unless it is left out."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.n_columns = n_columns
        self.linear = nn.Linear(18 + n_columns, 6)

    def forward(self, batch: Any) -> torch.Tensor:
        parts = [batch["before"], batch["gene"], batch["dose"], batch["kind"][:, : self.n_columns]]
        return self.linear(torch.cat(parts, dim=1))


def asked(training: Batch, held_out: Batch | None = None, *, model: nn.Module | None = None) -> Subject:
    """The batches as they are, with a plain step of squared error."""
    pairs = LoaderPairs(batches(training), FIELDS)
    unseen = None if held_out is None else LoaderPairs(batches(held_out), FIELDS, beside=pairs)
    intent = Intent(given="identity and dose", masked=pairs.masked, counted="measured")
    if model is None:
        return Subject(pairs=pairs, held_out=unseen, collate=pairs.model_batch, intent=intent)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
        made = pairs.batch_of(batch)
        optimizer.zero_grad()
        loss = ((model(made) - made["after"]) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Subject(
        pairs=pairs, held_out=unseen, collate=pairs.model_batch, intent=intent, model=model,
        forward=lambda model, batch: model(pairs.written(batch)), make_optimizer=existing(optimizer),
        training_step=step,
    )  # fmt: skip
