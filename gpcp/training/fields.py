"""Fields of configurations from text: the ``NAME=VALUE`` of a command line, typed by the dataclass itself."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from gpcp.core.errors import InputError, nearest


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


_Config = TypeVar("_Config", bound=_Dataclass)

_TRUTH: Mapping[str, bool] = {"true": True, "false": False}


def parse_fields(
    texts: Iterable[str], *configs: type, names: Collection[str] | None = None, example: str = "NAME=VALUE"
) -> dict[str, Any]:
    """Values of fields by name, from texts ``NAME=VALUE``; of a field that is set twice, the last.

    Parameters
    ----------
    texts : iterable of str
    *configs : dataclasses
        Their fields may be set, each by a value of its own type: a number, a name, ``true`` or ``false``, and ``none``
        where the field can be None.
    names : collection of str, optional
        The fields that may be set; all by default.
    example : str
        What a text looks like, for the message about one that has no value.

    Raises
    ------
    InputError
        A text has no value, a name is no field (the message names the nearest), or a value is of another type.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{text!r} sets nothing: write {example}")
        values[name] = parse_field(name, value, *configs, names=names)
    return values


def parse_field(name: str, text: str, *configs: type, names: Collection[str] | None = None) -> Any:
    """The value of one field from its text; parameters and errors as :func:`parse_fields`."""
    every = {field: kind for config in configs for field, kind in get_type_hints(config).items()}
    # Tuples follow from the data; nobody writes them.
    kinds = {field: kind for field, kind in every.items() if get_origin(kind) is not tuple}
    allowed = list(kinds) if names is None else sorted(names)
    if name not in allowed:
        raise InputError(f"{name!r} is nothing that can be set; {nearest(name, allowed)}")
    options = get_args(kinds[name]) if get_origin(kinds[name]) is UnionType else (kinds[name],)
    if NoneType in options and text.lower() == "none":
        return None
    (kind,) = (option for option in options if option is not NoneType)
    if get_origin(kind) is Literal:
        choices: tuple[str, ...] = get_args(kind)
        if text not in choices:
            raise InputError(f"{name}={text}: unknown; {nearest(text, choices)}")
        return text
    try:
        return _TRUTH[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise InputError(f"{name}={text}: write {wanted}{' or none' if NoneType in options else ''}") from None


def replace_fields(config: _Config, values: Mapping[str, Any]) -> _Config:
    """A configuration with those of the values that are fields of it; others are passed over."""
    own = {field.name for field in fields(config)}
    return replace(config, **{name: value for name, value in values.items() if name in own})
