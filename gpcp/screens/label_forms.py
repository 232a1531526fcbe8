"""The forms of labels: what joins the targets of a combination, what ends a guide's name, when two columns agree."""

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from gpcp.screens.known_names import GUIDE_SUFFIXES, JOINERS, JOINERS_OF_KNOWN, control_group

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"[A-Za-z0-9](?:.*[A-Za-z0-9)])?")
"""What can be a target by itself."""

_MOST_GUIDES = 0.8
"""Share of labels that have to end as a guide's name does."""


def distinct_labels(column: "pd.Series[Any]") -> list[str]:
    """The labels of a column as text, each once, sorted; cells without a label are left out."""
    return sorted({str(value) for value in column.dropna().unique()})


def parts_of(label: str, separator: str) -> list[str]:
    """The parts of a label, without the spaces around them."""
    return [part.strip() for part in label.split(separator)]


def joiner(labels: Sequence[str], controls: Sequence[str], genes: Collection[str] = ()) -> str | None:
    """What joins the targets of combinations; None where nothing does.

    Parameters
    ----------
    labels : sequence of str
        Distinct labels that are no controls.
    controls : sequence of str
        Those that are.
    genes : collection of str
        Names of measured genes.
    """
    for character in JOINERS:
        joined = [parts for label in labels if len(parts := parts_of(label, character)) > 1]
        if joined and all(_NAME.fullmatch(part) for parts in joined for part in parts):
            return character
    known = known_parts(labels, controls, genes)
    for character in JOINERS_OF_KNOWN:
        if any(is_joined(label, character, known) for label in labels):
            return character
    return None


def known_parts(labels: Sequence[str], controls: Sequence[str], genes: Collection[str] = ()) -> frozenset[str]:
    """What is known to be a target, or a control, by itself."""
    return frozenset(labels) | frozenset(controls) | frozenset(genes)


def is_joined(label: str, separator: str, known: Collection[str]) -> bool:
    """Whether a label is a combination whose every part is known, one of them as a target."""
    parts = parts_of(label, separator)
    if len(parts) < 2:
        return False
    of_control = [control_group(part) is not None for part in parts]
    return all(part in known or control for part, control in zip(parts, of_control, strict=True)) and not all(
        of_control
    )


def guide_suffix(labels: Sequence[str]) -> tuple[str, str] | None:
    """The pattern that ends labels which name guides, with its description; None where labels name targets.

    A number behind a hyphen ends genes' names, too (``NKX2-1``): it is a guide's only where most targets have several.
    """
    for pattern, description in GUIDE_SUFFIXES:
        compiled = re.compile(pattern)
        stems = [compiled.sub("", label) for label in labels]
        ending = [stem for stem, label in zip(stems, labels, strict=True) if stem and stem != label]
        if len(ending) >= max(2, _MOST_GUIDES * len(labels)) and len(ending) >= 1.5 * len(set(ending)):
            return pattern, description
    return None


def n_apart(
    first: "pd.Series[Any]", first_controls: Sequence[str], second: "pd.Series[Any]", second_controls: Sequence[str]
) -> int:
    """In how many cells two columns do not distinguish the same groups of cells, controls as one group.

    Each label is matched with the one of the other column that most of its cells have.
    """
    import pandas as pd

    one = first.astype("string").mask(first.astype("string").isin(list(first_controls)), "")
    other = second.astype("string").mask(second.astype("string").isin(list(second_controls)), "")
    one, other = one.fillna(" missing"), other.fillna(" missing")
    table = pd.DataFrame({"one": one.to_numpy(), "other": other.to_numpy()}).value_counts().reset_index(name="n")
    table = table[(table["one"] == "") == (table["other"] == "")]
    # Sorted by their cells: the first pair of each label is the commonest, on either side.
    matched = table[~table["one"].duplicated() & ~table["other"].duplicated()]
    return len(first) - int(matched["n"].sum())
