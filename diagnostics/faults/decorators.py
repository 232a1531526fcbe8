"""Decorators that register faults, by the part that they alter.

Each takes a name, what it plants, the checks that may name it (without a family: that of the part) and, by name, what
else :func:`diagnostics.faults.fault.fault` takes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from diagnostics.checks.engine.subject import Loss, MakeOptimizer, Subject
from diagnostics.faults.altered_pairs import Alter, AlteredPairs
from diagnostics.faults.fault import (
    FaultPart,
    Plant,
    copied,
    fault,
    predictions_with,
    reforward,
    source_of,
    with_source,
)
from diagnostics.faults.is_planted import collated_differ, losses_differ, pairs_differ, predictions_differ, steps_differ
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch
from gpcp.model.transformer import GenePerturbationTransformer

Collated: TypeAlias = tuple[ModelBatch, Tensor]
Recollate: TypeAlias = Callable[[ModelBatch, Tensor], Collated]
AlterLayers: TypeAlias = Callable[[GenePerturbationTransformer], None]
AlterQuestion: TypeAlias = Callable[[ModelBatch], ModelBatch]
AlterAnswer: TypeAlias = Callable[[Tensor, ModelBatch], Tensor]
Update: TypeAlias = Callable[[Subject, nn.Module, Optimizer, PairBatch], Tensor]

AlteredT = TypeVar("AlteredT", bound=Callable[..., Any])

_DEFAULTS: dict[FaultPart, dict[str, Any]] = {
    "data": {"cause": "data", "shows": pairs_differ},
    "loss": {"cause": "bug", "shows": losses_differ},
    "model": {"cause": "bug", "shows": predictions_differ},
    "optimiser": {"cause": "optimiser", "shows": steps_differ},
}
_FAMILY: dict[FaultPart, str] = {"data": "data", "loss": "loss", "model": "architecture", "optimiser": "optimiser"}


def _entry(
    part: FaultPart, name: str, plants: str, expected: tuple[str, ...], more: dict[str, Any],
    plant_of: Callable[[AlteredT], Plant],
) -> Callable[[AlteredT], AlteredT]:  # fmt: skip
    named = tuple(one if "." in one else f"{_FAMILY[part]}.{one}" for one in expected)

    def enter(altered: AlteredT) -> AlteredT:
        fault(name, plants, part=part, expected=named, **{**_DEFAULTS[part], **more})(plant_of(altered))
        return altered

    return enter


def pairs_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[Alter], Alter]:
    """An alteration of training and held-out pairs."""

    def plant_of(alter: Alter) -> Plant:
        def apply(subject: Subject) -> Subject:
            held_out = subject.held_out
            return with_source(
                subject,
                AlteredPairs(source=source_of(subject), alter=alter),
                None if held_out is None else AlteredPairs(source=held_out, alter=alter),
            )

        return apply

    return _entry("data", name, plants, expected, more, plant_of)


def collate_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[Recollate], Recollate]:
    """An alteration of collated batches: ``(batch, after_BL) -> (batch, after_BL)``."""

    def plant_of(alter: Recollate) -> Plant:
        def apply(subject: Subject) -> Subject:
            collate = subject.collate

            def altered(pairs: PairBatch) -> Collated:
                return alter(*collate(pairs))

            return replace(subject, collate=altered)

        return apply

    return _entry("data", name, plants, expected, {"shows": collated_differ, **more}, plant_of)


def loss_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[Loss], Loss]:
    """Another loss."""

    def plant_of(loss: Loss) -> Plant:
        return lambda subject: replace(subject, loss=loss)

    return _entry("loss", name, plants, expected, more, plant_of)


def layers_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[AlterLayers], AlterLayers]:
    """A change of the layers of a copy."""

    def plant_of(alter: AlterLayers) -> Plant:
        def apply(subject: Subject) -> Subject:
            model, faulty = copied(subject)
            alter(model)
            return faulty

        return apply

    return _entry("model", name, plants, expected, more, plant_of)


def input_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[AlterQuestion], AlterQuestion]:
    """A change of the model's input."""

    def plant_of(change: AlterQuestion) -> Plant:
        def apply(subject: Subject) -> Subject:
            def asked(_: nn.Module, usual: Callable[..., Any], batch: ModelBatch, *maps: Any) -> Any:
                return usual(change(batch), *maps)

            model, faulty = copied(subject)
            reforward(model, asked)
            return faulty

        return apply

    return _entry("model", name, plants, expected, more, plant_of)


def prediction_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[AlterAnswer], AlterAnswer]:
    """A change of the model's predictions."""

    def plant_of(change: AlterAnswer) -> Plant:
        return lambda subject: predictions_with(subject, change)

    return _entry("model", name, plants, expected, more, plant_of)


def optimizer_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[MakeOptimizer], MakeOptimizer]:
    """Another optimiser."""

    def plant_of(make: MakeOptimizer) -> Plant:
        return lambda subject: replace(subject, make_optimizer=make)

    return _entry("optimiser", name, plants, expected, more, plant_of)


def step_fault(name: str, plants: str, *expected: str, **more: Any) -> Callable[[Update], Update]:
    """Another training step."""

    def plant_of(update: Update) -> Plant:
        def apply(subject: Subject) -> Subject:
            def training_step(model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
                return update(subject, model, optimizer, pairs)

            return replace(subject, training_step=training_step)

        return apply

    return _entry("optimiser", name, plants, expected, more, plant_of)
