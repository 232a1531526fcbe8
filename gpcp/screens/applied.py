"""What was done to each cell of a screen, from its columns: perturbations by name, and doses where they are numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.perturbations import AppliedPerturbations, Kind, PerturbationVocab
from gpcp.screens.conventions import ScreenColumns
from gpcp.screens.known_names import kind_of
from gpcp.screens.labels import targets_of

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledCells:
    """The cells of a screen whose label is known, and what was done to them.

    Parameters
    ----------
    row_N : int64, (N,)
        Rows of ``obs``.
    label_N : str, (N,)
        The label of each, as the file has it.
    applied : AppliedPerturbations
        One row for each of them.
    summary : tuple of str
        What was found and left out.
    """

    row_N: NDArray[np.int64]
    label_N: NDArray[np.str_]
    applied: AppliedPerturbations
    summary: tuple[str, ...]


def labelled_cells(obs: "pd.DataFrame", columns: ScreenColumns, gene_of: Mapping[str, int]) -> LabelledCells:
    """Read what was done to each cell.

    Parameters
    ----------
    obs : pandas.DataFrame
    columns : ScreenColumns
    gene_of : mapping of str to int
        The token of each measured gene by every name that the file has for it.

    Raises
    ------
    InputError
        No cell has a label, or no label means a perturbation.
    """
    texts = obs[columns.perturbation]
    row_N = np.flatnonzero(texts.notna().to_numpy()).astype(np.int64)
    if not len(row_N):
        raise InputError(f"column {columns.perturbation!r} of obs is empty: no cell says what was done to it")
    label_N = texts.iloc[row_N].astype(str).to_numpy(dtype=np.str_)
    labels, code_N = np.unique(label_N, return_inverse=True)
    targets = dict(enumerate(targets_of(labels.tolist(), columns, genes=gene_of)))
    kind_N = _kinds(obs, columns, row_N)
    vocab = _vocab(targets, code_N, kind_N, gene_of, columns)
    dose_N, of_doses = _doses(obs, columns, row_N)
    tokens: list[list[int]] = []
    doses: list[list[float]] = []
    for code, kind, dose in zip(code_N.tolist(), kind_N, dose_N, strict=True):
        some = [vocab.token(target, kind) for target in targets[code]]
        tokens.append(some)
        doses.append(dose if len(dose) == len(some) else (dose * len(some) if len(dose) == 1 else [np.nan] * len(some)))
    applied = AppliedPerturbations.of(vocab, tokens, doses)
    n_measured = sum(gene >= 0 for gene in vocab.gene)
    summary = [f"{n_measured} of {len(vocab)} perturbations act on a gene that is measured", *of_doses]
    n_dropped = len(obs) - len(row_N)
    summary += [f"{n_dropped} cells without a label left out"] if n_dropped else []
    return LabelledCells(row_N=row_N, label_N=label_N, applied=applied, summary=tuple(summary))


def _kinds(obs: "pd.DataFrame", columns: ScreenColumns, row_N: NDArray[np.int64]) -> list[Kind]:
    """The kind of each cell's perturbation."""
    if columns.kind != "unknown" or columns.kind_column is None:
        return [columns.kind] * len(row_N)
    words = obs[columns.kind_column].iloc[row_N].astype(str).tolist()
    known: dict[str, Kind] = {word: kind_of(word) for word in set(words)}
    return [known[word] for word in words]


def _vocab(
    targets: Mapping[int, Sequence[str]],
    code_N: NDArray[np.int64],
    kind_N: Sequence[Kind],
    gene_of: Mapping[str, int],
    columns: ScreenColumns,
) -> PerturbationVocab:
    pairs: list[tuple[str, Kind]] = sorted(
        {(target, kind) for code, kind in set(zip(code_N.tolist(), kind_N, strict=True)) for target in targets[code]}
    )
    if not pairs:
        raise InputError(
            f"column {columns.perturbation!r} of obs has controls alone ({', '.join(columns.controls)}): a screen "
            "needs perturbed cells too"
        )
    return PerturbationVocab(
        target=tuple(target for target, _ in pairs),
        kind=tuple(kind for _, kind in pairs),
        gene=tuple(gene_of.get(target, -1) for target, _ in pairs),
    )


def _doses(
    obs: "pd.DataFrame", columns: ScreenColumns, row_N: NDArray[np.int64]
) -> tuple[list[list[float]], list[str]]:
    """The doses of each cell, one or one for each target; none where the column does not hold numbers."""
    none: list[list[float]] = [[np.nan]] * len(row_N)
    if columns.dose is None:
        return none, []
    texts = obs[columns.dose].iloc[row_N].astype(str).tolist()
    known: dict[str, list[float]] = {}
    try:
        for text in set(texts):
            known[text] = [float(part) for part in (text.split(columns.separator) if columns.separator else [text])]
    except ValueError:
        return none, [f"doses {columns.dose!r} are no numbers and not used"]
    finite = {text: [value if np.isfinite(value) else np.nan for value in values] for text, values in known.items()}
    return [finite[text] for text in texts], []
