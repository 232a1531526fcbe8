"""The catalogue of planted faults, ``FAULTS``, on which the checks are measured."""

from dataclasses import replace

# Each file registers its faults; the catalogue is in their order.
import diagnostics.faults.data  # pyright: ignore[reportUnusedImport]
import diagnostics.faults.loss  # pyright: ignore[reportUnusedImport]
import diagnostics.faults.model  # pyright: ignore[reportUnusedImport]
import diagnostics.faults.optimiser  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.fault import REGISTERED, Fault
from gpcp.core.errors import InputError, nearest

_ORDER = ("data", "loss", "model", "optimiser")

FAULTS: dict[str, Fault] = {
    one.name: one for one in sorted(REGISTERED, key=lambda one: (_ORDER.index(one.part), REGISTERED.index(one)))
}
"""Every fault by its name."""


def fault_named(name: str) -> Fault:
    """One fault.

    Raises
    ------
    InputError
        There is none of that name; the message gives the nearest.
    """
    if name not in FAULTS:
        raise InputError(f"no fault is named {name!r}; {nearest(name, FAULTS)}")
    return FAULTS[name]


def planted(name: str, subject: Subject) -> Subject:
    """The subject with a fault planted in it, under the fault's name; the one given stays as it was.

    Raises
    ------
    InputError
        There is no such fault, or the subject lacks the part that it is planted in.
    """
    return replace(fault_named(name).apply(subject), name=f"{subject.name} with {name}")
