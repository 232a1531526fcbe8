"""A transformer as :func:`gpcp.training.fit.fit` trains it, as a subject: its units, its loss, its optimiser, its step.

All is as in ``fit`` but the schedule of the rate, which the checks vary themselves.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Collate, Subject
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.loading.sharding import epoch_seed
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.loss import PairWeight, masked_loss, masked_nll
from simulators.exact.bayes import BayesAnswer

_UNITS_PAIRS = 2048


def fitted_subject(
    model: nn.Module,
    pairs: PairSource | None,
    config: FitConfig,
    *,
    learn_units: bool = True,
    collate: Collate = model_batch,
    exact: Callable[[PairBatch], BayesAnswer] | None = None,
    name: str = "the model",
) -> Subject:
    """A subject whose training is that of ``fit``.

    Parameters
    ----------
    model : nn.Module
        A transformer learns the units of the first pairs, unless that is switched off.
    pairs : PairSource or None
    config : FitConfig
    learn_units : bool
        False where the weights, units among them, are those of a checkpoint.
    collate, exact, name
        As in :class:`diagnostics.checks.engine.subject.Subject`.

    Raises
    ------
    InputError
        The model cannot be called in a way that is known, or gives no distribution where the objective is likelihood.
    """
    likelihood = config.objective == "likelihood"
    if likelihood and not (isinstance(model, GenePerturbationTransformer) and model.gives_distribution):
        raise InputError(f"FitConfig.objective is 'likelihood' and {name} gives no distribution: take 'squared'")
    if learn_units and pairs is not None and isinstance(model, GenePerturbationTransformer):
        model.learn_units(model_batch(concatenate(_first(pairs, config)))[0])

    def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )

    subject = Subject(
        pairs=pairs,
        model=model,
        collate=collate,
        loss=partial(masked_loss, weight=config.pair_weight),
        objective=partial(_nll, weight=config.pair_weight) if likelihood else None,
        make_optimizer=make_optimizer,
        exact=exact,
        name=name,
    )

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        loss = subject.composed_loss(model, pairs)
        optimizer.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]  (torch's own hole)
        if config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        return float(loss.detach())

    return replace(subject, training_step=step)


def _nll(model: nn.Module, batch: ModelBatch, after_BL: Tensor, *, weight: PairWeight) -> Tensor:
    assert isinstance(model, GenePerturbationTransformer)
    return masked_nll(model.distribution(batch), after_BL, batch.scored_BL, weight)


def _first(pairs: PairSource, config: FitConfig) -> list[PairBatch]:
    """The batches by which ``fit`` learns units."""
    batches = pairs.pairs(batch_size=config.batch_size, seed=epoch_seed(config.seed, 0))
    return list(islice(batches, -(-_UNITS_PAIRS // config.batch_size)))
