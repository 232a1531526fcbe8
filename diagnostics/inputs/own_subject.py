"""From what people have, a loader or a source, a module, a loss and a step, to a subject of the checks.

Everything is called once with a batch of the loader before anything is judged.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from diagnostics.checks.engine.copies import copied
from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject, TrainingStep, existing
from diagnostics.checks.users_code import users_own
from diagnostics.inputs.calls import Asking, asking_of, loss_of, scalar_of, tensor_of, without_gradient
from diagnostics.inputs.loaders.batch_fields import BatchFields, read, steps_of
from diagnostics.inputs.loaders.loader_pairs import Loader, LoaderPairs
from diagnostics.inputs.own_parts import Data, OwnParts, UsersStep
from diagnostics.inputs.taken_as import taken_as
from diagnostics.inputs.tried_once import described, shape_of, tried_once
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.model.batch import ModelBatch

BATCH_SIZE = 64
"""Pairs of a batch that is made of plain arrays."""

N_TRIED = 8
"""Pairs with which everything is called once."""


def subject_of(parts: OwnParts) -> Subject:
    """The subject, after each of its parts was called once.

    Raises
    ------
    InputError
        Parts do not fit together, one cannot be called as it stands, or gives something else than it must.
    """
    pairs, held_out = parts.pairs, parts.held_out
    if pairs is None or isinstance(pairs, PairSource):
        name = parts.first_given(("fields", "predict", "genes", "targets"))
        if name is not None:
            raise InputError(f"{name}= is for a loader of yours, and the pairs are none: leave it out")
        if held_out is not None and not isinstance(held_out, PairSource):
            raise InputError("held_out is a loader and pairs is a source of pairs: give two of one kind")
        return _of_source(_with_step(parts), pairs, held_out)
    if parts.forward is not None:
        raise InputError("forward= is for pairs of this library: with a loader of yours give predict=")
    return _of_loader(_with_step(parts), _loader(pairs), None if held_out is None else _loader(held_out))


def _with_step(parts: OwnParts) -> OwnParts:
    """The parts with a training step that lowers their objective, where they have one."""
    objective, optimizer = parts.objective, parts.optimizer
    if objective is None:
        return parts
    if parts.training_step is not None:
        raise InputError("objective= and training_step= are given: a step lowers what it lowers, leave one out")
    if optimizer is None:
        raise InputError("objective= is given without an optimiser that lowers it: give optimizer= too")
    asks = len(inspect.signature(objective).parameters) > 1

    def step(model: nn.Module, batch: object) -> float:
        optimizer.zero_grad()
        value = scalar_of(objective(model, batch) if asks else objective(batch), "objective")
        if not isinstance(value, Tensor) or not value.requires_grad:
            raise InputError(
                "objective gives a number without a gradient: return the tensor itself, not its .item() or .detach()"
            )
        value.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        return float(value.detach())

    return replace(parts, training_step=step)


def _of_source(parts: OwnParts, pairs: PairSource | None, held_out: PairSource | None) -> Subject:
    intent = Intent() if parts.intent is None else parts.intent
    subject = Subject(
        pairs=pairs,
        held_out=held_out,
        model=parts.model,
        forward=parts.forward,
        loss=parts.loss,
        make_optimizer=None if parts.optimizer is None else existing(parts.optimizer),
        training_step=None if parts.training_step is None else _of_pairs(parts.training_step, parts.optimizer),
        on_epoch=parts.on_epoch,
        of_width=parts.of_width,
        n_epochs=parts.n_epochs,
        intent=intent if parts.given is None else replace(intent, given=parts.given),
        name="the pairs" if parts.model is None else type(parts.model).__name__,
    )
    if parts.model is not None:
        few = next(pairs.pairs(batch_size=N_TRIED, seed=0), None) if pairs is not None else Probe(subject).few
        if few is not None:
            tried_once(subject, few, held=f"a ModelBatch of {len(few)} pairs")
    return subject


def _of_loader(parts: OwnParts, loader: Loader, unseen: Loader | None) -> Subject:
    pairs = _pairs(loader, parts)
    held_out = None if unseen is None else _pairs(unseen, parts, beside=pairs)
    intent = _intent(pairs, parts)
    loss = None if parts.loss is None else loss_of(parts.loss, masked=pairs.masked)
    subject = Subject(
        pairs=pairs,
        held_out=held_out,
        collate=pairs.model_batch,
        loss=loss,
        make_optimizer=None if parts.optimizer is None else existing(parts.optimizer),
        on_epoch=parts.on_epoch,
        of_width=parts.of_width,
        n_epochs=parts.n_epochs,
        intent=intent,
        name="the loader" if parts.model is None else type(parts.model).__name__,
        taken_as=taken_as(parts, pairs, intent, held_out=held_out),
    )
    if parts.model is None:
        return subject
    asking = asking_of(parts.model, parts.predict, pairs.fields, pairs.first_batch)
    shown = {**subject.taken_as, "prediction": asking.summary}
    subject = replace(subject, model=parts.model, forward=_forward(pairs, asking), taken_as=shown)
    if asking.as_used is not None:
        used = Asking(ask=asking.as_used, summary=asking.summary)
        subject = replace(subject, as_used=_forward(pairs, used))
    if parts.training_step is not None:
        subject = replace(subject, training_step=_step(parts.training_step, pairs, parts.optimizer))
    held = f"a batch of the loader, which holds {described(pairs.first_batch)}"
    few = pairs.opened(pairs.first_batch).pairs
    answer = users_own(
        f"{asking.summary} fails on {held}:", without_gradient, asking, parts.model, pairs.first_batch,
        mend="if it is called in another way: predict=lambda batch: ...  # (pairs, genes)",
    )  # fmt: skip
    tensor_of(answer, (len(few), len(pairs.vocab)), asking.summary)
    tried_once(subject, few, held=held)
    _takes_every_gene(subject, pairs, parts)
    return subject


def _takes_every_gene(subject: Subject, pairs: LoaderPairs, parts: OwnParts) -> None:
    """Numbers of guides are often taken for numbers of genes: a model knows none beyond its own.

    Raises
    ------
    InputError
        Perturbations are numbers below that of the genes, and the model fails with the number of another gene.
    """
    entry, model = pairs.entry, parts.model
    if model is None or entry is None or entry.form != "numbers" or parts.targets is not None or entry.inferred:
        return
    first = pairs.opened(pairs.first_batch).pairs
    absent = np.flatnonzero(~first.perturbed_BG.any(axis=0))
    if not len(absent):
        return
    batch, _ = pairs.model_batch(first)
    one_L = torch.as_tensor(np.arange(len(pairs.vocab)) == absent[-1], device=batch.token_BL.device)
    asked = replace(batch, perturbed_BL=(one_L & batch.measured_BL).expand(batch.before_BL.shape))
    try:
        with torch.no_grad():
            subject.predict(copied(model), asked)
    except (IndexError, RuntimeError) as error:
        highest = int(np.flatnonzero(first.perturbed_BG.any(axis=0)).max(initial=0))
        raise InputError(
            f"'perturbation' holds numbers up to {highest} in the first batch, which are taken for genes, and the "
            f"model fails when gene {absent[-1]} of {len(pairs.vocab)} is perturbed "
            f"({type(error).__name__}: {str(error)[:80]}). If they number guides or drugs, give the gene's "
            "column of each, -1 for a control:\n"
            "    targets=[-1, 2, 5, ...]  # number 0 is a control, 1 perturbs the gene in column 2"
        ) from error


def _pairs(loader: Loader, parts: OwnParts, beside: LoaderPairs | None = None) -> LoaderPairs:
    fields = parts.fields
    if fields is None:
        fields = _fields_by_name(loader)
    return LoaderPairs(
        loader,
        BatchFields.of(fields),
        genes=None if parts.genes is None else tuple(parts.genes),
        targets=None if parts.targets is None else tuple(parts.targets),
        given=parts.given if parts.intent is None else parts.intent.given,
        beside=beside,
    )


def _fields_by_name(loader: Loader) -> BatchFields:
    """Entries that bear the fields' own names.

    Raises
    ------
    InputError
        A batch has none of these names: the message shows what to write.
    """
    batch = next(iter(loader() if callable(loader) else loader), None)
    names = set(steps_of(batch))
    known = [name for name in BatchFields.__dataclass_fields__ if name in names]
    if {"before", "after"} <= set(known):
        return BatchFields.of({name: name for name in known})
    shown = [f"{step!r}: {shape_of(read(batch, step))}" for step in steps_of(batch)[:12]]
    raise InputError(
        f"which entries of a batch are the cells is not known: it is a {type(batch).__name__} with "
        f"{'; '.join(shown) or 'no entries'}. Say which is which, such as\n"
        "    fields={'before': 0, 'perturbation': 1, 'after': 2}"
    )


def _intent(pairs: LoaderPairs, parts: OwnParts) -> Intent:
    given = Intent(given=pairs.given) if parts.intent is None else parts.intent
    n_most = pairs.entry.most_perturbed if pairs.entry is not None else None
    return replace(
        given,
        masked=pairs.masked and given.masked,
        counted="measured",
        most_perturbed=n_most if given.most_perturbed is None else given.most_perturbed,
        perturbable=pairs.entry.perturbable
        if given.perturbable is None and pairs.entry is not None
        else given.perturbable,
    )


def _forward(pairs: LoaderPairs, asking: Asking) -> Callable[[nn.Module, ModelBatch], Tensor]:
    def forward(model: nn.Module, batch: ModelBatch) -> Tensor:
        answer_BG = tensor_of(asking.ask(model, pairs.written(batch)), (len(batch), len(pairs.vocab)), asking.summary)
        return answer_BG.gather(1, batch.token_BL.expand(batch.before_BL.shape).to(answer_BG.device))

    return forward


def _step(step: UsersStep, pairs: LoaderPairs, optimizer: torch.optim.Optimizer | None) -> TrainingStep:
    call = step_call(step, has_optimizer=optimizer is not None)

    def whole(model: nn.Module, optimizer: torch.optim.Optimizer, batch: PairBatch) -> float | Tensor:
        return scalar_of(call(model, optimizer, pairs.batch_of(batch)), "training_step")

    return whole


def step_call(step: UsersStep, *, has_optimizer: bool) -> Callable[[nn.Module, torch.optim.Optimizer, Any], Any]:
    """A training step of one, two or three arguments, as one of three.

    Raises
    ------
    InputError
        It takes another number of arguments, or needs an optimiser that is not given.
    """
    names = [
        one.name
        for one in inspect.signature(step).parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    if len(names) == 2 and names[1].lower() in ("batch_idx", "batch_index", "idx", "index", "i", "step", "_"):
        return lambda model, optimizer, batch: step(batch, 0)
    if len(names) == 1:
        return lambda model, optimizer, batch: step(batch)
    if len(names) == 2:
        return lambda model, optimizer, batch: step(model, batch)
    if len(names) != 3:
        raise InputError(
            f"training_step takes ({', '.join(names)}): write it as a function of (batch), (model, batch) or (model, "
            "optimizer, batch), such as\n    training_step=lambda batch: my_step(batch, ...)"
        )
    if not has_optimizer:
        raise InputError("training_step takes an optimiser, and none is given: give optimizer= too")
    return lambda model, optimizer, batch: step(model, optimizer, batch)


def _of_pairs(step: UsersStep, optimizer: torch.optim.Optimizer | None) -> TrainingStep:
    call = step_call(step, has_optimizer=optimizer is not None)

    def whole(model: nn.Module, optimizer: torch.optim.Optimizer, batch: PairBatch) -> float | Tensor:
        return scalar_of(call(model, optimizer, batch), "training_step")

    return whole


def _loader(data: Data) -> Loader:
    """A loader as it is; arrays as one that gives them shuffled, in dicts of tensors."""
    if isinstance(data, PairSource):
        raise InputError("held_out is a source of pairs and pairs is a loader: give two of one kind")
    if not isinstance(data, Mapping):
        return data
    given = cast("Mapping[str, Any]", data)
    arrays = {name: torch.as_tensor(np.asarray(value)) for name, value in given.items()}
    lengths = {name: len(value) for name, value in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"the arrays have different numbers of pairs: {lengths}")

    def collated(rows: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        return {name: torch.stack(parts) for name, parts in zip(arrays, zip(*rows, strict=True), strict=True)}

    return DataLoader(TensorDataset(*arrays.values()), batch_size=BATCH_SIZE, shuffle=True, collate_fn=collated)
