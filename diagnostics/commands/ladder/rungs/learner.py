"""Train a model of any kind within a budget, and ask it: a preset, a module, or a whole subject with its own step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from diagnostics.checks.engine.restored import at_rate
from diagnostics.checks.engine.subject import Subject
from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.inputs.models import Model
from diagnostics.inputs.subjects import subject_named
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.predictors import Perturbation
from gpcp.core.random import seed_of
from gpcp.model.torch_seed import torch_seed
from gpcp.opening.pairs import OpenedPairs

OnStep = Callable[[int, float], None]
_ANSWERED = 512


def subject_of_model(model: Model, pairs: PairSource, budget: Budget, *, seed: int) -> Subject:
    """A new, untrained subject on some pairs: a factory is called anew.

    Raises
    ------
    InputError
        As :func:`diagnostics.inputs.subjects.subject_named`, or it has no model.
    """
    opened = OpenedPairs(pairs=pairs, name="pairs")
    with torch_seed(seed_of(seed, "weights")):
        subject = subject_named(opened, model=model, otherwise_rate=budget.learning_rate, seed=seed)
    if subject.model is None:
        raise InputError("the model's factory gives a Subject without a model: there is nothing to train")
    return subject


def train(subject: Subject, budget: Budget, *, seed: int, on_step: OnStep | None = None) -> None:
    """Make the budget's steps with the subject's own step, in place.

    The rate follows the schedule of ``fit`` where the optimiser was made here, and is the optimiser's own times the
    budget's factor where it is the subject's.
    """
    model = subject.model
    assert model is not None, "checked where the subject was made"
    made = subject.make_optimizer
    optimizer = torch.optim.AdamW(model.parameters(), lr=budget.learning_rate) if made is None else made(model)
    step_of = _Counter()
    owned = subject.training_step is not None and not _ours(subject)
    own_rate = float(optimizer.param_groups[0]["lr"])
    rate = _own_rate(own_rate, budget) if owned or not _is_ours(own_rate, budget) else step_of.rate(budget)
    model.train()
    with torch_seed(seed_of(seed, "training")), at_rate(optimizer, rate):
        for pairs in _batches(subject, budget, seed):
            loss = subject.step(model, optimizer, pairs)
            step_of.n += 1
            if on_step is not None:
                on_step(step_of.n, loss)
            if not np.isfinite(loss):
                break
    model.eval()


def _is_ours(rate: float, budget: Budget) -> bool:
    return abs(rate - budget.learning_rate) <= 1e-9 * budget.learning_rate


def _ours(subject: Subject) -> bool:
    step = getattr(subject.training_step, "__module__", "")
    return step == "diagnostics.checks.engine.fitted_subject"


def _own_rate(rate: float, budget: Budget) -> float | None:
    return None if budget.factor == 1 else rate * budget.factor


@final
class _Counter:
    """How many steps were made, for a rate that depends on it."""

    def __init__(self) -> None:
        self.n = 0

    def rate(self, budget: Budget) -> Callable[[], float]:
        return lambda: budget.rate_of(min(self.n, budget.n_steps - 1))


def _batches(subject: Subject, budget: Budget, seed: int) -> Iterator[PairBatch]:
    """As many batches as steps, pass after pass."""
    n_given, one_pass = 0, 0
    assert subject.pairs is not None, "checked where the subject was made"
    while n_given < budget.n_steps:
        before = n_given
        for batch in subject.pairs.pairs(batch_size=budget.batch_size, seed=seed_of(seed, "pairs", one_pass)):
            yield batch
            n_given += 1
            if n_given == budget.n_steps:
                return
        if n_given == before:
            raise InputError("the source gives no pair to train on")
        one_pass += 1


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SubjectPredictor:
    """A trained subject as a :class:`gpcp.core.predictors.Predictor`.

    Parameters
    ----------
    subject : Subject
    vocab : GeneVocab
    """

    subject: Subject
    vocab: GeneVocab

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """Expected expression after, float32 (B, G); 0 at unmeasured genes and where it is not finite."""
        del covariates
        parts = [
            self._answer(control_BG[start : start + _ANSWERED], perturbation, slice(start, start + _ANSWERED))
            for start in range(0, len(control_BG), _ANSWERED)
        ]
        return np.concatenate(parts)

    def _answer(self, control_BG: NDArray[np.float32], perturbation: Perturbation, rows: slice) -> NDArray[np.float32]:
        measured_BG = ~np.isnan(control_BG)
        before_BG = np.where(measured_BG, control_BG, np.float32(0))
        target_BG, applied = perturbation.target_BG[rows], perturbation.applied
        applied = None if applied is None else applied.rows(rows)
        # Of a perturbation with a name no value is given: its target is no input, and not scored.
        perturbed_BG = perturbation.targets_BG[rows]
        given_BG = perturbation.perturbed_BG[rows]
        id_B = np.arange(2 * len(before_BG), dtype=np.int64)
        pairs = PairBatch(
            vocab=self.vocab,
            before_BG=before_BG,
            after_BG=np.where(given_BG & measured_BG, target_BG, before_BG).astype(np.float32),
            measured_BG=measured_BG,
            perturbed_BG=perturbed_BG & measured_BG,
            before_id_B=id_B[::2],
            after_id_B=id_B[1::2],
            applied=applied,
        )
        model = cast("nn.Module", self.subject.model)
        batch, _ = self.subject.collate(pairs)
        with torch.no_grad():
            answer_BL: Any = self.subject.predict(model, batch)
        shape = batch.before_BL.shape
        measured_BL = batch.measured_BL.numpy()
        token_BL = batch.token_BL.expand(shape).numpy()
        row_BL = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        answer_BG = np.zeros(before_BG.shape, dtype=np.float32)
        answer_BG[row_BL[measured_BL], token_BL[measured_BL]] = answer_BL.float().numpy()[measured_BL]
        return np.nan_to_num(answer_BG, nan=0.0, posinf=1e6, neginf=-1e6)
