"""How perturbations that come as numbers are coded, inferred from the pairs where no other coding can be meant.

A perturbed gene's own expression changes more than that of the others. A coding is taken where it points at that gene
for nearly all numbers, and the other coding for hardly any; what is in doubt has to be said.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

NEARLY_ALL, HARDLY_ANY = 0.8, 0.2
"""Shares of the numbers whose gene is the one that changes most, in the coding that is taken and in the other."""

FEWEST_NUMBERS, FEWEST_PAIRS = 4, 3
"""Numbers that must be seen, each in so many pairs."""

MUCH_LESS = 0.5
"""Of how far a perturbed gene usually stands out, what no gene of a control's pairs reaches."""

MOST_PAIRS = 4_000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Coding:
    """What each number says.

    Parameters
    ----------
    gene_of_number : tuple of int
        The gene's column of each, -1 for a control.
    nothing : int or None
        The number of a control, where one was seen.
    summary : str
        In words, with the evidence.
    """

    gene_of_number: tuple[int, ...]
    nothing: int | None
    summary: str


def coding_of(
    batches: Iterable[tuple[NDArray[np.generic], NDArray[np.float64], NDArray[np.float64]]], n_genes: int
) -> Coding | None:
    """The coding of numbers from 0 to the number of genes; None where it is in doubt, or they are genes' columns.

    Parameters
    ----------
    batches : iterable of (number, before_BG, after_BG)
        Numbers (pairs,) or (pairs, perturbations).
    n_genes : int
    """
    numbers, deltas, n_pairs = list[NDArray[np.int64]](), list[NDArray[np.float64]](), 0
    for number, before_BG, after_BG in batches:
        numbers.append(number.reshape(len(number), -1).astype(np.int64))
        deltas.append(np.nan_to_num(after_BG - before_BG))
        n_pairs += len(number)
        if n_pairs >= MOST_PAIRS:
            break
    number_BP, delta_BG = np.concatenate(numbers), np.concatenate(deltas)
    if number_BP.min() < 0 or number_BP.max() > n_genes:
        return None
    changed = _most_changed(number_BP, delta_BG)
    most = {number: gene for number, (gene, _) in changed.items()}
    first = _agreeing(most, shift=1, control=0)
    last = _agreeing(most, shift=0, control=n_genes)
    # Numbers that all are genes' columns may be wrong by one: then 0 is a gene as the others are, and no control.
    columns = bool(number_BP.max() < n_genes)
    if columns and not _like_a_control(changed):
        return None
    for (share, n), (other, _), is_first in ((first, last, True), (last, first, False)):
        if n >= FEWEST_NUMBERS and share >= NEARLY_ALL and other <= HARDLY_ANY:
            control = 0 if is_first else n_genes
            if columns and not is_first:
                # As numbers are taken in any case.
                return None
            genes = tuple(range(n_genes))
            words = "number n is gene n - 1 of the columns" if is_first else "number n is gene n of the columns"
            seen = bool((number_BP == control).any())
            return Coding(
                gene_of_number=(-1, *genes) if is_first else (*genes, -1),
                nothing=control if seen else None,
                summary=f"{f'{control} is a control, ' if seen else ''}{words}, counted from 0: for {round(share * n)} "
                f"of {n} numbers that gene changes most",
            )
    return None


def _most_changed(number_BP: NDArray[np.int64], delta_BG: NDArray[np.float64]) -> dict[int, tuple[int, float]]:
    """Of each number that is seen often enough, the gene that stands out most, and how far, in standard deviations."""
    spread_G = delta_BG.std(axis=0)
    away_BG = (delta_BG - delta_BG.mean(axis=0)) / np.where(spread_G > 0, spread_G, 1.0)
    found: dict[int, tuple[int, float]] = {}
    for number in np.unique(number_BP).tolist():
        has_B = (number_BP == number).any(axis=1)
        if has_B.sum() >= FEWEST_PAIRS:
            away_G = np.abs(away_BG[has_B].mean(axis=0))
            found[int(number)] = int(away_G.argmax()), float(away_G.max())
    return found


def _like_a_control(changed: dict[int, tuple[int, float]]) -> bool:
    """Whether the pairs of number 0 were seen and no gene of theirs stands out as with other numbers."""
    others = [far for number, (_, far) in changed.items() if number]
    return 0 in changed and bool(others) and changed[0][1] < MUCH_LESS * float(np.median(others))


def _agreeing(most: dict[int, int], *, shift: int, control: int) -> tuple[float, int]:
    """The share of the numbers, the control aside, whose gene in this coding is the one that changes most."""
    asked = [number for number in most if number != control]
    return sum(most[number] == number - shift for number in asked) / max(1, len(asked)), len(asked)
