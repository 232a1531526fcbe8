"""How a public bug is handed in: made with the bug, and mended as its healthy twin."""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import BUGS, Case, Parts
from tests.outside.data import Cells, cells

Make = Callable[[bool], Parts]

N_GENES = 20

TWINS: dict[str, Callable[[], Parts]] = {}
"""By the name of a bug: the same code with the bug mended."""


def reported(*, name: str, source: str, bug: str, cause: str, line: str, hurts: str) -> Callable[[Make], Make]:
    """Add ``make(mended)`` to the public bugs; all but ``hurts`` is written before it is first trained."""

    def add(make: Make) -> Make:
        case = Case(name=name, make=partial(make, False), source=source, bug=bug, cause=cause, line=line, hurts=hurts)
        BUGS.append(case)
        TWINS[name] = partial(make, True)
        return make

    return add


@lru_cache(maxsize=32)
def screen(n_pairs: int = 6000, n_held_out: int = 1000, **settings) -> tuple[Cells, Cells]:
    """Training and held-out pairs of one world; never changed in place."""
    settings = {"seed": 1, "noise": "same", "dose": "fixed", **settings}
    return cells(n_pairs, N_GENES, **settings).split(n_held_out)


def tuples(*arrays, batch_size: int = 64, shuffle: bool = True) -> DataLoader:
    """Batches of copies of the arrays, as a tuple of floats, indices or masks."""
    tensors = [torch.tensor(array) for array in arrays]
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size, shuffle=shuffle)
