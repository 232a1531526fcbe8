"""Names that may be one name in two spellings: certain where only case or punctuation differs, else by evidence.

Families of genes differ in a digit or in the last letter (``IFNGR1`` and ``IFNGR2``, ``STAT5A`` and ``STAT5B``,
``MYC`` and ``MYCN``), and these are two genes. What differs in two swapped letters, in a letter that looks like a
digit, or in one letter within the name is suspected, unless both are measured genes.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from gpcp.screens.known_names import control_group

_LOOKS_LIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})
_LEAST_LENGTH = 3
_RARER = 1 / 3
"""Share of the other's cells below which a name that differs in one letter is suspected."""
_CONTROL_WORDS = (
    "control",
    "ctrl",
    "non-targeting",
    "nontargeting",
    "non_targeting",
    "unperturbed",
    "untreated",
    "dmso",
)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A name that may be another in another spelling.

    Parameters
    ----------
    name, beside : str
    n_cells : int
        Of ``name``.
    what : str
        What the other is: a label, a control, a gene.
    why : str
        How they differ.
    """

    name: str
    beside: str
    n_cells: int
    what: str
    why: str


def suspects(n_of: Mapping[str, int], controls: Sequence[str], genes: Collection[str]) -> list[Suspect]:
    """The names of some targets that may be other names misspelt.

    Parameters
    ----------
    n_of : mapping of str to int
        Cells of each target.
    controls : sequence of str
        Labels of controls.
    genes : collection of str
        Measured genes.
    """
    found: list[Suspect] = []
    of_key: dict[str, list[str]] = {}
    for name in n_of:
        for key in _keys(name):
            of_key.setdefault(key, []).append(name)
    for name in sorted(n_of, key=lambda one: (n_of[one], one)):
        near = {other for key in _keys(name) for other in of_key[key] if other != name}
        for other in sorted(near, key=lambda one: -n_of[one]):
            if (n_of[other], other) < (n_of[name], name):
                continue
            why = _difference(name, other, genes, share=n_of[name] / n_of[other])
            if why is not None:
                found.append(Suspect(name=name, beside=other, n_cells=n_of[name], what="the label", why=why))
                break
        else:
            found += _of_control(name, n_of[name], controls) or _of_gene(name, n_of, genes)
    return found


def _keys(name: str) -> set[str]:
    """Keys that two names share if they are one edit apart: each with one letter left out, and the name itself."""
    plain = _plain(name)
    return {plain.translate(_LOOKS_LIKE), plain, *(plain[:i] + plain[i + 1 :] for i in range(len(plain)))}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _difference(one: str, other: str, genes: Collection[str], *, share: float) -> str | None:
    """How two names differ, where they may be one; None where they are two."""
    first, second = _plain(one), _plain(other)
    if first == second:
        return "the same but for case, spaces or punctuation"
    if one in genes and other in genes:
        return None
    if min(len(first), len(second)) < _LEAST_LENGTH:
        return None
    if first.translate(_LOOKS_LIKE) == second.translate(_LOOKS_LIKE):
        return "a digit in place of a letter that looks like it"
    if _swapped(first, second):
        return "two neighbouring letters swapped"
    place = _one_edit(first, second)
    if place is None or place == max(len(first), len(second)) - 1:
        return None
    longer = first if len(first) >= len(second) else second
    differing = {longer[place], second[place] if len(first) == len(second) and place < len(second) else longer[place]}
    if any(letter.isdigit() for letter in differing):
        return None
    # The last letter before the number distinguishes families, too: FOXA1 and FOXB1.
    if longer[place + 1 :].isdigit() and len(first) == len(second):
        return None
    known = (one in genes) != (other in genes)
    return "one letter apart" if known or share < _RARER else None


def _swapped(first: str, second: str) -> bool:
    if len(first) != len(second):
        return False
    differ = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    return (
        len(differ) == 2
        and differ[1] == differ[0] + 1
        and first[differ[0]] == second[differ[1]]
        and first[differ[1]] == second[differ[0]]
        and not (first[differ[0]].isdigit() and first[differ[1]].isdigit())
    )


def _one_edit(first: str, second: str) -> int | None:
    """Where two names differ, if by one letter changed, more or less; None if by more."""
    if abs(len(first) - len(second)) > 1:
        return None
    shorter, longer = sorted((first, second), key=len)
    place = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    rest = shorter[place + 1 :] if len(shorter) == len(longer) else shorter[place:]
    return place if rest == longer[place + 1 :] else None


def _of_control(name: str, n_cells: int, controls: Sequence[str]) -> list[Suspect]:
    """A label that is nearly a word for control, and none of the controls."""
    plain = _plain(name)
    for word in (*controls, *_CONTROL_WORDS):
        near = _one_edit(plain, _plain(word)) is not None or _swapped(plain, _plain(word))
        if control_group(name) is not None or (len(plain) >= 4 and near):
            return [
                Suspect(
                    name=name, beside=word, n_cells=n_cells, what="the control", why="a word for control, or nearly"
                )
            ]
    return []


def _of_gene(name: str, n_of: Mapping[str, int], genes: Collection[str]) -> list[Suspect]:
    """A target that is no measured gene but for its case; or, where most targets are measured, but for one letter."""
    if name in genes:
        return []
    same = [gene for gene in genes if gene.upper() == name.strip().upper()]
    if same:
        why = "the same but for case or spaces"
        return [Suspect(name=name, beside=same[0], n_cells=n_of[name], what="the gene", why=why)]
    if sum(target in genes for target in n_of) < 0.8 * len(n_of):
        return []
    for gene in sorted(set(genes) - set(n_of)):
        if abs(len(gene) - len(name)) <= 1 and _difference(name, gene, {gene}, share=0.0) is not None:
            return [Suspect(name=name, beside=gene, n_cells=n_of[name], what="the gene", why="nearly alike")]
    return []
