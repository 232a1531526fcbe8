"""The exact checks run unchanged on a model of two thousand genes, and on an accelerator where there is one."""

import pytest
import torch

from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.diagnose import diagnose
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss
from simulators.sources import SimulatedPairs
from simulators.worlds import world

pytestmark = pytest.mark.slow


def healthy(n_genes: int, device: str = "cpu") -> Subject:
    model = GenePerturbationTransformer(preset("default", n_genes), seed=0).to(device)
    return Subject(
        pairs=SimulatedPairs(scm=world(f"scale_free/{n_genes}").scm, regime="interventional", n_pairs=300),
        model=model,
        loss=masked_loss,
        make_optimizer=lambda model: torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0),
        name=f"{n_genes} genes on {device}",
    )


@pytest.mark.parametrize(
    ("n_genes", "device"),
    [
        (2_000, "cpu"),
        pytest.param(
            20, "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no accelerator")
        ),
    ],
)
def test_the_exact_checks_pass(n_genes: int, device: str) -> None:
    # Of two thousand genes the families that do not train alone: a step of so many takes half a minute.
    only = ["exact"] if n_genes < 100 else ["loss", "architecture"]
    results = diagnose(healthy(n_genes, device), only=only, n_sample=300).results
    assert [one.traceback for one in results if one.outcome == "error"] == []
    assert [one.name for one in results if one.outcome == "fail"] == []
    assert any(one.outcome == "pass" for one in results)
