"""Whether each measured target is changed in the direction of its kind, beside controls of its own context."""

from collections import Counter
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed, undecided
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult

_FEWEST = 5
"""Cells of a target in a context, and controls there, from which they are compared."""
_LEVEL = 0.01
"""Over all targets together: a target is accused by mistake in one screen of a hundred at most."""
_UNCHANGED_DOWN, _UNCHANGED_UP = 0.8, 1.25
"""Ratios to controls from which on a target is not knocked down, and up to which it is not activated."""
_WIDEST = 0.25
"""Standard error of a ratio beyond which it decides nothing."""
_MAJORITY, _FEWEST_TARGETS = 2 / 3, 3
"""Of the targets of an unknown kind, and how many, that decide its direction."""

_DIRECTION = {"knocked down": "down", "activated": "up"}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TargetChange:
    """How a target's own expression differs in the cells in which it is the only target.

    Parameters
    ----------
    target, kind : str
    ratio : float
        Mean of the perturbed over that of controls, contexts weighted by their perturbed cells.
    error : float
        Its standard error.
    n_cells : int
    """

    target: str
    kind: str
    ratio: float
    error: float
    n_cells: int

    def within(self, z: float) -> tuple[float, float]:
        """The interval of ``z`` standard errors."""
        return self.ratio - z * self.error, self.ratio + z * self.error


def target_changes(screen: Screen) -> list[TargetChange]:
    """The change of each measured target, by kind, those that cannot be decided left out."""
    changes: list[TargetChange] = []
    rows_N = np.arange(len(screen))
    control_N, stratum_N = screen.control_N, screen.stratum_N
    for target in screen.measured:
        value_N = screen.value_of(target)
        alone = [label for label in screen.n_of if screen.targets_of[label] == (target,)]
        found_N = np.isin(screen.label_N, alone)
        level_N = screen.linear(np.where(np.isfinite(value_N), value_N, 0.0), rows_N)
        for kind in np.unique(screen.kind_N[found_N]).tolist():
            change = _compared(level_N, found_N & (screen.kind_N == kind), control_N, stratum_N)
            if change is not None:
                changes.append(
                    TargetChange(target=target, kind=kind, ratio=change[0], error=change[1], n_cells=change[2])
                )
    return changes


def _compared(
    level_N: NDArray[np.float64],
    perturbed_N: NDArray[np.bool_],
    control_N: NDArray[np.bool_],
    stratum_N: NDArray[np.int64],
) -> tuple[float, float, int] | None:
    """Ratio, standard error (of a ratio of two means, by the delta method) and cells; None where undecidable."""
    above = below = above_variance = below_variance = 0.0
    n_cells = 0
    for stratum in np.unique(stratum_N[perturbed_N]).tolist():
        one, other = level_N[perturbed_N & (stratum_N == stratum)], level_N[control_N & (stratum_N == stratum)]
        if min(len(one), len(other)) < _FEWEST:
            continue
        n_cells += len(one)
        above, below = above + len(one) * float(one.mean()), below + len(one) * float(other.mean())
        above_variance += len(one) * float(one.var(ddof=1))
        below_variance += len(one) ** 2 * float(other.var(ddof=1)) / len(other)
    if not n_cells or below <= 0:
        return None
    ratio = above / below
    # A mean of 0 has an estimated variance of 0; one cell with one count stands for what could have been there.
    above_variance = max(above_variance, below / n_cells)
    error = float(np.sqrt(above_variance + ratio**2 * below_variance) / below)
    return (ratio, error, n_cells) if error <= _WIDEST * max(1.0, ratio) else None


def targets_changed(screen: Screen) -> CheckResult:
    """Each measured target is changed in the direction of its kind."""
    if not screen.measured:
        return not_applicable("no target is a measured gene: its own change cannot be seen")
    changes = [one for one in target_changes(screen) if one.kind != "compound"]
    if not changes:
        return undecided(
            f"none of {len(screen.measured)} measured targets is expressed enough, in cells that have it alone and "
            "in controls of their context, to see whether it changes"
        )
    z = float(norm.isf(_LEVEL / len(changes)))
    direction = _directions(changes, z)
    judged = [one for one in changes if one.kind in direction]
    if not judged:
        unmoved = [one for one in changes if one.kind == "unknown" and _holds_one(one, z)]
        if len(unmoved) >= max(_FEWEST_TARGETS, _MAJORITY * len(changes)):
            shown = [f"{one.target} {_interval(one, z)}" for one in unmoved]
            return failed(
                f"{len(unmoved)} of {len(changes)} targets do not change in their own cells, up or down (ratio to "
                f"controls: {listed(shown, 3)})",
                "see whether labels or names of genes are out of step with the matrix; where these are knock-outs that "
                "leave the transcript, give kind 'knocked out'",
                statistic=len(unmoved),
                tolerance=_FEWEST_TARGETS,
                n=len(changes),
            )
        shown = [f"{one.target} {one.ratio:.2f}" for one in changes]
        return undecided(
            f"the kind is not known and the targets do not agree on a direction (ratio to controls: {listed(shown)}): "
            "name it with kind",
            n=len(changes),
        )
    wrong = {one: why for one in judged if (why := _wrong(one, direction[one.kind], z, _usual(one, judged)))}
    by_kind = [f"{kind} ({direction[kind]})" for kind in sorted(direction)]
    shown = [f"{one.target} {one.ratio:.2f}" for one in sorted(judged, key=lambda one: one.ratio)]
    if not wrong:
        message = f"{len(judged)} targets change as {', '.join(by_kind)} lets expect, or nothing excludes it: ratio to "
        message += f"controls {listed(shown, 9)}"
        return passed(message, statistic=0, tolerance=0, n=len(judged))
    text = [f"{one.target} is {why} (ratio to controls {_interval(one, z)})" for one, why in wrong.items()]
    return failed(
        f"{len(wrong)} of {len(judged)} targets are not changed as {', '.join(by_kind)} lets expect: {listed(text)}",
        "look for swapped labels and failed guides, and leave out what did not act: its cells are controls under "
        "another name",
        statistic=len(wrong),
        tolerance=0,
        n=len(judged),
    )


def _holds_one(one: TargetChange, z: float) -> bool:
    """Whether the interval holds 1."""
    low, high = one.within(z)
    return low <= 1 <= high


def _interval(one: TargetChange, z: float) -> str:
    low, high = one.within(z)
    return f"{one.ratio:.2f}, {max(low, 0):.2f} to {high:.2f}"


def _directions(changes: list[TargetChange], z: float) -> dict[str, str]:
    """Of each kind, whether its targets go down or up; of a kind that does not say, what most of them do."""
    found = {kind: way for kind, way in _DIRECTION.items() if any(one.kind == kind for one in changes)}
    for kind, n in Counter(one.kind for one in changes).items():
        some = [one for one in changes if one.kind == kind]
        if kind in found or n < _FEWEST_TARGETS:
            continue
        for way, n_way in (
            ("down", sum(one.within(z)[1] < 1 for one in some)),
            ("up", sum(one.within(z)[0] > 1 for one in some)),
        ):
            if n_way >= _MAJORITY * n:
                found[kind] = way
    return found


def _usual(one: TargetChange, judged: list[TargetChange]) -> float:
    """The median ratio of the other targets of the kind; 1 where they are too few to say what is usual."""
    others = [other.ratio for other in judged if other.kind == one.kind and other.target != one.target]
    return float(np.median(others)) if len(others) >= _FEWEST_TARGETS else 1.0


def _wrong(one: TargetChange, direction: str, z: float, usual: float) -> str:
    """Why a target is accused: it goes the other way; or its interval holds 1 and excludes half of the usual change."""
    low, high = one.within(z)
    if direction == "down":
        bound = min(_UNCHANGED_DOWN, (1 + usual) / 2)
        return "higher than in controls" if low > 1 else "not lower" if low > bound and high >= 1 else ""
    bound = max(_UNCHANGED_UP, (1 + usual) / 2)
    return "lower than in controls" if high < 1 else "not higher" if high < bound and low <= 1 else ""
