"""Columns of ``obs`` that may hold the perturbation, by how well they fit the names of the field's tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from gpcp.core.errors import InputError, nearest
from gpcp.screens.known_names import CONVENTIONS, Convention, control_group
from gpcp.screens.label_forms import distinct_labels, n_apart

if TYPE_CHECKING:
    import pandas as pd

_MOST_LABELS = 100_000
"""Labels beyond which a column is no list of perturbations but names each cell."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A column that may hold the perturbation.

    Parameters
    ----------
    column : str
    controls : tuple of str
        Its labels that mean control; empty where none is recognised.
    convention : str
    fit : int
        2 where column and control are those of the convention, 1 where the control is another known word, 0 where none
        is recognised.
    """

    column: str
    controls: tuple[str, ...]
    convention: str
    fit: int


def the_best(
    obs: "pd.DataFrame", *, name: str, perturbation: str | None, controls: tuple[str, ...] | None
) -> tuple[Candidate, str]:
    """The column that holds the perturbation, and why, in words.

    Parameters
    ----------
    obs : pandas.DataFrame
    name : str
        Of the file, for messages.
    perturbation : str or None
        The column, where it is given.
    controls : tuple of str or None
        The labels that mean control, where they are given.

    Raises
    ------
    InputError
        See :func:`gpcp.screens.conventions.screen_columns`.
    """
    if perturbation is not None:
        taken = _controls_in(obs, name, perturbation, controls, needed=True)
        return Candidate(
            column=perturbation, controls=taken, convention="given", fit=2
        ), f"perturbation {perturbation!r}, as given"
    known = [one for one in _named_columns(obs) if controls is None or set(controls) <= set(distinct_labels(obs[one]))]
    found = [one for column in known if (one := _fitted(obs, name, column, controls)) is not None]
    if not found:
        raise _nothing(obs, name, controls)
    top = max(one.fit for one in found)
    if top == 0:
        raise InputError(
            f"{name}: no label of {_or([one.column for one in found])} is a known word for control; name the label "
            f"that means control ({_shown(distinct_labels(obs[found[0].column]))})"
        )
    # A column that fits less well is still another answer where it groups the cells otherwise.
    equal = sorted((one for one in found if one.fit), key=lambda one: (-one.fit, _place(one.convention)))
    equal = _without_yes_or_no(obs, equal)
    first = equal[0]
    for other in equal[1:]:
        n_differ = n_apart(obs[first.column], first.controls, obs[other.column], other.controls)
        if n_differ:
            raise InputError(
                f"{name}: the columns {_or([one.column for one in equal])} of obs could each hold the perturbation, "
                f"and they differ in {n_differ:,} of {len(obs):,} cells: name the one to take"
            )
    why = f"perturbation {first.column!r} as of {first.convention}"
    alike = [repr(other.column) for other in equal[1:]]
    return first, why + (f" ({', '.join(alike)} agree{'s' * (len(alike) == 1)} with it)" if alike else "")


def _named_columns(obs: "pd.DataFrame") -> list[str]:
    names = {column for convention in CONVENTIONS for column in convention.columns}
    return [str(column) for column in obs.columns if str(column).lower() in names]


def _fitted(obs: "pd.DataFrame", name: str, column: str, controls: tuple[str, ...] | None) -> Candidate | None:
    """The convention that a column of a known name fits best; None where it holds no labels."""
    import pandas as pd

    values: pd.Series[Any] = obs[column]
    if pd.api.types.is_float_dtype(values) or not 2 <= values.nunique() <= _MOST_LABELS:
        return None
    taken = _controls_in(obs, name, column, controls, needed=False)
    beside = {str(one).lower() for one in obs.columns}
    possible = [
        one for one in CONVENTIONS if column.lower() in one.columns and (not one.beside or beside & set(one.beside))
    ]
    if not possible:
        # The other columns of the tool are missing; its name of the column is still one that is known.
        possible = [one for one in CONVENTIONS if column.lower() in one.columns]
    exact = [one for one in possible if _is_its_control(one, taken)]
    if taken:
        best = (exact or possible)[0]
        return Candidate(column=column, controls=taken, convention=best.name, fit=2 if exact else 1)
    return Candidate(column=column, controls=(), convention=possible[0].name, fit=0)


def _is_its_control(convention: Convention, taken: Sequence[str]) -> bool:
    return any(part.lower() in convention.controls for label in taken for part in label.split("+"))


def _controls_in(
    obs: "pd.DataFrame", name: str, column: str, controls: tuple[str, ...] | None, *, needed: bool
) -> tuple[str, ...]:
    """The labels of a column that mean control: those given, or those recognised."""
    labels = distinct_labels(obs[column])
    if controls is not None:
        for label in controls:
            if label not in labels:
                raise InputError(
                    f"{name}: no cell has the control label {label!r} in {column!r}; {nearest(label, labels)}"
                )
        return controls
    # GEARS writes a control as ``ctrl`` and, in some files, as ``ctrl+ctrl``.
    group_of = {label: group for label in labels if (group := _group(label)) is not None}
    groups = sorted(set(group_of.values()))
    if len(groups) > 1:
        raise InputError(
            f"{name}: labels of {column!r} mean controls of {len(groups)} kinds ({_shown(list(group_of))}); name "
            "those to take"
        )
    if needed and not group_of:
        raise InputError(
            f"{name}: no label of {column!r} is a known word for control; name the label that means control "
            f"({_shown(labels)})"
        )
    return tuple(group_of)


def _group(label: str) -> str | None:
    groups = {control_group(part) for part in label.split("+")}
    return groups.pop() if len(groups) == 1 else None


def _without_yes_or_no(obs: "pd.DataFrame", equal: list[Candidate]) -> list[Candidate]:
    """Leave out columns that say only whether a cell is perturbed, where another says by what."""
    named = [one for one in equal if len(distinct_labels(obs[one.column])) - len(one.controls) > 1]
    return named or equal


def _nothing(obs: "pd.DataFrame", name: str, controls: tuple[str, ...] | None) -> InputError:
    """The error where no column has a known name, with the columns that hold a word for control."""
    import pandas as pd

    possible: list[str] = []
    for column in map(str, obs.columns):
        values: pd.Series[Any] = obs[column]
        if pd.api.types.is_numeric_dtype(values) or not 2 <= values.nunique() <= _MOST_LABELS:
            continue
        labels = distinct_labels(values)
        if (set(controls) <= set(labels)) if controls else any(_group(label) for label in labels):
            possible.append(column)
    if controls and not possible:
        known = sorted({label for column in _named_columns(obs) for label in distinct_labels(obs[column])})
        return InputError(
            f"{name}: no column of obs has the control label {_or(controls)}; {nearest(controls[0], known)}"
        )
    if possible:
        return InputError(
            f"{name}: no column of obs has a name by which a known tool keeps the perturbation; {_or(possible)} "
            f"{'holds' if len(possible) == 1 else 'hold'} a label for control: name the column to take"
        )
    return InputError(
        f"{name}: no column of obs has a name by which a known tool keeps the perturbation, and none holds a known "
        f"word for control; obs has {_shown([str(column) for column in obs.columns])}"
    )


def _place(convention: str) -> int:
    return next(place for place, one in enumerate(CONVENTIONS) if one.name == convention)


def _or(columns: Sequence[str]) -> str:
    return " and ".join(repr(column) for column in columns)


def _shown(labels: Sequence[str], most: int = 6) -> str:
    return ", ".join(labels[:most]) + (", ..." if len(labels) > most else "")
