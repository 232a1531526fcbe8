"""``Intent``: what the author of a model means to be so, as far as its checks need to know."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, final, get_args

from gpcp.core.errors import InputError, nearest
from gpcp.core.predictors import Given as Given

BY_NAME = "the model is given the names of a screen's perturbations, and no values at genes"
NO_DOSE = "the model is given which gene is perturbed, not how far (Intent.given)"
"""Why a question of doses does not apply."""

Counted = Literal["unperturbed", "measured"]
"""Genes that the loss counts: measured ones that are not perturbed, or all measured ones."""


class NotExpressibleError(InputError):
    """A question that a model cannot be asked, such as a second perturbation where its batches have room for one."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What is meant, where it decides whether something is a fault.

    Parameters
    ----------
    given : {"identity", "identity and dose", "value"}
        Of each perturbation. A model that is given which gene alone cannot be asked how far or in which direction.
    most_perturbed : int, optional
        Perturbed genes that one pair can have; no limit by default.
    perturbable : tuple of int, optional
        Columns of the genes that a perturbation can have, where these are not all; questions perturb these alone.
    masked : bool
        Whether the model and the loss are given which genes were measured. Where not, every gene counts as measured.
    counted : {"unperturbed", "measured"}
        What the loss counts.
    set_size : int
        Cells that are answered together: 1 where each is answered by itself; above, a cell's answer may depend on the
        others of its set.
    frozen, unused : tuple of str
        Names of parameters, or patterns such as ``"encoder.*"``, that stay as they are on purpose, or that no
        prediction depends on.
    random : bool
        The model draws at random in evaluation mode too, on purpose.

    Raises
    ------
    InputError
        A word is unknown, or a number is below 1.
    """

    given: Given = "value"
    most_perturbed: int | None = None
    perturbable: tuple[int, ...] | None = None
    masked: bool = True
    counted: Counted = "unperturbed"
    set_size: int = 1
    frozen: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    random: bool = False

    def __post_init__(self) -> None:
        for name, words in (("given", get_args(Given)), ("counted", get_args(Counted))):
            if getattr(self, name) not in words:
                raise InputError(
                    f"Intent.{name} is {getattr(self, name)!r}; {nearest(str(getattr(self, name)), words)}"
                )
        for name in ("most_perturbed", "set_size"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InputError(f"Intent.{name} is {number}: give at least 1")

    def is_frozen(self, name: str) -> bool:
        """Whether a parameter is frozen on purpose."""
        return any(fnmatchcase(name, pattern) for pattern in self.frozen)

    def is_unused(self, name: str) -> bool:
        """Whether no prediction depends on a parameter, on purpose."""
        return any(fnmatchcase(name, pattern) for pattern in self.unused)


NO_INTENT = Intent()
"""Of a model that is given values, and is frozen, unused and random nowhere."""
