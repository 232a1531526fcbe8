"""A fault planted in a healthy subject, the diagnosis that it must get, and the functions that plant it.

A fault is a function from subject to subject. What it alters it copies first, so that the healthy subject stays as it
was. A layer is altered by giving its copy a class of its own with another ``forward``: a function that closes over
one model would still call that model once the copy is copied again, as every check does.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias, final

from torch import Tensor, nn

from diagnostics.checks.engine.subject import Subject
from diagnostics.results.check_result import Cause
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.transformer import GenePerturbationTransformer
from simulators.scm.regimes import Regime

FaultPart = Literal["data", "loss", "model", "optimiser"]
"""Where it is planted, which need not be where it shows."""

Plant: TypeAlias = Callable[[Subject], Subject]
Shows: TypeAlias = Callable[[Subject, Subject], bool]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One planted fault.

    Parameters
    ----------
    name : str
    part : {"data", "loss", "model", "optimiser"}
        Where it is planted.
    plants : str
        What it does, in one sentence.
    apply : callable
        ``Subject -> Subject``; the subject given stays as it was.
    expected : tuple of str
        Names of the checks that may be its first diagnosis; none for an equivalent one.
    cause : {"data", "optimiser", "architecture", "bug"}
    shows : callable
        ``(healthy, faulty) -> bool``: the altered part behaves otherwise.
    equivalent : bool
        True where the subject still learns as well: it is planted to see that no alarm is raised.
    not_in : tuple of str
        Regimes of pairs in which it is no fault.
    """

    name: str
    part: FaultPart
    plants: str
    apply: Plant
    expected: tuple[str, ...]
    cause: Cause
    shows: Shows
    equivalent: bool = False
    not_in: tuple[Regime, ...] = ()

    @property
    def of_masks(self) -> bool:
        """Whether it does harm only where some genes are unmeasured."""
        return bool(_OF_MASKS & set(self.expected))


_OF_MASKS = {
    "data.masks",
    *(f"architecture.{name}" for name in ("unmeasured", "nan_unmeasured", "reads_measured", "padding", "gene_order")),
}

REGISTERED: list[Fault] = []
"""Every fault that a file has registered; :mod:`diagnostics.faults.catalogue` has them in order and by name."""


def fault(
    name: str,
    plants: str,
    *,
    part: FaultPart,
    expected: tuple[str, ...],
    cause: Cause,
    shows: Shows,
    equivalent: bool = False,
    not_in: tuple[Regime, ...] = (),
) -> Callable[[Plant], Plant]:
    """Register a function as a fault.

    Raises
    ------
    InputError
        The name is taken.
    """
    if any(known.name == name for known in REGISTERED):
        raise InputError(f"fault {name!r} is registered already: choose another name")

    def enter(apply: Plant) -> Plant:
        REGISTERED.append(
            Fault(
                name=name, part=part, plants=plants, apply=apply, expected=expected, cause=cause, shows=shows,
                equivalent=equivalent, not_in=not_in,
            )
        )  # fmt: skip
        return apply

    return enter


def copied(subject: Subject) -> tuple[GenePerturbationTransformer, Subject]:
    """A copy of the subject's transformer, and the subject with that copy.

    Raises
    ------
    InputError
        The subject's model is another one: its layers are not known.
    """
    if not isinstance(subject.model, GenePerturbationTransformer):
        raise InputError(
            "this fault is planted in layers of GenePerturbationTransformer: the subject has another model"
        )
    model = copy.deepcopy(subject.model)
    return model, replace(subject, model=model)


def reforward(module: nn.Module, forward: Callable[..., Any]) -> None:
    """Give a module another forward: ``forward(module, usual, *arguments)``, ``usual`` being its own."""
    kind = type(module)

    def replaced(self: nn.Module, *arguments: Any) -> Any:
        return forward(self, partial(kind.forward, self), *arguments)

    module.__class__ = type(kind.__name__, (kind,), {"forward": replaced})


def with_source(subject: Subject, pairs: PairSource, held_out: PairSource | None) -> Subject:
    """The subject with other pairs; a transformer takes its units from them, as a training would."""
    changed = replace(subject, pairs=pairs, held_out=held_out)
    if not isinstance(subject.model, GenePerturbationTransformer):
        return changed
    model, changed = copied(changed)
    model.learn_units(model_batch(next(iter(pairs.pairs(batch_size=2048, seed=0))))[0])
    return changed


def source_of(subject: Subject) -> PairSource:
    """The subject's pairs.

    Raises
    ------
    InputError
        It has none.
    """
    if subject.pairs is None:
        raise InputError("this fault is planted in pairs: the subject has none")
    return subject.pairs


def predictions_with(subject: Subject, change: Callable[[Tensor, Any], Tensor]) -> Subject:
    """The subject whose predictions are changed: ``change(answer_BL, batch)``."""
    forward = subject.forward
    if forward is None:
        raise InputError("this fault is planted in a model: the subject has none")

    def changed(model: nn.Module, batch: ModelBatch) -> Tensor:
        return change(forward(model, batch), batch)

    return replace(subject, forward=changed)
