"""Named random streams: one key, one generator, independent of every other key's.

SFC64 draws normals about twice as fast as numpy's default PCG64, and its state is as good for our purposes.
"""

import hashlib

import numpy as np


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
