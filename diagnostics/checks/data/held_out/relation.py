"""What goes with what in held-out pairs and not in training pairs, and which of the two fits together."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from diagnostics.checks.data.held_out.carried import FEWEST_PAIRS, Carried
from diagnostics.checks.data.transforms import Floats
from gpcp.core.pairs import PairBatch

_RELATED = 0.05
"""Correlation of a gene's values before and after from which on the two cells of a pair are related."""

_SOUND, _UNSOUND = 0.3, 0.5
"""Gain of a ridge on pairs that go together; and how much of it the other pairs have at most that do not."""


def unrelated(carried: Carried, held_out: PairBatch) -> str:
    """Whether it is cells or perturbations that belong to other pairs, and of which side."""
    gains = _own_gain(carried, carried.unseen), _own_gain(carried, held_out)
    which = "held-out"
    if min(gains) < _UNSOUND * max(gains) and max(gains) > _SOUND:
        which = "training" if gains[0] < gains[1] else "held-out"
    elif min(gains) > _SOUND:
        return (
            "the same perturbations of the same genes do something else in held-out pairs than in training, and either "
            f"agree among themselves (a ridge of its own gains {gains[0]:.0%} in training and {gains[1]:.0%} in "
            "held-out pairs): labels, doses, an offset or cells of another kind in one of them"
        )
    own, other = (_alike(one) for one in (carried.unseen, held_out))
    if which == "training":
        own, other = other, own
    sound = f"; those of {'held-out' if which == 'training' else 'training'} pairs fit together"
    sound = f"{sound}, a ridge of their own gains {max(gains):.0%}, and {min(gains):.0%} here"
    if own < _RELATED or own / 5 < other < own / 2:
        return f"what goes with what is not: perturbations, or cells, of {which} pairs belong to other pairs{sound}"
    if other > own / 2:
        return f"perturbations of {which} pairs belong to other pairs{sound}"
    return f"pairs are misaligned: the cells before and after of {which} pairs belong to different pairs{sound}"


def _own_gain(carried: Carried, pairs: PairBatch) -> float:
    """The gain of a ridge from one half of some pairs on the other half; 0 where they are few."""
    if len(pairs) < 2 * FEWEST_PAIRS:
        return 0.0
    errors, baseline = carried.learnt(pairs.rows(slice(0, None, 2)), pairs.rows(slice(1, None, 2)))
    return 1 - errors.loss / baseline.loss if baseline.loss > 0 else 0.0


def _alike(pairs: PairBatch) -> float:
    """Correlation of scored values before and after within genes, in the median gene."""
    scored_BG, n_G = pairs.scored_BG, np.maximum(pairs.scored_BG.sum(axis=0), 1)
    before_BG, after_BG = (
        np.where(scored_BG, value_BG - np.where(scored_BG, value_BG, 0).sum(axis=0) / n_G, 0.0)
        for value_BG in (pairs.before_BG, pairs.after_BG)
    )
    size_G = np.sqrt((before_BG**2).sum(axis=0) * (after_BG**2).sum(axis=0))
    return float(np.median((before_BG * after_BG).sum(axis=0) / np.where(size_G > 0, size_G, 1.0)))


def other_perturbations(pairs: PairBatch) -> Iterator[tuple[str, PairBatch]]:
    """Pairs whose perturbations are given otherwise: the gene beside, the change turned; each in words."""
    if pairs.applied is not None:
        return
    change_BG = np.where(pairs.perturbed_BG, pairs.delta_BG, 0.0)
    yield (
        "doses have the other sign in held-out pairs than in training",
        _perturbed_so(pairs, pairs.perturbed_BG, -change_BG),
    )
    for shift in (1, -1):
        perturbed_BG, rolled_BG = np.roll(pairs.perturbed_BG, shift, axis=1), np.roll(change_BG, shift, axis=1)
        side = "before" if shift > 0 else "after"
        words = f"perturbed genes are off by one: held-out pairs give the column {side} that of training pairs"
        yield words, _perturbed_so(pairs, perturbed_BG & pairs.measured_BG, rolled_BG)


def _perturbed_so(pairs: PairBatch, perturbed_BG: np.ndarray, change_BG: Floats) -> PairBatch:
    after_BG = np.where(perturbed_BG, pairs.before_BG + change_BG, pairs.after_BG).astype(np.float32)
    return replace(pairs, perturbed_BG=perturbed_BG, after_BG=after_BG)
