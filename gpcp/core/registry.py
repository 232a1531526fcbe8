"""Registries: parts by name, whose unknown names are errors that give the nearest."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, final

from gpcp.core.errors import InputError, nearest

PartT = TypeVar("PartT")


@final
class Registry(Generic[PartT]):
    """Parts of one kind by their names, in the order in which they were registered."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._parts: dict[str, PartT] = {}

    def register(self, name: str) -> Callable[[PartT], PartT]:
        """Decorate a part to enter it under ``name``.

        Raises
        ------
        InputError
            The name is taken.
        """

        def enter(part: PartT) -> PartT:
            if name in self._parts:
                raise InputError(f"{self._kind} {name!r} is registered already: choose another name")
            self._parts[name] = part
            return part

        return enter

    def __getitem__(self, name: str) -> PartT:
        """The part of that name.

        Raises
        ------
        InputError
            There is none; the message names the nearest.
        """
        if name not in self._parts:
            raise InputError(f"{self._kind} {name!r} is unknown; {nearest(name, self._parts)}")
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
