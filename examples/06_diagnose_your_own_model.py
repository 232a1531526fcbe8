"""Why does *my* model not learn? Your own module and training step under the checks; then its bug is mended."""

import torch
from torch import Tensor, nn

from diagnostics import diagnose
from gpcp import PairBatch, masked_loss, model_batch, torch_seed
from simulators import SimulatedPairs, world


class MyModel(nn.Module):
    """Any module: it is called with four dense tensors (pairs, genes) and answers with the expression after."""

    def __init__(self, n_genes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3 * n_genes, 128), nn.ReLU(), nn.Linear(128, n_genes))

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        """Expected expression after, (pairs, genes)."""
        is_perturbed_BG = perturbed_BG.to(before_BG)
        return before_BG + self.layers(
            torch.cat((before_BG, is_perturbed_BG * (target_BG - before_BG), is_perturbed_BG), dim=1)
        )


def training_step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch, *, mended: bool) -> Tensor:
    """A step with the oldest bug of all: gradients that nobody clears."""
    batch, after_BL = model_batch(pairs)
    # Every gene is measured here and stands at its own place, so that the batch is dense already.
    answer_BL = model(batch.before_BL, batch.target_BL, batch.measured_BL, batch.perturbed_BL)
    loss = masked_loss(answer_BL, after_BL, batch.scored_BL)
    if mended:
        optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def main() -> None:
    pairs = SimulatedPairs(scm=world("scale_free/10").scm, regime="interventional", n_pairs=20_000)
    for mended in (False, True):
        with torch_seed(0):
            model = MyModel(10)
        report = diagnose(
            model,
            pairs,
            loss=masked_loss,
            optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3),
            training_step=lambda model, optimizer, batch, mended=mended: training_step(
                model, optimizer, batch, mended=mended
            ),
            stop_early=True,
        )
        print(f"\n{' mended ' if mended else ' as it was written ':=^100}")
        if report.diagnosis is None:
            n_passed = sum(one.outcome == "pass" for one in report.results)
            print(f"{n_passed} checks passed and none failed")
        else:
            print(f"{report.diagnosis.cause}: {report.diagnosis.message}\n-> {report.diagnosis.next_step}")


if __name__ == "__main__":
    main()
