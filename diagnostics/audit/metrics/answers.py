"""Answers of known quality: the exact law and mean, copied noise, and what a submitter without information can send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.evaluation.emission import TOTAL, profile, rounded, same_cells, with_spread
from diagnostics.audit.evaluation.predictions import Groups
from diagnostics.audit.evaluation.references import NO_SPREAD, baselines, copies
from diagnostics.audit.evaluation.results import MEAN_RESPONSE
from diagnostics.audit.evaluation.truth import SAMPLE_SEED, Truth
from diagnostics.audit.metrics.dials import ANSWER_DIALS
from gpcp.core.random import stream
from simulators.screens.means import log_values
from simulators.screens.simulated import SimulatedScreen, simulated_screen

Kind = Literal["exact", "copy", "free", "chance", "informed"]

Cells = NDArray[np.float32]

EXACT, EXACT_MEAN, COPY = "exact sampler", "exact mean" + NO_SPREAD, "copy of the reference"
EMPIRICAL = "empirical control"
"""The scorer's own positive control: scPertEval's; the replicate anchor is the 1 of cell-eval2's scale."""

DEEPER = 10.0


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Control:
    """An answer whose quality is known.

    Parameters
    ----------
    name : str
    kind : str
        ``exact``: of the known law; ``copy``: holds cells of the reference; ``free``: made without any information
        on what distinguishes a perturbation; ``chance``: another perturbation's cells; ``informed``: of a replicate.
    groups : mapping
        Cells by perturbation and context.
    copied : float
        Share of the cells that the scorer's reference itself takes the place of.
    dial : str
        Of :data:`ANSWER_DIALS`; ``""`` for those that every audit has.
    dose : float
    """

    name: str
    kind: Kind
    groups: Groups
    copied: float = 0.0
    dial: str = ""
    dose: float = float("nan")

    @property
    def label(self) -> str:
        """The name with its dose, which no other answer of an audit has."""
        return f"{self.name}, {self.dial} {self.dose:g}" if self.dial else self.name


def free_answers(screen: ScreenData, split: Split, *, seed: int) -> list[Control]:
    """What can be sent without information, and another perturbation's cells.

    The mean response is that of training perturbations: one that held a test perturbation would have information on it,
    and one of all other test perturbations would have as much with the wrong sign.
    """
    found, _ = baselines(screen, split, seed=seed, only=("no change", "control mean" + NO_SPREAD, MEAN_RESPONSE[0]))
    made = [Control(name=one.name, kind="free", groups=one.groups) for one in found]
    mean = next(one for one in made if one.name == MEAN_RESPONSE[0])
    if screen.scale == "counts":
        deeper = _each(mean.groups, seed, "deeper", lambda cell_BG, rng: rounded(cell_BG * DEEPER, rng))
        made.append(Control(name=f"{mean.name}, depth x {DEEPER:g}", kind="free", groups=deeper))
    noise = _random(screen, split, seed)
    made += [
        Control(name="random data", kind="free", groups=noise),
        Control(name="log of random data", kind="free", groups=_log(noise, screen, seed)),
    ]
    shuffled = next(one for one in copies(screen, split, seed=seed) if one.name == "shuffled labels")
    return [*made, Control(name=shuffled.name, kind="chance", groups=shuffled.groups)]


def exact_controls(screen: ScreenData, split: Split, truth: Truth, *, seed: int) -> list[Control]:
    """Fresh cells of the law, the same from a deeper assay, the mean in as many cells, and a copy of the reference."""
    world = truth.world
    deep = simulated_screen(world.world, replace(world.design, depth=world.design.depth * DEEPER), seed=world.seed)
    exact, deeper = (_sampled(screen, split, truth, one, seed) for one in (world, deep))
    rng = stream(seed, "audit metrics", "exact mean")
    flat = {
        at: same_cells(mean_G, len(exact[at]), scale=screen.scale, rng=rng) for at, mean_G in truth.means[0].items()
    }
    return [
        Control(name=EXACT, kind="exact", groups=exact),
        Control(name=EXACT_MEAN, kind="exact", groups=flat),
        Control(name=f"{EXACT}, depth x {DEEPER:g}", kind="exact", groups=deeper),
    ]


def _sampled(screen: ScreenData, split: Split, truth: Truth, world: SimulatedScreen, seed: int) -> Groups:
    groups: dict[tuple[str, str], Cells] = {}
    for context in screen.contexts:
        for label in screen.in_context(context, split.test):
            n = len(screen.rows(label, context))
            count_BG = world.sampler(truth.label_of[label], context, n, SAMPLE_SEED + seed).count_BG
            groups[label, context] = (
                count_BG if screen.scale == "counts" else log_values(count_BG, world.design.log_total)
            ).astype(np.float32)
    return groups


def copy_of(screen: ScreenData, split: Split) -> Control:
    """The reference itself, with its noise."""
    groups = {
        (label, context): screen.X_BG[screen.rows(label, context)].toarray().astype(np.float32)
        for context in screen.contexts
        for label in screen.in_context(context, split.test)
    }
    return Control(name=COPY, kind="copy", groups=groups, copied=1.0)


def turned(
    screen: ScreenData, split: Split, mean: Groups, exact: Groups | None, *, dials: tuple[str, ...], seed: int
) -> list[Control]:
    """Answers under their dials; those that need the exact law are left out without it.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    mean, exact : mapping
        The mean response as cells, and cells of the exact law.
    dials : tuple of str
        Of :data:`~diagnostics.audit.metrics.dials.ANSWER_DIALS`.
    seed : int
    """
    made: list[Control] = []
    for dial in dials:
        for dose in ANSWER_DIALS[dial]:
            if dial == "spread":
                made.append(_control(MEAN_RESPONSE[0], "free", _spread(mean, screen, dose, seed), dial, dose))
                if exact is not None:
                    made.append(_control(EXACT, "exact", _spread(exact, screen, dose, seed), dial, dose))
            elif exact is not None and dial == "shrinkage":
                made.append(_control("replicate", "informed", _shrunk(screen, split, exact, dose, seed), dial, dose))
            elif exact is not None and dial == "noise":
                made.append(_control(EXACT, "copy", exact, dial, dose, copied=dose))
    return made


def _control(name: str, kind: Kind, groups: Groups, dial: str, dose: float, *, copied: float = 0.0) -> Control:
    return Control(name=name, kind=kind, groups=groups, copied=copied, dial=dial, dose=dose)


def with_copies(cell_BG: Cells, reference_BG: Cells, share: float) -> Cells:
    """The cells, a share of which the reference's first cells take the place of, as many as before."""
    n_copied = min(round(share * len(cell_BG)), len(reference_BG))
    return np.concatenate((reference_BG[:n_copied], cell_BG[n_copied:]))


def _shrunk(screen: ScreenData, split: Split, replicate: Groups, dose: float, seed: int) -> Groups:
    """Means of a replicate, drawn toward their mean over perturbations, as cells with the controls' spread."""
    rng = stream(seed, "audit metrics", "shrinkage")
    groups: dict[tuple[str, str], Cells] = {}
    for context in screen.contexts:
        control_BG = screen.X_BG[screen.rows(CONTROL, context)].toarray().astype(np.float64)
        control_G = profile(control_BG, screen.scale)
        labels = screen.in_context(context, split.test)
        own = {one: profile(replicate[one, context].astype(np.float64), screen.scale) for one in labels}
        mean_G = np.mean(list(own.values()), axis=0)
        for label in labels:
            shift_G = (1 - dose) * own[label] + dose * mean_G - control_G
            n = len(screen.rows(label, context))
            groups[label, context] = with_spread(
                control_BG, shift_G, n, scale=screen.scale, profile_G=control_G, rng=rng
            )
    return groups


def _spread(groups: Groups, screen: ScreenData, dose: float, seed: int) -> Groups:
    """Cells whose deviation from their perturbation's mean is multiplied; nothing falls below 0."""

    def wider(cell_BG: NDArray[np.float64], rng: np.random.Generator) -> Cells:
        if dose == 1:
            return cell_BG.astype(np.float32)
        mean_G = cell_BG.mean(axis=0)
        moved_BG = np.maximum(mean_G + dose * (cell_BG - mean_G), 0)
        return rounded(moved_BG, rng) if screen.scale == "counts" else moved_BG.astype(np.float32)

    return _each(groups, seed, "spread", wider)


def _random(screen: ScreenData, split: Split, seed: int) -> Groups:
    """Poisson counts at the depth of the controls, with log-normal means of their own for each perturbation."""
    rng = stream(seed, "audit metrics", "random data")
    groups: dict[tuple[str, str], Cells] = {}
    n_genes = len(screen.genes)
    for context in screen.contexts:
        control_BG = screen.X_BG[screen.rows(CONTROL, context)]
        depth = float(control_BG.sum() / control_BG.shape[0]) if screen.scale == "counts" else TOTAL
        for label in screen.in_context(context, split.test):
            rate_G = np.exp(rng.standard_normal(n_genes))
            count_BG = rng.poisson(depth * rate_G / rate_G.sum(), size=(len(screen.rows(label, context)), n_genes))
            groups[label, context] = (count_BG if screen.scale == "counts" else np.log1p(count_BG)).astype(np.float32)
    return groups


def _log(groups: Groups, screen: ScreenData, seed: int) -> Groups:
    """log1p of values in the units of the screen, sent as if they were such values."""

    def taken(cell_BG: NDArray[np.float64], rng: np.random.Generator) -> Cells:
        log_BG = np.log1p(cell_BG)
        return rounded(log_BG, rng) if screen.scale == "counts" else log_BG.astype(np.float32)

    return _each(groups, seed, "log", taken)


def _each(
    groups: Groups, seed: int, purpose: str, change: Callable[[NDArray[np.float64], np.random.Generator], Cells]
) -> Mapping[tuple[str, str], Cells]:
    rng = stream(seed, "audit metrics", purpose)
    return {at: change(np.asarray(cell_BG, dtype=np.float64), rng) for at, cell_BG in groups.items()}
