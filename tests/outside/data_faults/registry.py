"""How a fault of data is handed in: a function of the two tables, made in each of the worlds."""

from collections.abc import Callable
from functools import partial

import numpy as np

from tests.outside.case import DATA_FAULTS, Case, Parts
from tests.outside.data_faults.training import WORLDS, Table, tables, training

Fault = Callable[[Table, Table, np.random.Generator, int], object]

KINDS: dict[str, Fault] = {}
"""By its name: ``fault(train, test, rng, world)`` writes into the tables."""

# Each ``hurts`` is to be read against the held-out errors of the sound tables, 0.00008, 0.0003 and 0.0005 in the three
# worlds, and of the mean, 0.657, 0.732 and 0.782.

IN_BOTH: set[str] = set()
"""Kinds that lie in held-out pairs too, so that errors are compared as fractions of the mean's."""


def made(name: str, world: int) -> Parts:
    """A kind of fault in a world."""
    train, test = tables(world)
    KINDS[name](train, test, np.random.default_rng([world, 5]), world)
    train.n, test.n = len(train.before), len(test.before)
    return training(train, test, world)


def sound(world: int) -> Parts:
    """The healthy twin: the same training on the tables as they are."""
    return training(*tables(world), world)


def fault(*, line: str, hurts: str, both: bool = False, bug: str = "", cause: str = "data") -> Callable[[Fault], Fault]:
    """Add a function as a kind of fault, named by its docstring's first words."""

    def add(kind: Fault) -> Fault:
        name = kind.__name__.replace("_", " ")
        KINDS[name] = kind
        if both:
            IN_BOTH.add(name)
        DATA_FAULTS.extend(
            Case(
                name=f"{name}, world {world}",
                make=partial(made, name, world),
                bug=bug or (kind.__doc__ or "").strip(),
                cause=cause,
                line=line,
                hurts=hurts,
            )
            for world in WORLDS
        )
        return kind

    return add
