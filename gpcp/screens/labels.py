"""From labels of a screen to the targets of each: combinations taken apart, controls as no target at all."""

import re
from collections.abc import Collection, Sequence

from gpcp.screens.conventions import ScreenColumns
from gpcp.screens.known_names import JOINERS, control_group
from gpcp.screens.label_forms import is_joined, known_parts, parts_of


def targets_of(
    labels: Sequence[str], columns: ScreenColumns, *, genes: Collection[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """The targets of each label.

    Parameters
    ----------
    labels : sequence of str
        All distinct labels of the column: of a label that is joined by a character which names have too, such as
        ``A_B``, every part has to be a label or a gene.
    columns : ScreenColumns
        As :func:`gpcp.screens.conventions.screen_columns` found them.
    genes : collection of str
        Names of measured genes.

    Returns
    -------
    tuple of tuple of str
        One for each label, sorted and each target once, so that ``A+B`` and ``B+A`` are the same; () is a control.
    """
    suffix = None if columns.guide_suffix is None else re.compile(columns.guide_suffix)
    known = known_parts(labels, columns.controls, genes)
    return tuple(_targets(label, columns, suffix, known) for label in labels)


def _targets(
    label: str, columns: ScreenColumns, suffix: "re.Pattern[str] | None", known: Collection[str]
) -> tuple[str, ...]:
    if label in columns.controls:
        return ()
    split = columns.separator is not None and (
        columns.always_split or columns.separator in JOINERS or is_joined(label, columns.separator, known)
    )
    parts = parts_of(label, columns.separator) if split and columns.separator is not None else [label.strip()]
    # Beside a target a control means that there is no second one; alone it is a label that the caller has not named.
    acting = [part for part in parts if part and part not in columns.controls and not (split and control_group(part))]
    stems = [stem if suffix is not None and (stem := suffix.sub("", part)) else part for part in acting]
    return tuple(sorted(set(stems)))
