"""Texts of a Census's ``obs``: from the source's covariates, from the caller, or defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from simulators.census.tables import COLUMN_OF, DEFAULT_LABEL, UNKNOWN

Label: TypeAlias = "str | Mapping[str, str] | Callable[[CellBatch], NDArray[np.str_]]"
"""A column's text: one for all cells, one for each dataset, or those of a function of the cells."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labels:
    """How the texts of obs are made; :func:`simulators.census.export.export_census` says what is allowed."""

    given: Mapping[str, Label]
    is_primary: Callable[[CellBatch], NDArray[np.bool_]] | None

    def of(self, cells: CellBatch) -> dict[str, NDArray[np.str_]]:
        """Each column of obs, (B,), none of them empty."""
        texts: dict[str, NDArray[np.str_]] = {}
        covariate_of = {column: covariate for covariate, column in COLUMN_OF.items()}
        for column, default in DEFAULT_LABEL.items():
            covariate = covariate_of.get(column)
            own_B = cells.covariates.get(covariate) if covariate else None
            if column == "tissue_general":
                own_B = texts["tissue"]
            text_B = np.full(len(cells), default) if own_B is None else own_B
            if column in self.given:
                text_B = _labelled(column, self.given[column], cells, text_B, texts)
            texts[column] = np.where(text_B == "", UNKNOWN, text_B)
        return texts

    def primary_of(self, cells: CellBatch) -> NDArray[np.bool_]:
        """Whether each cell stands in the Census for the first time, bool (B,)."""
        if self.is_primary is None:
            return np.ones(len(cells), dtype=np.bool_)
        primary_B = np.asarray(self.is_primary(cells))
        if primary_B.shape != (len(cells),) or primary_B.dtype != np.bool_:
            raise InputError(
                f"is_primary gives shape {primary_B.shape} and dtype {primary_B.dtype} for {len(cells)} cells: "
                "let it give a bool for each"
            )
        return primary_B


def _labelled(
    column: str, given: Label, cells: CellBatch, own_B: NDArray[np.str_], texts: Mapping[str, NDArray[np.str_]]
) -> NDArray[np.str_]:
    if isinstance(given, str):
        return np.full(len(cells), given)
    if isinstance(given, Mapping):
        pairs = zip(texts["dataset_id"].tolist(), own_B.tolist(), strict=True)
        of = cast("Mapping[str, str]", given)
        return np.array([of.get(dataset, own) for dataset, own in pairs], dtype=np.str_)
    text_B = np.asarray(given(cells))
    if text_B.shape != (len(cells),) or text_B.dtype.kind != "U":
        raise InputError(
            f"labels[{column!r}] gives shape {text_B.shape} and dtype {text_B.dtype} for {len(cells)} cells: "
            "let it give a str for each"
        )
    return text_B
