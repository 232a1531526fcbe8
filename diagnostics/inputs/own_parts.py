"""``OwnParts``: what a person has, a model, data, a loss, an optimiser, a step, before any of it is looked at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias, final

import torch
from torch import nn

from diagnostics.checks.engine.intent import Given, Intent
from diagnostics.checks.engine.subject import AfterEpoch, Forward, OfWidth
from diagnostics.inputs.loaders.batch_fields import BatchFields, Entry
from diagnostics.inputs.loaders.loader_pairs import Loader
from gpcp.core.errors import InputError, nearest
from gpcp.core.pairs import PairSource

UsersStep: TypeAlias = Callable[..., Any]
"""``(batch)``, ``(model, batch)``, ``(model, optimizer, batch)`` or Lightning's ``(batch, batch_idx)``; the loss."""

Data: TypeAlias = PairSource | Loader | Mapping[str, Any]
"""A source of this library, a loader of batches of any kind, or arrays by the names of their fields."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OwnParts:
    """What is handed in; every field is explained at :func:`diagnostics.inputs.diagnose.diagnose`.

    ``fit`` is for :func:`diagnostics.inputs.frameworks.screen_module.module_answer` alone: one factory serves both.
    """

    model: nn.Module | None = None
    pairs: Data | None = None
    fields: Mapping[str, Entry] | BatchFields | None = None
    predict: Callable[..., Any] | None = None
    loss: Callable[..., Any] | None = None
    optimizer: torch.optim.Optimizer | None = None
    training_step: UsersStep | None = None
    objective: UsersStep | None = None
    on_epoch: AfterEpoch | None = None
    of_width: OfWidth | None = None
    n_epochs: int | None = None
    forward: Forward | None = None
    held_out: Data | None = None
    intent: Intent | None = None
    given: Given | None = None
    genes: Sequence[str] | None = None
    targets: Sequence[int] | None = None
    fit: Callable[..., Any] | None = None

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Self:
        """From a dict, such as a factory named on the command line gives.

        Raises
        ------
        InputError
            A name is unknown; the message gives the nearest.
        """
        known = [field.name for field in fields(cls)]
        for name in mapping:
            if name not in known:
                raise InputError(f"there is no part {name!r} of a training; {nearest(str(name), known)}")
        return cls(**mapping)

    def first_given(self, names: Iterable[str]) -> str | None:
        """The first of some parts that is given; None where none is."""
        return next((name for name in names if getattr(self, name) is not None), None)
