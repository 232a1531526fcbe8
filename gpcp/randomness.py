"""Independent streams of random numbers, each named by what it is for."""

from zlib import crc32

import numpy as np

from gpcp.errors import InputError


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator that ``seed`` and ``purpose`` decide; another purpose gives an independent one.

    Parameters
    ----------
    seed : int
        Not negative.
    *purpose : str or int
        What the numbers are for, such as ``"pairing", "told"``, or the number of a block; an int is not negative
        and below 2**32.

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
