"""Any module of PyTorch as predictor of a screen: fitted already, or by a function of its author's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.audit.evaluation.data import ScreenData, Split
from diagnostics.audit.evaluation.predictions import Groups
from diagnostics.audit.evaluation.references import Answer
from diagnostics.audit.exchange.programs.asked import Asked
from diagnostics.audit.exchange.request import request_of
from diagnostics.audit.exchange.shuffled import CELL, cell_use, shuffled_cells, used
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.users_code import users_own
from diagnostics.inputs.calls import Asking, asking_of, tensor_of
from diagnostics.inputs.loaders.batch_fields import BatchFields
from diagnostics.inputs.models import module_at
from diagnostics.inputs.own_parts import OwnParts
from gpcp.core.errors import InputError
from gpcp.core.predictors import Capabilities, capabilities_of
from gpcp.core.random import stream
from gpcp.model.torch_seed import torch_seed

FIELDS = BatchFields(before="before", perturbation="perturbation", after="after")
"""The entries of every batch, as ``diagnose`` knows them."""

Batch = dict[str, Tensor]
Fit = Callable[[nn.Module, "ScreenPairs"], object]


@final
class ScreenPairs:
    """Training cells of a screen, each with a control of its context: batches as ``diagnose`` takes them.

    A batch is a dict of ``before`` and ``after``, float32 (B, G), log1p of counts scaled to 10,000 or the screen's own
    logarithms, and ``perturbation``, float32 (B, inputs), 1 at the targets. Each iteration is another epoch: all
    perturbed training cells in another order, with other controls.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    seed : int
    batch_size : int

    Raises
    ------
    InputError
        No perturbation is left to learn from.
    """

    def __init__(self, screen: ScreenData, split: Split, *, seed: int = 0, batch_size: int = 128) -> None:
        request = request_of(screen, split, seed=seed)
        self.asked = Asked(folder=Path(), train=request.train, ask=request.ask, request=request.content)
        targets = {gene for label in (*split.train, *split.test) for gene in self.asked.targets(label)}
        self.inputs = (*self.asked.genes, *sorted(targets - set(self.asked.genes)))
        """Names behind the columns of ``perturbation``: the genes, then targets that are not measured."""
        label_B, context_B = self.asked.labels(request.train), self.asked.contexts(request.train)
        is_control_B = label_B == self.asked.control
        self._cell_B = np.flatnonzero(~is_control_B)
        if not len(self._cell_B):
            raise InputError(f"{screen.name}: no perturbation is left to learn from; hold fewer out")
        self._control_of = {one: np.flatnonzero(is_control_B & (context_B == one)) for one in set(context_B.tolist())}
        self._log_BG, self._label_B, self._context_B = self.asked.logs(request.train), label_B, context_B
        self._seed, self._batch_size, self._n_epochs = seed, batch_size, 0

    def __len__(self) -> int:
        return -(-len(self._cell_B) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rng = stream(self._seed, "screen module", "epoch", self._n_epochs)
        self._n_epochs += 1
        order = rng.permutation(self._cell_B)
        control_B = np.array([rng.choice(self._control_of[context]) for context in self._context_B[order]])
        for start in range(0, len(order), self._batch_size):
            rows = slice(start, start + self._batch_size)
            yield {
                "before": torch.as_tensor(self._log_BG[control_B[rows]]),
                "perturbation": torch.as_tensor(self.encoded(self._label_B[order[rows]])),
                "after": torch.as_tensor(self._log_BG[order[rows]]),
            }

    def encoded(self, label_B: NDArray[np.object_]) -> NDArray[np.float32]:
        """1 at the targets of each perturbation, float32 (B, inputs)."""
        place = {name: i for i, name in enumerate(self.inputs)}
        encoded = np.zeros((len(label_B), len(self.inputs)), dtype=np.float32)
        for row, label in enumerate(label_B.tolist()):
            encoded[row, [place[gene] for gene in self.asked.targets(label)]] = 1
        return encoded


def module_answer(
    pairs: ScreenPairs,
    model: nn.Module,
    *,
    name: str,
    fit: Fit | None = None,
    predict: Callable[..., Any] | None = None,
    seed: int = 0,
    ablations: bool = False,
) -> Answer:
    """What a module predicts for the test perturbations of a screen.

    Parameters
    ----------
    pairs : ScreenPairs
        Of the screen and its split.
    model : nn.Module
        Its ``capabilities`` say whether it answers cells in sets, and whether an answer is a mean (the controls are
        moved by it and keep their spread) or a cell (taken as it is).
    name : str
        In the results.
    fit : callable, optional
        ``(model, pairs)``: trains it in place, under a seed; without it the module is taken as fitted.
    predict : callable, optional
        As :func:`diagnostics.inputs.diagnose.diagnose` takes it, where ``model(before, perturbation)`` by the names or
        positions of its arguments is not what gives the expected expression after.
    seed : int
    ablations : bool
        Ask it a second time, with cells whose genes were shuffled apart.

    Raises
    ------
    InputError
        The module cannot be called with such batches, or its answers have another shape or are not finite.
    """
    if fit is not None:
        with torch_seed(seed):
            users_own(f"fit of {name!r} fails:", fit, model, pairs)
    capabilities = capabilities_of(model)
    asked = pairs.asked
    label_B, context_B = asked.labels(asked.ask), asked.contexts(asked.ask)
    before_BG = asked.logs(asked.ask)

    def answer(cell_BG: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch_seed(seed):
            log_BG = _answers(pairs, model, predict, capabilities, cell_BG)
        if not np.isfinite(log_BG).all():
            raise InputError(f"{int((~np.isfinite(log_BG)).sum())} answers of model {name!r} are not finite")
        return log_BG

    def groups(log_BG: NDArray[np.float32]) -> Groups:
        cell_BG = asked.cells(log_BG) if capabilities.draws else asked.moved(log_BG)
        return {
            (label, context): cell_BG[(label_B == label) & (context_B == context)]
            for label, context in dict.fromkeys(zip(label_B.tolist(), context_B.tolist(), strict=True))
        }

    log_BG = answer(before_BG)
    note = f"module, {'as it was given' if fit is None else 'fitted by its own function'}, {capabilities.returned}"
    without: dict[str, Groups] = {}
    if ablations:
        other_BG = shuffled_cells(before_BG, label_B, context_B, stream(seed, "screen module", "shuffled cells"))
        other_log_BG = answer(other_BG)
        without[CELL] = groups(other_log_BG)
        share = cell_use(before_BG, other_BG, answer_BG=log_BG, other_answer_BG=other_log_BG)
        note += f"; {used(share)}"
    return Answer(name=name, kind="prediction", groups=groups(log_BG), note=note, without=without)


def _answers(
    pairs: ScreenPairs,
    model: nn.Module,
    predict: Callable[..., Any] | None,
    capabilities: Capabilities,
    log_BG: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Answers to all cells that are asked for, a batch being of one perturbation and context."""
    asked = pairs.asked
    label_B, context_B = asked.labels(asked.ask), asked.contexts(asked.ask)
    answer_BG = np.empty_like(log_BG)
    size = capabilities.set_size if capabilities.set_size > 1 else 256
    asking: Asking | None = None
    was_training = model.training
    model.eval()
    try:
        for label, context in dict.fromkeys(zip(label_B.tolist(), context_B.tolist(), strict=True)):
            row_B = np.flatnonzero((label_B == label) & (context_B == context))
            for rows in np.split(row_B, range(size, len(row_B), size)):
                before_BG = torch.as_tensor(log_BG[rows])
                batch = {"before": before_BG, "perturbation": torch.as_tensor(pairs.encoded(label_B[rows]))}
                # A test cell's expression is not there to be given: the entry holds the control again.
                batch["after"] = before_BG
                asking = asking_of(model, predict, FIELDS, batch) if asking is None else asking
                with torch.no_grad():
                    found = users_own(f"the model fails on {asking.summary}:", asking.ask, model, batch)
                shape = (len(rows), log_BG.shape[1])
                answer_BG[rows] = tensor_of(found, shape, asking.summary).float().cpu().numpy()
    finally:
        model.train(was_training)
    return answer_BG


def named_module(text: str, n_genes: int, n_inputs: int | None = None) -> tuple[str, OwnParts]:
    """``NAME=FILE.py:FACTORY`` as a name and its parts, of which ``model``, ``fit`` and ``predict`` are used.

    ``n_inputs`` is the number of columns of ``perturbation``, that of the genes by default.

    Raises
    ------
    InputError
        It has no name or no factory, or the factory gives no module.
    """
    name, sign, location = text.partition("=")
    if not sign or not name.strip() or not location.strip():
        raise InputError(f"--model: {text!r} is not NAME=FILE.py:FACTORY")
    made = module_at(location.strip(), n_genes, n_genes if n_inputs is None else n_inputs)
    parts = OwnParts(model=made) if isinstance(made, nn.Module) else made
    if isinstance(parts, Subject) or parts.model is None:
        raise InputError(f"--model: {location.strip()} gives no module: return one, or a dict with 'model' and 'fit'")
    return name.strip(), parts
