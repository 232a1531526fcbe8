"""Batches that are real AnnData objects, with the two cells in ``X`` and a layer and the perturbed gene in ``obs``."""

from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.loaders.batch_fields import BatchFields
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs
from gpcp.core.pairs import concatenate

N_GENES = 5
FIELDS = {"before": ("layers", "before"), "after": "X", "perturbation": ("obs", "gene")}


def batches() -> list[anndata.AnnData]:
    rng = np.random.default_rng(0)
    found: list[anndata.AnnData] = []
    for start in range(0, 120, 40):
        gene = rng.integers(0, N_GENES, 40)
        before = rng.normal(4, 1, (40, N_GENES)).astype(np.float32)
        after = before - 2 * np.eye(N_GENES, dtype=np.float32)[gene]
        obs = pd.DataFrame({"gene": gene, "kind": "a"}, index=[f"cell_{start + row}" for row in range(40)])
        found.append(anndata.AnnData(X=after, obs=obs, layers={"before": before}))
    return found


class Shifts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Embedding(N_GENES, N_GENES)

    def forward(self, batch: Any) -> Tensor:
        before = torch.as_tensor(np.asarray(batch.layers["before"]))
        return before + self.shift(torch.as_tensor(batch.obs["gene"].to_numpy()))


def test_rows_of_several_batches_are_one_again_and_none_is_changed():
    made = batches()
    pairs = LoaderPairs(made, BatchFields.of(FIELDS))
    one, _, other = (pairs.opened(batch).pairs for batch in made)
    both = concatenate([other.rows(slice(3, 5)), one.rows(slice(0, 2)), other.rows(slice(3, 4))])
    batch = pairs.batch_of(both)
    assert isinstance(batch, anndata.AnnData)
    rows = [(2, 3), (2, 4), (0, 0), (0, 1), (2, 3)]
    for name, value in (("X", batch.X), ("before", batch.layers["before"])):
        expected = [(made[n].X if name == "X" else made[n].layers[name])[row] for n, row in rows]  # pyright: ignore
        np.testing.assert_array_equal(np.asarray(value), np.stack(expected))  # pyright: ignore
    assert batch.obs["gene"].tolist() == [made[n].obs["gene"].iloc[row] for n, row in rows]
    assert set(batch.obs["kind"]) == {"a"}
    for before, after in zip(batches(), made, strict=True):
        np.testing.assert_array_equal(before.X, after.X)
        assert before.obs.equals(after.obs)  # pyright: ignore


def test_a_training_on_them_is_diagnosed():
    model = Shifts()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(batch: Any) -> float:
        optimizer.zero_grad()
        loss = (model(batch) - torch.as_tensor(np.asarray(batch.X))).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    report = diagnose(
        model, batches(), fields=FIELDS, predict=model, optimizer=optimizer, training_step=step,
        only=["optimiser", "GP201"],
    )  # fmt: skip
    assert not [one for one in report.results if one.outcome == "error"], report.text()
    assert report.diagnosis is None, report.text()
    assert report.taken_as["perturbation"].startswith("batch[('obs', 'gene')]")
