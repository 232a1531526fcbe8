"""Bugs from public reports for a blind test; importing them fills ``UNSEEN_BUGS``."""

from tests.outside.unseen_bugs import (
    architectures,
    averages_and_stops,
    data,
    designs,
    gradients,
    losses,
    masks,
    modes_and_weights,
    optimisers,
    shapes_and_graphs,
    units,
)
from tests.outside.unseen_bugs.twins import TWINS

__all__ = [
    "TWINS",
    "architectures",
    "averages_and_stops",
    "data",
    "designs",
    "gradients",
    "losses",
    "masks",
    "modes_and_weights",
    "optimisers",
    "shapes_and_graphs",
    "units",
]
