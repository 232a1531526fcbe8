"""Reports say what the parts that were handed in were taken for."""

import json

import torch
from torch import Tensor, nn

from diagnostics.commands.diagnose.page import page
from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.card import Card
from diagnostics.results.report import Report

N_GENES = 5


class ByNumber(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Embedding(N_GENES + 1, N_GENES)

    def forward(self, x: Tensor, gene: Tensor) -> Tensor:
        return x + self.shift(gene)


def report() -> Report:
    generator = torch.Generator().manual_seed(0)
    gene = torch.arange(120) % (N_GENES + 1)
    x = torch.randn(120, N_GENES, generator=generator)
    y = x - 3 * torch.eye(N_GENES + 1)[gene][:, 1:]
    batch = {"x": x, "gene": gene, "y": y}
    return diagnose(
        ByNumber(),
        [batch],
        fields={"before": "x", "perturbation": "gene", "after": "y"},
        only=["architecture"],
    )


def test_every_output_says_what_was_taken_for_what():
    found = report()
    shown = found.taken_as
    assert list(shown)[:3] == ["before", "after", "perturbation"]
    assert shown["before"] == "batch['x'], (120, 5) torch.float32"
    assert "0 is a control, number n is gene n - 1" in shown["perturbation"]
    assert shown["given"] == "identity of a perturbation, by the form of its entry"
    assert shown["prediction"] == "model(x=batch['x'], gene=batch['gene'])"
    assert "the model is given which gene is perturbed, not how far" in shown["does not apply"]
    assert json.loads(json.dumps(found.to_json()))["taken_as"] == dict(shown)
    card = Card.of(found, {})
    html = page(found, card, (), {}, command=["gpcp"], seconds=1.0)
    for text in (found.text(), card.text(), html):
        assert "0 is a control" in " ".join(text.split())
