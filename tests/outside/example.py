"""A healthy training to start from: an MLP on pairs of a screen, told which gene falls."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import Case, Parts, held_out_error, train
from tests.outside.data import cells

N_GENES = 20


class Net(nn.Module):
    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))

    def forward(self, x, pert):
        return x + self.net(torch.cat([x, pert], dim=1))


def make() -> Parts:
    torch.manual_seed(0)
    train_cells, test_cells = cells(6000, N_GENES, seed=1, noise="same", dose="fixed").split(1000)

    def loader(part, shuffle):
        data = TensorDataset(
            *(torch.as_tensor(a) for a in (part.before, part.perturbed.astype(np.float32), part.after))
        )
        return DataLoader(data, batch_size=64, shuffle=shuffle)

    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def training_step(batch):
        x, pert, y = batch
        model.train()
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, pert), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader(train_cells, True),
        held_out=loader(test_cells, False),
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=training_step,
        predict=lambda batch: model(batch[0], batch[1]),
        loss=F.mse_loss,
        told="identity",
    )


EXAMPLE = Case(name="MLP that adds to the cell before", make=make)

if __name__ == "__main__":
    parts = make()
    print(train(parts), held_out_error(parts))
