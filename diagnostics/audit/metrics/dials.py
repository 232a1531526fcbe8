"""Dials: what is turned in the experiment, or in an answer, to see which scores follow and which do not."""

from collections.abc import Mapping, Sequence

from gpcp.core.errors import InputError, nearest

WORLD_DIALS: Mapping[str, tuple[float, ...]] = {
    "effect": (0.25, 0.5, 2.0),
    "cells": (0.3, 3.0),
    "genes": (0.5, 2.0),
    "depth": (0.1, 0.3, 3.0),
}
"""Dials of the experiment, each a factor of the design; 1 is the run that every audit has."""

ANSWER_DIALS: Mapping[str, tuple[float, ...]] = {
    "spread": (0.0, 0.5, 1.0, 2.0),
    "shrinkage": (0.0, 0.25, 0.5, 0.75, 1.0),
    "noise": (0.0, 0.25, 0.5, 0.75, 1.0),
}
"""Dials of answers, at one experiment.

``spread``: factor on the deviation of a cell from its perturbation's mean; ``shrinkage``: how far the measured means of
a replicate are drawn toward the mean response; ``noise``: share of the cells that are copies of the reference's.
"""

DIALS = (*WORLD_DIALS, *ANSWER_DIALS)


def dials_named(names: Sequence[str]) -> tuple[str, ...]:
    """The dials of some names, each once, in the order of :data:`DIALS`; ``all`` is every one.

    Raises
    ------
    InputError
        There is no dial of a name.
    """
    for name in names:
        if name != "all" and name not in DIALS:
            raise InputError(f"--dials: there is no dial {name!r}; {nearest(name, (*DIALS, 'all'))}")
    return tuple(one for one in DIALS if one in names or "all" in names)
