"""``BatchFields``: which entries of somebody's batch are the cell before, the cell after and the perturbation.

A batch is a tuple, a list, a dict, a named tuple, a dataclass or any object with attributes; an entry is named by its
key, its position or its attribute, or by a path of these. Batches are never altered: what is put in makes a new one.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Self, TypeAlias, cast, final

from diagnostics.inputs.loaders.anndata_rows import is_anndata, with_value
from gpcp.core.errors import InputError, nearest

Step: TypeAlias = str | int
Entry: TypeAlias = Step | tuple[Step, ...]
"""A key, a position, an attribute, or a path of these, such as ``("cells", 0)``."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFields:
    """The entries that the checks read and alter; all others are passed on as they are.

    Parameters
    ----------
    before, after : key, position or path
        Expression of the two cells, (pairs, genes).
    perturbation : key, position or path, optional
        Perturbed genes: a mask (pairs, genes), where a number other than 0 may be the dose; or the gene's number,
        (pairs,) or (pairs, perturbations). Numbers are columns of ``before``; where one is beyond them, whether 0 or
        the last is a control is inferred from the pairs.
    dose : key, position or path, optional
        How strongly, in the shape of the perturbation or (pairs, genes).
    measured : key, position or path, optional
        The mask that is True where a gene was measured, (pairs, genes).

    Raises
    ------
    InputError
        Two fields name the same entry.
    """

    before: Entry
    after: Entry
    perturbation: Entry | None = None
    dose: Entry | None = None
    measured: Entry | None = None

    def __post_init__(self) -> None:
        named: dict[Entry, str] = {}
        for field in fields(self):
            entry = getattr(self, field.name)
            if entry is not None and named.setdefault(entry, field.name) != field.name:
                raise InputError(f"fields: {named[entry]!r} and {field.name!r} name the same entry {entry!r}")

    @classmethod
    def of(cls, given: "Mapping[str, Entry] | BatchFields") -> Self:
        """From a mapping such as ``{"before": "x", "after": "y", "perturbation": "gene"}``; ``"mask"`` is measured.

        Raises
        ------
        InputError
            A field is unknown or lacking.
        """
        if isinstance(given, cls):
            return given
        known = [field.name for field in fields(cls)]
        asked = dict(cast("Mapping[str, Entry]", given))
        if "mask" in asked and "measured" not in asked:
            asked["measured"] = asked.pop("mask")
        for name in asked:
            if name not in known:
                raise InputError(f"fields: there is no field {name!r}; {nearest(name, known)}")
        for name in ("before", "after"):
            if name not in asked:
                raise InputError(f"fields: say which entry of a batch is {name!r}, such as {{{name!r}: 0}}")
        return cls(**asked)

    def named(self, batch: object) -> "BatchFields":
        """The same with the names of a named tuple's entries for their positions."""
        names = steps_of(batch) if hasattr(batch, "_fields") else ()

        def of(entry: Entry) -> Entry:
            first, *rest = entry if isinstance(entry, tuple) else (entry,)
            if not isinstance(first, int) or not -len(names) <= first < len(names):
                return entry
            return (names[first], *rest) if rest else names[first]

        return replace(self, **{name: of(entry) for name, entry in self.present.items()})

    @property
    def present(self) -> Mapping[str, Entry]:
        """The fields that there are, by name."""
        return {field.name: entry for field in fields(self) if (entry := getattr(self, field.name)) is not None}


def read(batch: object, entry: Entry) -> Any:
    """An entry of a batch.

    Raises
    ------
    InputError
        There is no such entry; the message names those that there are.
    """
    found: Any = batch
    for step in entry if isinstance(entry, tuple) else (entry,):
        try:
            found = getattr(found, str(step)) if _by_attribute(found, step) else found[step]
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            raise InputError(
                f"a batch has no entry {entry!r}: it is a {type(batch).__name__} with {_contents(found)}; name its "
                "entries in fields="
            ) from error
    return found


def put(batch: object, values: Mapping[Entry, object]) -> Any:
    """A batch like this one with other values at some entries."""
    made = batch
    for entry, value in values.items():
        made = _with(made, entry if isinstance(entry, tuple) else (entry,), value)
    return made


def steps_of(batch: object) -> tuple[Step, ...]:
    """The names of all entries of a batch's first level; none of an object without attributes."""
    if is_anndata(batch):
        return ("X", "layers", "obs", "obsm")
    if isinstance(batch, Mapping):
        return tuple(cast("Mapping[Step, object]", batch))
    if isinstance(batch, tuple) and (names := getattr(cast("object", batch), "_fields", ())):
        return names
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return tuple(range(len(cast("Sequence[object]", batch))))
    if is_dataclass(batch):
        return tuple(field.name for field in fields(batch))
    return tuple(vars(batch)) if hasattr(batch, "__dict__") else ()


def _with(batch: object, path: tuple[Step, ...], value: object) -> object:
    if is_anndata(batch):
        return with_value(batch, path, value)
    step, *rest = path
    inner = value if not rest else _with(read(batch, step), tuple(rest), value)
    if isinstance(batch, Mapping):
        made = copy.copy(cast("dict[Step, object]", batch))
        made[step] = inner
        return made
    named = cast("Any", batch)
    if isinstance(batch, tuple) and hasattr(named, "_replace"):
        return named._replace(**{step if isinstance(step, str) else named._fields[step]: inner})
    if isinstance(batch, (tuple, list)):
        items = list(cast("Sequence[object]", batch))
        items[cast("int", step)] = inner
        return tuple(items) if isinstance(batch, tuple) else items
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{str(step): inner})
    other = copy.copy(batch)
    setattr(other, str(step), inner)
    return other


def _by_attribute(batch: object, step: Step) -> bool:
    return isinstance(step, str) and not isinstance(batch, Mapping) and hasattr(batch, step)


def _contents(batch: object) -> str:
    names = steps_of(batch)
    if not names:
        return "no entries"
    kind = "positions" if isinstance(names[0], int) else "entries"
    return f"the {kind} {', '.join(map(repr, names[:12]))}"
