"""A check: one question of the cascade and the function whose finding answers it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, final

from diagnostics.results.check_result import Cause, CheckResult
from gpcp.core.errors import InputError

if TYPE_CHECKING:
    from diagnostics.checks.engine.probe import Probe

Family = Literal["data", "loss", "architecture", "optimiser", "learning"]
FAMILIES: tuple[Family, ...] = ("data", "loss", "architecture", "optimiser", "learning")
"""In the order of the cascade."""

Kind = Literal["exact", "statistical"]
"""An identity, whose null is equality and whose only slack is rounding; or a statistic with a p-value."""

ALPHA = 0.01
"""Share of healthy subjects that may alarm, over all statistical checks together (Holm)."""

Part = Literal["pairs", "model", "loss", "optimizer"]


Ask: TypeAlias = "Callable[[Probe], CheckResult]"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One question.

    Parameters
    ----------
    code : str
        Stable, such as ``"GP202"``: it stays with the question whatever the name becomes, and is never given again.
    name : str
        ``family.question``, such as ``"loss.scored_only"``.
    question : str
        In plain words, for ``--list``.
    cause : str
        What a failure is put down to.
    kind : "exact" or "statistical"
    needs : tuple of str
        Parts of the subject without which it is not applicable.
    ask : callable
        ``Probe -> CheckResult``.
    explained_by : tuple of str
        Names of checks whose failure makes a failure of this one a consequence, where the order alone does not.
    optional : bool
        Asked only where it is named: it advises, or needs what most subjects do not have.
    """

    code: str
    name: str
    question: str
    cause: Cause
    kind: Kind
    needs: tuple[Part, ...]
    ask: Ask
    explained_by: tuple[str, ...] = ()
    optional: bool = False

    @property
    def family(self) -> str:
        """The part of the name before the point."""
        return self.name.split(".")[0]


CHECKS: list[Check] = []
"""Every check that a family's file has registered; :func:`diagnostics.checks.cascade.all_checks` puts them in order."""


def check(
    code: str,
    name: str,
    question: str,
    *,
    cause: Cause,
    kind: Kind,
    needs: tuple[Part, ...],
    explained_by: tuple[str, ...] = (),
    optional: bool = False,
) -> Callable[[Ask], Ask]:
    """Register a function as a check, at the place where it is written.

    Codes ``GP101`` to ``GP599`` are this library's, one hundred a family; a check from elsewhere takes other letters.

    Raises
    ------
    InputError
        The code or the name is taken, or the family does not exist.
    """
    if name.split(".")[0] not in FAMILIES:
        raise InputError(f"check {name!r} belongs to none of the families {', '.join(FAMILIES)}")
    if any(known.name == name for known in CHECKS):
        raise InputError(f"check {name!r} is registered already: choose another name")
    if any(known.code == code for known in CHECKS):
        raise InputError(f"the code {code!r} of check {name!r} is another check's: choose another code")

    def enter(ask: Ask) -> Ask:
        CHECKS.append(
            Check(
                code=code, name=name, question=question, cause=cause, kind=kind, needs=needs, ask=ask,
                explained_by=explained_by, optional=optional,
            )
        )  # fmt: skip
        return ask

    return enter
