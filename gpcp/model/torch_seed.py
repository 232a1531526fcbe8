"""Seeds for torch's global generators, from which torch draws initial weights and dropout; the only use of them."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

SEED_LIMIT = 2**63


@contextmanager
def torch_seed(seed: int) -> Generator[None]:
    """Within the block torch draws from ``seed``; afterwards its generators stand where they stood before.

    Modules of ``torch.nn`` take no generator, so the global one is lent to them and put back.
    """
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):  # pyright: ignore[reportUnknownMemberType]  (torch's own hole)
        torch.manual_seed(seed % SEED_LIMIT)  # pyright: ignore[reportUnknownMemberType]
        yield
