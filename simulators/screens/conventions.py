"""Columns and labels of a screen's file as the field's tools expect them, by the name of the tool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from gpcp.core.errors import InputError, nearest
from simulators.screens.guides import CONTROL, Guides


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """How a tool names what a cell of a screen is.

    Parameters
    ----------
    perturbation : str
        Column of the perturbation.
    control : str
        Label of the controls in it.
    join : str
        Between the genes of a combination.
    alone : str
        What follows a gene that is perturbed alone.
    context, batch : str
        Columns of the context and the batch.
    """

    perturbation: str
    control: str
    join: str = "+"
    alone: str = ""
    context: str = "cell_type"
    batch: str = "batch"

    def label(self, guides: Guides) -> str:
        """The label of a perturbation in a file of this convention."""
        if guides.label == CONTROL:
            return self.control
        return guides.genes[0] + self.alone if len(guides.genes) == 1 else self.join.join(guides.genes)


CONVENTIONS: Mapping[str, Convention] = {
    "gears": Convention(perturbation="condition", control="ctrl", alone="+ctrl"),
    "cell-load": Convention(perturbation="gene", control="non-targeting", batch="gem_group"),
    "cell-eval2": Convention(perturbation="target", control="non-targeting", context="context"),
    "scperturb": Convention(perturbation="perturbation", control="control", join="_", context="celltype"),
    "pertpy": Convention(perturbation="perturbation", control="control"),
    "cpa": Convention(perturbation="condition", control="control"),
}
"""By the tool that is to read the file."""

DEFAULT = "cell-eval2"
"""The convention of a file for nobody in particular."""


def convention_named(tool: str) -> Convention:
    """The convention of a tool.

    Raises
    ------
    InputError
        There is none; the message names the nearest.
    """
    if tool not in CONVENTIONS:
        raise InputError(f"there is no convention of {tool!r}; {nearest(tool, CONVENTIONS)}")
    return CONVENTIONS[tool]
