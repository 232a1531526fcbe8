"""Which columns and labels of a screen's ``obs`` mean what: given by the caller, or recognised by the tools' names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from gpcp.core.errors import InputError, nearest
from gpcp.core.perturbations import KINDS, Kind
from gpcp.screens.candidates import the_best
from gpcp.screens.known_names import (
    CONTEXT_COLUMNS,
    DOSE_COLUMNS,
    GUIDE_COLUMNS,
    KIND_COLUMNS,
    control_group,
    kind_of,
)
from gpcp.screens.label_forms import distinct_labels, guide_suffix, joiner

if TYPE_CHECKING:
    import pandas as pd

_NONE = {"", "none", "nan", "na", "n/a"}
"""What stands in a column of kinds for cells that have none."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenColumns:
    """What the columns of a screen mean.

    Parameters
    ----------
    convention : str
        Whose names were recognised: ``"gears"``, ``"scperturb"``, ``"cpa"``, ``"perturbench"``, ``"cell-load"``,
        ``"cell-eval2"``, ``"pertpy"``; ``"given"`` where the caller named the column.
    perturbation : str
        The column of ``obs`` that holds what was done to each cell.
    controls : tuple of str
        Its labels that mean control.
    separator : str or None
        What joins the targets of a combination; None where there are none.
    guide, dose : str or None
        Columns; None where there is none.
    contexts : mapping of str to str
        From a covariate's name (:data:`gpcp.core.cells.COVARIATES`) to its column.
    kind : str
        Of :data:`gpcp.core.perturbations.KINDS`; ``"unknown"`` where the file does not say, or has several.
    summary : str
        One line: what was taken and why.
    kind_column : str or None
        The column that says the kind of each cell's perturbation.
    guide_suffix : str or None
        Pattern that ends labels of guides, which are taken off to find the target.
    always_split : bool
        Whether the separator joins targets wherever it occurs (it was given), or where all parts are known alone.
    """

    convention: str
    perturbation: str
    controls: tuple[str, ...]
    separator: str | None
    guide: str | None
    dose: str | None
    contexts: Mapping[str, str]
    kind: Kind
    summary: str
    kind_column: str | None = None
    guide_suffix: str | None = None
    always_split: bool = False

    def __post_init__(self) -> None:
        if not self.controls:
            raise InputError(
                f"ScreenColumns.controls is empty: name the labels of {self.perturbation!r} that mean control"
            )
        if self.kind not in KINDS:
            raise InputError(f"ScreenColumns.kind is {self.kind!r}; {nearest(self.kind, KINDS)}")
        object.__setattr__(self, "contexts", MappingProxyType(dict(self.contexts)))

    def __reduce__(self) -> "tuple[object, ...]":
        """What pickle keeps; a read-only mapping cannot be pickled, a dict can."""
        return _unpickled, (
            {name: getattr(self, name) for name in self.__slots__ if name != "contexts"},
            dict(self.contexts),
        )


def _unpickled(fields: Mapping[str, object], contexts: Mapping[str, str]) -> ScreenColumns:
    return ScreenColumns(**fields, contexts=contexts)  # pyright: ignore[reportArgumentType]


def screen_columns(
    obs: "pd.DataFrame",
    *,
    name: str,
    perturbation: str | None = None,
    control: str | Sequence[str] | None = None,
    separator: str | None = None,
    guide: str | None = None,
    dose: str | None = None,
    kind: str | None = None,
    contexts: Mapping[str, str] | None = None,
    genes: Collection[str] = (),
) -> ScreenColumns:
    """Find which columns and labels of a screen mean what; what is given is taken, the rest is recognised.

    Parameters
    ----------
    obs : pandas.DataFrame
        One row a cell.
    name : str
        Of the file, for messages.
    perturbation : str, optional
        The column that holds what was done to each cell.
    control : str or sequence of str, optional
        Its labels that mean control.
    separator : str, optional
        What joins the targets of a combination; ``""`` where nothing does.
    guide, dose : str, optional
        Columns.
    kind : str, optional
        Of :data:`gpcp.core.perturbations.KINDS`.
    contexts : mapping of str to str, optional
        Columns by the covariate's name; those of other covariates are still recognised.
    genes : collection of str
        Names of measured genes: ``A_B`` is a combination where both are genes or labels.

    Raises
    ------
    InputError
        A name that is given is not in the file; no column is recognised, or several that differ; controls are not
        found, or of several kinds. The message names the candidates.
    """
    _check_given(obs, name, perturbation=perturbation, guide=guide, dose=dose, contexts=contexts or {})
    asked = None if control is None else ((control,) if isinstance(control, str) else tuple(control))
    best, why = the_best(obs, name=name, perturbation=perturbation, controls=asked)
    labels = distinct_labels(obs[best.column])
    others = [label for label in labels if label not in best.controls]
    suffix = guide_suffix(others)
    joined = separator if separator is not None else joiner(others, best.controls, genes)
    kind_column = _first_of(obs, KIND_COLUMNS) if kind is None else None
    the_kind, of_kind = _the_kind(obs, name, kind, kind_column)
    found = _contexts(obs, contexts or {}, but=best.column)
    taken_guide = guide if guide is not None else _first_of(obs, GUIDE_COLUMNS, but=best.column)
    taken_dose = dose if dose is not None else _first_of(obs, DOSE_COLUMNS, but=best.column)
    parts = [why, f"control {_listed(best.controls)}"]
    parts += [f"combinations joined by {joined!r}"] if joined else []
    parts += [f"labels name guides: {suffix[1]} is taken off"] if suffix else []
    parts += [f"{what} {column!r}" for what, column in (("guides", taken_guide), ("doses", taken_dose)) if column]
    parts += [f"{covariate} {column!r}" for covariate, column in found.items()]
    return ScreenColumns(
        convention=best.convention,
        perturbation=best.column,
        controls=best.controls,
        separator=joined or None,
        guide=taken_guide,
        dose=taken_dose,
        contexts=found,
        kind=the_kind,
        summary="; ".join([*parts, of_kind]),
        kind_column=kind_column,
        guide_suffix=suffix[0] if suffix else None,
        always_split=separator is not None,
    )


def _check_given(
    obs: "pd.DataFrame",
    name: str,
    *,
    perturbation: str | None,
    guide: str | None,
    dose: str | None,
    contexts: Mapping[str, str],
) -> None:
    columns = {"perturbation": perturbation, "guide": guide, "dose": dose}
    columns |= {f"context {covariate!r}": column for covariate, column in contexts.items()}
    for what, column in columns.items():
        if column is not None and column not in obs.columns:
            raise InputError(
                f"{name} has no column {column!r} in obs for the {what}; {nearest(column, map(str, obs.columns))}"
            )
    for covariate in contexts:
        if covariate not in CONTEXT_COLUMNS:
            raise InputError(f"context {covariate!r} is no covariate; {nearest(covariate, CONTEXT_COLUMNS)}")


def _first_of(obs: "pd.DataFrame", names: Sequence[str], *, but: str | None = None) -> str | None:
    """The first of some names, whatever their case, that is a column with something in it."""
    columns = {str(column).lower(): str(column) for column in reversed(obs.columns) if str(column) != but}
    return next((columns[one] for one in names if one in columns and obs[columns[one]].notna().any()), None)


def _contexts(obs: "pd.DataFrame", given: Mapping[str, str], *, but: str) -> dict[str, str]:
    found = {covariate: _first_of(obs, names, but=but) for covariate, names in CONTEXT_COLUMNS.items()}
    return {covariate: column for covariate, column in found.items() if column is not None} | dict(given)


def _the_kind(obs: "pd.DataFrame", name: str, given: str | None, column: str | None) -> tuple[Kind, str]:
    """The kind, and where it is from in words."""
    if given is not None:
        for known in KINDS:
            if known == given:
                return known, f"kind {given}, as given"
        raise InputError(f"{name}: kind is {given!r}; {nearest(given, KINDS)}")
    if column is None:
        return "unknown", "the kind is not in the file"
    words = [word for word in distinct_labels(obs[column]) if control_group(word) is None and word.lower() not in _NONE]
    several: list[Kind] = sorted({kind_of(word) for word in words})
    if len(several) == 1:
        return several[0], f"kind {several[0]} ({column!r} is {_listed(words)})"
    return "unknown", f"{len(several)} kinds by {column!r} ({_listed(words)})"


def _listed(labels: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(repr(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"
