"""What an outsider hands in: a model, a loader, a step; and what is known of it, written down before any verdict."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

import torch
from torch import nn
from torch.utils.data import DataLoader

Told = Literal["identity", "identity and dose", "value"]
"""Of a perturbation, what the model is given: which gene; which and by how much; the value that the gene is set to."""


@final
@dataclass(kw_only=True)
class Parts:
    """A training as it stands, untrained.

    Parameters
    ----------
    model : nn.Module
    optimizer : torch.optim.Optimizer
    loader, held_out : DataLoader
        Of batches as the outsider's own code makes them: a tuple, a list or a dict of tensors.
    fields : mapping of str to str or int
        Which entry of a batch (a key or a position) is ``before``, ``after``, ``perturbation``; where there are such
        entries also ``dose`` and ``mask`` (True where a gene is measured). Other entries are nobody's business.
    training_step : callable
        ``(batch) -> loss``: one whole update of the model with the optimiser, as in the outsider's loop.
    predict : callable
        ``(batch) -> prediction``: the expected expression after, (pairs, genes), in evaluation mode if the code does
        so itself; what the outsider would measure held-out pairs with.
    loss : callable, optional
        ``(prediction, after)`` or ``(prediction, after, mask) -> scalar``, where the outsider has such a function.
    told : Told
    set_size : int
        Cells that are answered together, 1 where each is answered by itself.
    on_epoch : callable, optional
        ``() -> None``, called by the loop after each epoch, such as a scheduler's step.
    n_epochs : int
        Of the outsider's loop.
    intent : mapping
        What the outsider would say of his own code if asked, such as ``{"frozen": ["encoder.weight"]}``, ``{"unused":
        [...]}`` or ``{"random": True}``.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loader: DataLoader[Any]
    held_out: DataLoader[Any]
    fields: Mapping[str, str | int]
    training_step: Callable[[Any], float | torch.Tensor]
    predict: Callable[[Any], torch.Tensor]
    loss: Callable[..., torch.Tensor] | None = None
    told: Told = "identity and dose"
    set_size: int = 1
    on_epoch: Callable[[], None] | None = None
    n_epochs: int = 10
    intent: Mapping[str, Any] = field(default_factory=dict[str, Any])


@final
@dataclass(frozen=True, kw_only=True)
class Case:
    """One outsider's training and what is known of it.

    Parameters
    ----------
    name : str
        Short and unique, such as ``"batch norm after each layer"``.
    make : callable
        ``() -> Parts``, the same every time: it seeds torch and numpy itself.
    source : str
        Address of the public report or recipe; ``"ordinary practice"`` where everybody does it.
    bug : str
        Empty for a healthy recipe; else one sentence that says what is wrong.
    cause : str
        ``data``, ``optimiser``, ``architecture`` or ``bug``; several where either is right, joined by ``/``.
    line : str
        The thing in the outsider's code or data that a message must lead to, in words.
    hurts : str
        What was measured: held-out error of this case beside that of its healthy twin and of the mean.
    """

    name: str
    make: Callable[[], Parts]
    source: str = "ordinary practice"
    bug: str = ""
    cause: str = ""
    line: str = ""
    hurts: str = ""


HEALTHY: list[Case] = []
"""Every healthy recipe; the files of the folder ``healthy`` add to it when they are imported."""

BUGS: list[Case] = []
"""Every public bug; the files of the folder ``bugs`` add to it when they are imported."""

DATA_FAULTS: list[Case] = []
"""Every kind of fault of data in each world; the files of the folder ``data_faults`` add to it when imported."""

UNSEEN_HEALTHY: list[Case] = []
"""More healthy recipes, for a blind test; the files of the folder ``unseen_healthy`` add to it when imported."""

UNSEEN_BUGS: list[Case] = []
"""More public bugs, for a blind test; the files of the folder ``unseen_bugs`` add to it when they are imported."""


def some(cases: list[Case], every: int) -> list[Case]:
    """One case in ``every``, evenly; all where ``OUTSIDE=all`` is set in the environment, which takes an hour."""
    return cases if os.environ.get("OUTSIDE") == "all" else cases[::every]


def train(parts: Parts, *, n_epochs: int | None = None) -> list[float]:
    """The outsider's loop; the mean loss of each epoch."""
    means: list[float] = []
    for _ in range(parts.n_epochs if n_epochs is None else n_epochs):
        losses = [float(parts.training_step(batch)) for batch in parts.loader]
        means.append(sum(losses) / max(len(losses), 1))
        if parts.on_epoch is not None:
            parts.on_epoch()
    return means


def held_out_error(parts: Parts) -> tuple[float, float]:
    """Held-out mean squared error of the model, and of the mean of the training targets; measured genes only."""
    # In one pass: a loader that shuffles has another order at the next.
    batches = [(torch.as_tensor(b[parts.fields["after"]]), b) for b in parts.loader]
    after = torch.cat([a for a, _ in batches]).double()
    measured = torch.ones_like(after)
    if "mask" in parts.fields:
        measured = torch.cat([torch.as_tensor(b[parts.fields["mask"]]) for _, b in batches]).double()
    mean = (after * measured).sum(dim=0) / measured.sum(dim=0)
    wrong, baseline, n = 0.0, 0.0, 0
    parts.model.eval()
    for batch in parts.held_out:
        target = torch.as_tensor(batch[parts.fields["after"]]).double()
        counts = torch.ones_like(target, dtype=torch.bool)
        if "mask" in parts.fields:
            counts = torch.as_tensor(batch[parts.fields["mask"]]).bool()
        with torch.no_grad():
            answer = parts.predict(batch).double()
        wrong += float(((answer - target)[counts] ** 2).sum())
        baseline += float(((mean - target)[counts] ** 2).sum())
        n += int(counts.sum())
    parts.model.train()
    return wrong / n, baseline / n
