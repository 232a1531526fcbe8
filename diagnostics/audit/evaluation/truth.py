"""The exact answers of a screen whose file holds a known world: its law, its means, and what they are called there."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import ScreenData, Split
from diagnostics.audit.evaluation.emission import same_cells
from diagnostics.audit.evaluation.leak import Means
from diagnostics.audit.evaluation.references import NO_SPREAD, Answer
from gpcp.core.errors import InputError
from gpcp.core.random import stream
from simulators.screens.files import screen_of, x_of
from simulators.screens.means import MEAN_CELLS, exact_mean
from simulators.screens.simulated import SimulatedScreen

SAMPLE_SEED = 2**40
"""Seeds of the exact sampler begin here: those of files lie below 2^31, those of means at it."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """What is known of a simulated screen.

    Parameters
    ----------
    world : SimulatedScreen
    label_of : dict
        The world's own label of each test label.
    means : pair of mappings
        Exact means (G,) in the units of the screen, by test label and context; where they are of Monte Carlo, two
        independent ones.
    note : str
        How exact the means are.
    """

    world: SimulatedScreen
    label_of: dict[str, str]
    means: tuple[Means, Means]
    note: str


def truth_of(screen: ScreenData, split: Split, *, n_mean: int = MEAN_CELLS, independent: bool = True) -> Truth | None:
    """The truth that the file of a screen holds; None where it is of no known world.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    n_mean : int
        Cells of a Monte Carlo mean.
    independent : bool
        Whether the two means are to be of different cells, as an alarm needs them; else they are the same.

    Raises
    ------
    InputError
        The file has other labels, contexts or genes than its truth.
    """
    world = screen_of(screen.uns)
    if world is None:
        return None
    if tuple(world.vocab.feature_id) != screen.genes:
        raise InputError(f"{screen.name} has other genes than the world in its uns: export it again")
    own = {frozenset(one.genes): one.label for one in world.perturbations if one.genes}
    label_of: dict[str, str] = {}
    for label in split.test:
        found = own.get(frozenset(screen.targets[label]))
        if found is None:
            raise InputError(f"{screen.name}: the world in its uns has no perturbation {label!r}: export it again")
        label_of[label] = found
    for context in screen.contexts:
        world.context(context)
    unit = "count" if screen.scale == "counts" else "log"
    both = [exact_mean(world, n_cells=n_mean, seed=seed) for seed in ((0, 1) if independent else (0,))]
    means = [
        {
            (label, context): one.row(label_of[label], context, unit=unit)
            for context in screen.contexts
            for label in screen.in_context(context, split.test)
        }
        for one in both
    ]
    exact = unit == "count" and not both[0].count_error.any()
    return Truth(
        world=world,
        label_of=label_of,
        means=(means[0], means[-1]),
        note="the world's mean" if exact else f"the world's mean, of {n_mean:,} cells",
    )


def exact_answers(screen: ScreenData, split: Split, truth: Truth, *, seed: int) -> list[Answer]:
    """Fresh cells of the exact law, and its exact mean without cell-to-cell spread."""
    sampled: dict[tuple[str, str], NDArray[np.float32]] = {}
    flat: dict[tuple[str, str], NDArray[np.float32]] = {}
    rng = stream(seed, "evaluate", "exact mean")
    for context in screen.contexts:
        for label in screen.in_context(context, split.test):
            n = len(screen.rows(label, context))
            cells = truth.world.sampler(truth.label_of[label], context, n, SAMPLE_SEED + seed)
            sampled[label, context] = x_of(truth.world, cells).toarray()
            flat[label, context] = same_cells(truth.means[0][label, context], n, scale=screen.scale, rng=rng)
    return [
        Answer(name="exact sampler", kind="exact", groups=sampled, note="fresh cells of the world's law"),
        Answer(name="exact mean" + NO_SPREAD, kind="exact", groups=flat, note=truth.note),
    ]
