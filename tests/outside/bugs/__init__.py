"""Bugs of deep learning that were publicly reported, each in a training of cells; importing them fills ``BUGS``."""

from tests.outside.bugs import (
    attention,
    embeddings,
    gradients,
    initialisation,
    leaks,
    loading,
    losses,
    masks,
    modes,
    normalisation,
    optimisers,
    precision,
    schedules,
    shapes,
)
from tests.outside.bugs.twins import TWINS

__all__ = [
    "TWINS",
    "attention",
    "embeddings",
    "gradients",
    "initialisation",
    "leaks",
    "loading",
    "losses",
    "masks",
    "modes",
    "normalisation",
    "optimisers",
    "precision",
    "schedules",
    "shapes",
]
