"""Splits of a screen to train and to score: by cell, by unseen perturbation, combination or context, without leaks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.perturbations import CONTROL
from gpcp.core.random import stream

SplitBy = Literal["cells", "perturbation", "combination", "context"]
SPLITS: tuple[SplitBy, ...] = get_args(SplitBy)
"""What is new in the held-out pairs: their cells alone, or also their perturbation, combination or context."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldOut:
    """Which cells of a screen are held out.

    Parameters
    ----------
    held_N : bool, (N,)
        True of cells of held-out pairs, controls among them.
    names : tuple of str
        Perturbations or contexts held out; empty where it is cells alone.
    summary : str
    """

    held_N: NDArray[np.bool_]
    names: tuple[str, ...]
    summary: str


def hold_out(
    label_N: NDArray[np.str_],
    targets: dict[str, tuple[str, ...]],
    context_N: NDArray[np.str_],
    *,
    by: SplitBy,
    names: Sequence[str] = (),
    share: float = 0.2,
    seed: int = 0,
) -> HeldOut:
    """Choose the cells to hold out.

    Controls are split by cell, the same share of each context (all of a held-out context), so that no control is on
    both sides.

    Parameters
    ----------
    label_N : str, (N,)
        Each cell's perturbations as one text; :data:`gpcp.core.perturbations.CONTROL` for a control.
    targets : dict of str to tuple of str
        The perturbations of each text.
    context_N : str, (N,)
        Each cell's context as one text.
    by : {"cells", "perturbation", "combination", "context"}
        ``"perturbation"`` holds out whole perturbations and every combination with one of them; ``"combination"`` whole
        combinations, whose perturbations training sees otherwise.
    names : sequence of str
        What to hold out; drawn by ``seed``, ``share`` of them, by default.
    share : float
        Of cells, or of names where none are given.
    seed : int

    Raises
    ------
    InputError
        A name is not in the screen (the message names the nearest), nothing or everything would be held out, or a
        held-out combination has a perturbation that training does not see.
    """
    if by not in SPLITS:
        raise InputError(f"a screen is split by {', '.join(SPLITS)}, not by {by!r}; {nearest(by, SPLITS)}")
    if not 0 < share < 1:
        raise InputError(f"the share held out is {share}: it must be above 0 and below 1")
    rng = stream(seed, "screen", "split", by)
    if by == "cells":
        if names:
            raise InputError(
                "cells are held out by share: to hold out names, split by perturbation, combination or context"
            )
        held_N = _share_of_each(np.char.add(np.char.add(context_N, "\n"), label_N), share, rng)
        return _checked(held_N, (), f"{int(held_N.sum()):,} of {len(held_N):,} cells held out")
    every = _candidates(by, targets, context_N)
    if by == "combination" and not names:
        every = _seen_otherwise(targets, rng.permutation(np.array(every, dtype=np.str_)).tolist())
    chosen = _chosen(by, every, names, share, rng)
    if by == "context":
        held_N = np.isin(context_N, chosen)
    else:
        scored = _labels_with(by, targets, chosen)
        held_N = np.isin(label_N, scored) | ((label_N == CONTROL) & _share_of_each(context_N, share, rng))
    shown = ", ".join(chosen[:6]) + (f" and {len(chosen) - 6} more" if len(chosen) > 6 else "")
    return _checked(held_N, tuple(chosen), f"held out {by}{'s' if len(chosen) > 1 else ''} {shown}")


def _candidates(by: SplitBy, targets: dict[str, tuple[str, ...]], context_N: NDArray[np.str_]) -> list[str]:
    if by == "context":
        return sorted(set(context_N.tolist()))
    if by == "perturbation":
        return sorted({target for some in targets.values() for target in some})
    return sorted(label for label, some in targets.items() if len(some) > 1)


def _chosen(by: SplitBy, every: list[str], names: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    for name in names:
        if name not in every:
            raise InputError(f"{by} {name!r} to hold out is not in the screen; {nearest(name, every)}")
    if not every:
        raise InputError(f"the screen has no {by} to hold out")
    drawn: list[str] = rng.permutation(np.array(every))[: max(1, round(share * len(every)))].tolist()
    chosen = sorted(set(names) or drawn)
    if len(chosen) == len(every) and by != "combination":
        raise InputError(f"all {len(every)} {by}s of the screen would be held out: leave some to train on")
    return chosen


def _labels_with(by: SplitBy, targets: dict[str, tuple[str, ...]], chosen: list[str]) -> list[str]:
    """The labels of held-out cells."""
    if by == "perturbation":
        # A combination of a held-out perturbation with another would show it to training: it is scored, too.
        return [label for label, some in targets.items() if set(some) & set(chosen)]
    kept = {one for label, some in targets.items() if label not in chosen for one in some}
    for label in chosen:
        unseen = [one for one in targets[label] if one not in kept]
        if unseen:
            raise InputError(
                f"combination {label!r} cannot be held out: training would never see {unseen[0]!r}, which is in no "
                "other label; hold out by perturbation"
            )
    return chosen


def _seen_otherwise(targets: dict[str, tuple[str, ...]], labels: Sequence[str]) -> list[str]:
    """Combinations, in this order, that can be held out together: each of their perturbations is in another label."""
    n_of = Counter(one for some in targets.values() for one in some)
    chosen: list[str] = []
    for label in labels:
        if all(n_of[one] > 1 for one in targets[label]):
            chosen.append(label)
            n_of.subtract(targets[label])
    return chosen


def _share_of_each(group_N: NDArray[np.str_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A share of the cells of each group, rounded, but never all."""
    held_N = np.zeros(len(group_N), dtype=np.bool_)
    names, code_N = np.unique(group_N, return_inverse=True)
    for code in range(len(names)):
        rows = np.flatnonzero(code_N.reshape(-1) == code)
        held_N[rng.permutation(rows)[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    return held_N


def _checked(held_N: NDArray[np.bool_], names: tuple[str, ...], summary: str) -> HeldOut:
    if not held_N.any() or held_N.all():
        raise InputError(f"one side of the split would have no cell ({summary}): hold out another share")
    return HeldOut(held_N=held_N, names=names, summary=summary)
