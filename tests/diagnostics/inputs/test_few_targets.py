"""Screens whose perturbations are of some genes alone: every question is asked of those, and guides are no genes."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from diagnostics import Report, diagnose
from gpcp import InputError, torch_seed

N_GENES = 8


class Conditional(nn.Module):
    def __init__(self, n_guides: int, *, detached: bool) -> None:
        super().__init__()
        self.guide, self.out, self.detached = nn.Embedding(n_guides, 16), nn.Linear(N_GENES + 16, N_GENES), detached

    def forward(self, before: Tensor, guide: Tensor) -> Tensor:
        known = self.guide(guide)
        return before + self.out(torch.cat((before, known.detach() if self.detached else known), dim=1))


def judged(targets: Sequence[int], *, given: Sequence[int] | None, detached: bool = False) -> Report:
    """The verdict on pairs whose guides perturb these columns; -1 is a control."""
    drawn = torch.Generator().manual_seed(0)
    before = torch.randn(600, N_GENES, generator=drawn) + 4
    guide = torch.randint(len(targets), (600,), generator=drawn)
    with torch_seed(0):
        column = torch.tensor(targets)[guide]
        falls = 2 * nn.functional.one_hot(column.clamp(min=0), N_GENES) * (column >= 0)[:, None]
        pairs = TensorDataset(before, guide, before - falls - 0.5 * falls.roll(1, dims=1))
        return diagnose(
            Conditional(len(targets), detached=detached),
            DataLoader(pairs, batch_size=50, shuffle=True),
            fields={"before": 0, "perturbation": 1, "after": 2},
            loss=nn.functional.mse_loss,
            targets=given,
            only=["architecture"],
        )


@pytest.mark.parametrize("targets", [(2, 4, 6), (-1, 0, 7), (-1, 3)], ids=str)
def test_questions_perturb_the_genes_that_have_a_perturbation(targets: tuple[int, ...]):
    report = judged(targets, given=targets)
    assert not [one for one in report.results if "no perturbation is of gene" in one.message]
    assert report.diagnosis is None
    asked = {one.name for one in report.results if one.outcome == "pass"}
    assert {"architecture.gradients", "architecture.identity", "architecture.reads_which"} <= asked or len(targets) == 2
    assert "architecture.gradients" in asked


@pytest.mark.parametrize("targets", [(2, 4, 6), (-1, 0, 7)], ids=str)
def test_an_embedding_cut_off_is_found_though_few_genes_have_a_perturbation(targets: tuple[int, ...]):
    found = judged(targets, given=targets, detached=True).diagnosis
    assert found is not None
    assert found.code == "GP319"
    assert "guide.weight" in found.message


def test_numbers_of_guides_are_not_taken_for_genes():
    with pytest.raises(InputError, match=r"(?s)numbers up to 2 .*gene 7 of 8 .*targets=\[-1, 2, 5"):
        judged((2, 4, 6), given=None)


@pytest.mark.slow
@pytest.mark.parametrize("shifted", [False, True], ids=["healthy", "another pair's guide"])
def test_a_training_is_judged_though_few_genes_have_a_perturbation(shifted: bool):
    drawn = torch.Generator().manual_seed(1)
    targets = [-1, *range(0, 20, 2)]
    before = torch.randn(3000, 24, generator=drawn) + 4
    guide = torch.randint(len(targets), (3000,), generator=drawn)
    column = torch.tensor(targets)[guide]
    falls = 2 * nn.functional.one_hot(column.clamp(min=0), 24) * (column >= 0)[:, None]
    loader = DataLoader(TensorDataset(before, guide, before - falls - falls.roll(1, dims=1)), batch_size=64)
    with torch_seed(0):
        model = nn.Sequential(nn.Embedding(len(targets), 32), nn.Linear(32, 24))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

        def step(batch: list[Tensor]) -> float:
            optimizer.zero_grad()
            asked = batch[1].roll(1) if shifted else batch[1]
            loss = nn.functional.mse_loss(batch[0] + model(asked), batch[2])
            loss.backward()
            optimizer.step()
            return float(loss.detach())

        report = diagnose(
            model,
            loader,
            fields={"before": 0, "perturbation": 1, "after": 2},
            predict=lambda batch: batch[0] + model(batch[1]),
            loss=nn.functional.mse_loss,
            optimizer=optimizer,
            training_step=step,
            targets=targets,
            only=["learning"],
        )
    assert not [one for one in report.results if "no perturbation is of gene" in one.message]
    found = {one.code: one.outcome for one in report.results}
    assert {found["GP503"], found["GP504"]} == ({"pass"} if not shifted else {"fail"})
    assert (report.diagnosis is None) == (not shifted)
