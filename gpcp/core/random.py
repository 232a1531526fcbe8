"""Independent streams of random numbers, each named by its purpose: one name, one generator.

SFC64 draws normals about twice as fast as numpy's default PCG64, and passes the same statistical tests.
"""

import hashlib
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from gpcp.core.errors import InputError

if TYPE_CHECKING:
    pass


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator that ``seed`` and ``purpose`` decide; another purpose gives an independent one.

    Parameters
    ----------
    seed : int
        Not negative.
    *purpose : str or int
        What the numbers are for, such as ``"learning curve", "training"``, or the number of a block; an int is not
        negative and below 2**32.

    Raises
    ------
    InputError
        ``seed`` is negative.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}: it must be 0 or more")
    # 1 + length ends the entropy: SeedSequence pads with zeros, so that [5] and [5, 0] would be the same stream.
    words = [crc32(word.encode()) if isinstance(word, str) else word for word in purpose]
    return np.random.default_rng(np.random.SeedSequence([seed, *words, 1 + len(words)]))


def generator(*key: int | str) -> np.random.Generator:
    """A generator that the key alone decides.

    Parameters
    ----------
    *key : int or str
        For example a purpose, a seed and a block number. Keys that differ anywhere, in length too, give
        independent streams (``SeedSequence`` alone would give ``[1]`` and ``[1, 0]`` the same one).

    Returns
    -------
    np.random.Generator
        Over SFC64.
    """
    plain = tuple(part if isinstance(part, str) else int(part) for part in key)
    entropy = int.from_bytes(hashlib.blake2b(repr(plain).encode(), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))


def seed_of(seed: int, *purpose: str | int) -> int:
    """A seed for another function, drawn from the stream of a purpose."""
    return int(stream(seed, *purpose).integers(2**31))
