"""``Seeded``: the global generators of torch, numpy and random, lent to somebody's code and put back.

Datasets, transforms and samplers of other people draw from them; no code of this library does.
"""

import random
from typing import Any, cast, final

import numpy as np
import torch


@final
class Seeded:
    """Within the block the three global generators stand where the last block left them, begun from a seed."""

    def __init__(self, seed: int) -> None:
        self._inside: tuple[Any, Any, Any] | None = None
        self._outside: tuple[Any, Any, Any] | None = None
        self._seed = seed

    def __enter__(self) -> None:
        self._outside = _states()
        if self._inside is not None:
            _set(self._inside)
            return
        torch.manual_seed(self._seed)  # pyright: ignore[reportUnknownMemberType]
        np.random.seed(self._seed % 2**32)  # noqa: NPY002  (what the user's own code draws from)
        random.seed(self._seed)

    def __exit__(self, *ended: object) -> None:
        self._inside = _states()
        _set(cast("tuple[Any, Any, Any]", self._outside))


def _states() -> tuple[Any, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002


def _set(states: tuple[Any, Any, Any]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])
