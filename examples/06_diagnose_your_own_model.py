"""Why does *my* model not learn? Your own loader, module and step under the checks; then the bug is mended.

About 9 seconds on one core.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from diagnostics import Report, diagnose
from gpcp import concatenate, torch_seed
from simulators import SimulatedPairs, world

N_GENES = 10


class MyModel(nn.Module):
    """Any module: expression before and a mask of perturbed genes, each with its dose, to expression after."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, before_BG: Tensor, dose_BG: Tensor) -> Tensor:
        """Expected expression after, (pairs, genes)."""
        return before_BG + self.layers(torch.cat((before_BG, dose_BG), dim=1))


def my_loader() -> DataLoader[tuple[Tensor, ...]]:
    """Any loader; here of simulated pairs as plain tensors."""
    source = SimulatedPairs(scm=world("scale_free/10").scm, regime="counterfactual", n_pairs=10_000, n_perturbed=(1, 1))
    pairs = concatenate(source.pairs(batch_size=10_000, seed=0))
    dose_BG = torch.where(torch.tensor(pairs.perturbed_BG), torch.tensor(pairs.delta_BG), 0)
    data = TensorDataset(torch.tensor(pairs.before_BG), dose_BG, torch.tensor(pairs.after_BG))
    return DataLoader(data, batch_size=64, shuffle=True)


def diagnosed(*, mended: bool) -> Report:
    """The training as it is, with the oldest bug of all: gradients that nobody clears."""
    with torch_seed(0):
        model = MyModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch: list[Tensor]) -> float:
        before_BG, dose_BG, after_BG = batch
        loss = nn.functional.mse_loss(model(before_BG, dose_BG), after_BG)
        if mended:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return diagnose(
        model,
        my_loader(),
        fields={"before": 0, "perturbation": 1, "after": 2},
        loss=nn.functional.mse_loss,
        optimizer=optimizer,
        training_step=training_step,
        stop_early=True,
    )


def main() -> None:
    print(__doc__)
    for mended in (False, True):
        report = diagnosed(mended=mended)
        print(f"\n{' mended ' if mended else ' as it was written ':=^100}")
        if report.diagnosis is None:
            n_passed = sum(one.outcome == "pass" for one in report.results)
            print(f"{n_passed} checks passed and none failed")
        else:
            print(f"{report.diagnosis.cause}: {report.diagnosis.message}\n-> {report.diagnosis.next_step}")


if __name__ == "__main__":
    main()
