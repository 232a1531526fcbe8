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
        seed_torch(seed)
        yield


def seed_torch(seed: int) -> None:
    """Set torch's global generators; the caller puts them back.

    Without an accelerator ``torch.manual_seed`` keeps the seed and the written stack for each kind of one that might
    still come: with every call more memory, and more time than a small model's training step.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed % SEED_LIMIT)  # pyright: ignore[reportUnknownMemberType]
    else:
        torch.default_generator.manual_seed(seed % SEED_LIMIT)
