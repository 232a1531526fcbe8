"""Modules as predictors of a screen: what they are given, how their capabilities have them asked, what they learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.audit.evaluation.data import CONTROL, split_of
from diagnostics.audit.evaluation.shape import shape_of
from diagnostics.audit.exchange.request import request_of
from diagnostics.audit.exchange.shuffled import CELL
from diagnostics.inputs.frameworks.screen_module import ScreenPairs, module_answer, named_module
from gpcp.core.errors import InputError
from gpcp.core.predictors import Capabilities
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen()
SPLIT = split_of(SCREEN, share=0.5, seed=0)

FACTORY = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n_genes):
        super().__init__()
        self.effect = nn.Linear(n_genes, n_genes)

    def forward(self, before, perturbation):
        return before + self.effect(perturbation)


def fit(model, batches):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(15):
        for batch in batches:
            loss = ((model(batch["before"], batch["perturbation"]) - batch["after"]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def make(n_genes):
    return {"model": Net(n_genes), "fit": fit}


def fitted(n_genes):
    return Net(n_genes)


def nothing():
    return {"fit": fit}
"""


class Same(nn.Module):
    """No change, and a record of the batches that were asked about."""

    def __init__(self, capabilities: Capabilities | None = None, factor: float = 1.0) -> None:
        super().__init__()
        if capabilities is not None:
            self.capabilities = capabilities
        self.factor, self.seen = factor, list[int]()

    def forward(self, before: Tensor, perturbation: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert len(perturbation.unique(dim=0)) == 1
        self.seen.append(len(before))
        return before * self.factor


def test_a_batch_is_of_training_cells_with_controls_and_epochs_differ_by_the_seed():
    first, second = ScreenPairs(SCREEN, SPLIT, seed=0, batch_size=50), ScreenPairs(SCREEN, SPLIT, seed=0, batch_size=50)
    epochs = [[*first], [*first], [*second]]
    for one, other in zip(epochs[0], epochs[2], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(epochs[0][0]["before"], epochs[1][0]["before"])
    assert len(first) == len(epochs[0]) == 3
    encoded = torch.cat([batch["perturbation"] for batch in epochs[0]])
    assert encoded.sum() == len(encoded) == sum(len(SCREEN.rows(label, "context_0")) for label in SPLIT.train)
    tested = [SCREEN.genes.index(SCREEN.targets[label][0]) for label in SPLIT.test]
    assert encoded[:, tested].sum() == 0
    with pytest.raises(InputError, match="no perturbation is left to learn from"):
        ScreenPairs(SCREEN, split_of(SCREEN, share=1.0, seed=0))


def test_a_model_of_cells_that_changes_nothing_gives_back_the_controls():
    pairs = ScreenPairs(SCREEN, SPLIT, seed=0)
    expected = request_of(SCREEN, SPLIT, seed=0).ask
    for capabilities in (None, Capabilities(returned="samples"), Capabilities(returned="mean", set_size=7)):
        model = Same(capabilities).train()
        answer = module_answer(pairs, model, name="same")
        assert model.training
        assert model.seen == (
            [40] * 3 if capabilities is None or capabilities.set_size == 1 else [7, 7, 7, 7, 7, 5] * 3
        )
        for label in SPLIT.test:
            control: Any = expected.X[(expected.obs["perturbation"] == label).to_numpy()].toarray()
            found = answer.groups[label, "context_0"]
            np.testing.assert_allclose(found, control, atol=1)
            assert np.mean(found != control) < 0.02


def test_a_mean_moves_the_controls_and_keeps_their_spread():
    flat = module_answer(ScreenPairs(SCREEN, SPLIT), Same(factor=0.5), name="half")
    label = SPLIT.test[0]
    control = SCREEN.X_BG[SCREEN.rows(CONTROL, "context_0")].toarray()
    found = flat.groups[label, "context_0"]
    assert found.mean() < 0.5 * control.mean()
    assert (found.std(axis=0) > 0).mean() > 0.5
    logs = small_screen(values="log")
    found = module_answer(ScreenPairs(logs, SPLIT), Same(factor=0.5), name="half").groups[label, "context_0"]
    assert found.mean() == pytest.approx(0.5 * logs.X_BG[logs.rows(CONTROL, "context_0")].mean(), rel=0.1)


def test_a_module_is_fitted_by_its_own_function(tmp_path: Any):
    path = tmp_path / "my_model.py"
    path.write_text(FACTORY)
    screen = small_screen(n_targets=8, n_combinations=8, least_descendants=2)
    split = split_of(screen, share=0.5, seed=0, named=[label for label in screen.labels if "+" in label][:3])
    pairs = ScreenPairs(screen, split, seed=0)
    name, parts = named_module(f"net={path}:make", len(screen.genes))
    assert name == "net"
    assert parts.model is not None
    answers = [module_answer(pairs, parts.model, name="net", fit=parts.fit, seed=0)]
    assert shape_of(screen, split, answers[0].groups).collapse > 0.3
    assert "fitted by its own function" in answers[0].note
    assert named_module(f"net={path}:fitted", 30)[1].fit is None


def test_bad_modules_are_one_message(tmp_path: Any):
    path = tmp_path / "my_model.py"
    path.write_text(FACTORY)
    for text, message in (
        ("net", "is not NAME=FILE"),
        (f"net={path}:nothing", "gives no module"),
        (f"net={path}:mak", "nearest: make"),
    ):
        with pytest.raises(InputError, match=message):
            named_module(text, 30)
    pairs = ScreenPairs(SCREEN, SPLIT)
    with pytest.raises(InputError, match="are not finite"):
        module_answer(pairs, Same(factor=float("nan")), name="bad")
    with pytest.raises(InputError, match="fit of 'bad' fails"):
        module_answer(pairs, Same(), name="bad", fit=lambda model, batches: 1 / 0)
    with pytest.raises(InputError, match=r"expected \(40, 30\)"):
        module_answer(pairs, Same(), name="bad", predict=lambda batch: batch["before"][:, :2])


def test_a_factory_asks_for_the_columns_of_targets_that_are_not_measured(tmp_path: Path) -> None:
    screen = small_screen(hidden_targets=0.5)
    pairs = ScreenPairs(screen, split_of(screen, share=0.5, seed=0), seed=0)
    n_genes, n_inputs = len(screen.genes), len(pairs.inputs)
    assert n_inputs == n_genes + 3
    text = FACTORY.replace("def __init__(self, n_genes)", "def __init__(self, n_genes, n_inputs=None)")
    text = text.replace("nn.Linear(n_genes, n_genes)", "nn.Linear(n_inputs or n_genes, n_genes)")
    text += "\n\ndef wide(n_genes, n_inputs):\n    return {'model': Net(n_genes, n_inputs), 'fit': fit}\n"
    path = tmp_path / "wide_model.py"
    path.write_text(text)
    _, parts = named_module(f"net={path}:wide", n_genes, n_inputs)
    assert parts.model is not None
    answer = module_answer(pairs, parts.model, name="net", fit=parts.fit)
    assert {label for label, _ in answer.groups} == set(pairs.asked.request["targets"]) - set(
        pairs.asked.labels(pairs.asked.train)
    )
    assert named_module(f"net={path}:fitted", n_genes, n_inputs)[1].model is not None


class Blind(nn.Module):
    """The same answer whatever the cell."""

    def forward(self, before: Tensor, perturbation: Tensor) -> Tensor:
        return torch.ones_like(before) + perturbation[:, : before.shape[1]]


@pytest.mark.parametrize(("model", "share"), [(Same(), "1.00"), (Blind(), "0.00")])
def test_asked_again_it_shows_whether_it_uses_the_cell(model: nn.Module, share: str):
    found = module_answer(ScreenPairs(SCREEN, SPLIT, seed=0), model, name="net", ablations=True)
    assert f"answers change by {share} of what the cells do" in found.note
    assert found.without.keys() == {CELL}
    if share == "0.00":
        for at, cell_BG in found.groups.items():
            np.testing.assert_array_equal(found.without[CELL][at], cell_BG)
