"""Answers of known quality, made from the screen itself: what every prediction is shown beside."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.evaluation.emission import profile, with_spread, without_spread
from diagnostics.audit.evaluation.predictions import Groups
from diagnostics.audit.evaluation.responses import RESPONSES, Training, gene_features
from gpcp.core.errors import InputError
from gpcp.core.random import stream

NO_SPREAD = ", no spread"
"""Ends the name of an answer whose cells are all the same."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answer:
    """One answer for all test perturbations.

    Parameters
    ----------
    name : str
    kind : str
        ``"prediction"``, ``"baseline"``, ``"reference"`` or ``"exact"``.
    groups : mapping
        Cells by perturbation and context.
    note : str
        What it knows or was made of.
    without : mapping
        Cells of the answers that the predictor gave when it was asked again without something, by what that was.
    """

    name: str
    kind: str
    groups: Groups
    note: str = ""
    without: Mapping[str, Groups] = field(default_factory=dict[str, Groups])


def training_of(screen: ScreenData, split: Split, context: str) -> Training:
    """What baselines may learn from in a context.

    Without training perturbations those of the test take their place, as in the challenge's own baseline.
    """
    labels = screen.in_context(context, split.train or split.test)
    control_G = profile(screen.X_BG[screen.rows(CONTROL, context)], screen.scale)
    profiles = {one: profile(screen.X_BG[screen.rows(one, context)], screen.scale) for one in labels}
    if not profiles:
        raise InputError(f"{screen.name}: context {context!r} has no training perturbation; hold fewer out")
    stacked = np.array([control_G, *profiles.values()])
    return Training(
        control_G=control_G,
        shift_of={one: profile_G - control_G for one, profile_G in profiles.items()},
        targets=screen.targets,
        feature_of=gene_features(screen.genes, stacked),
    )


def baselines(
    screen: ScreenData, split: Split, *, seed: int, only: Collection[str] | None = None
) -> tuple[list[Answer], list[str]]:
    """Every baseline that applies, and a line for each that does not.

    The mean response is there with the controls' cell-to-cell spread and without; the others have the spread.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    seed : int
    only : collection of str, optional
        Names of those that are made; all by default.
    """
    made, left_out = list[Answer](), list[str]()
    for name, plain in (("no change", _no_change), ("control mean" + NO_SPREAD, _control_mean)):
        if only is None or name in only:
            made.append(plain(screen, split, seed))
    wanted = {name: one for name, one in RESPONSES.items() if only is None or {name, name + NO_SPREAD} & set(only)}
    if not wanted:
        return made, left_out
    trainings = {context: training_of(screen, split, context) for context in screen.contexts}
    control_of = {context: training.control_G for context, training in trainings.items()}
    for name, response in wanted.items():
        if not split.train and name != "mean response":
            left_out.append(f"{name}: no perturbation is left to learn from")
            continue
        shifts: dict[tuple[str, str], NDArray[np.float64]] = {}
        n_informed = 0
        try:
            for context, training in trainings.items():
                answers = response(training, screen.in_context(context, split.test))
                shifts |= {(label, context): shift_G for label, shift_G in answers.shift_of.items()}
                n_informed += answers.n_informed
        except InputError as error:
            left_out.append(f"{name}: {error}")
            continue
        of = f"{len(split.train)} training perturbations" if split.train else "the test perturbations themselves"
        note = f"of {of}" if name == "mean response" else f"informed for {n_informed} of {len(shifts)}"
        made.append(_of_shifts(screen, shifts, control_of, name=name, note=note, seed=seed, spread=True))
        if name == "mean response":
            flat = name + NO_SPREAD
            made.append(_of_shifts(screen, shifts, control_of, name=flat, note=note, seed=seed, spread=False))
    return made, left_out


def _of_shifts(
    screen: ScreenData,
    shifts: Mapping[tuple[str, str], NDArray[np.float64]],
    control_of: Mapping[str, NDArray[np.float64]],
    *,
    name: str,
    note: str,
    seed: int,
    spread: bool,
) -> Answer:
    """Cells of a shift of each context's control mean: with the controls' cell-to-cell spread, or all the same."""
    rng, scale = stream(seed, "evaluate", name), screen.scale
    control = {context: _dense(screen, CONTROL, context) for context in control_of} if spread else {}
    depth = {} if spread else {context: _depth(screen, context) for context in control_of}
    groups: dict[tuple[str, str], NDArray[np.float32]] = {}
    for (label, context), shift_G in shifts.items():
        n, control_G = len(screen.rows(label, context)), control_of[context]
        groups[label, context] = (
            with_spread(control[context], shift_G, n, scale=scale, profile_G=control_G, rng=rng)
            if spread
            else without_spread(control_G + shift_G, n, scale=scale, depth=depth[context], rng=rng)
        )
    return Answer(name=name, kind="baseline", groups=groups, note=note)


def _no_change(screen: ScreenData, split: Split, seed: int) -> Answer:
    rng = stream(seed, "evaluate", "no change")
    groups: dict[tuple[str, str], NDArray[np.float32]] = {}
    for context in screen.contexts:
        control_BG = _dense(screen, CONTROL, context).astype(np.float32)
        for label in screen.in_context(context, split.test):
            groups[label, context] = control_BG[rng.integers(len(control_BG), size=len(screen.rows(label, context)))]
    return Answer(name="no change", kind="baseline", groups=groups, note="control cells")


def _control_mean(screen: ScreenData, split: Split, seed: int) -> Answer:
    zero_G = np.zeros(len(screen.genes))
    shifts = {(label, one): zero_G for one in screen.contexts for label in screen.in_context(one, split.test)}
    control_of = {one: profile(screen.X_BG[screen.rows(CONTROL, one)], screen.scale) for one in screen.contexts}
    name, note = "control mean" + NO_SPREAD, "of control cells"
    return _of_shifts(screen, shifts, control_of, name=name, note=note, seed=seed, spread=False)


def copies(screen: ScreenData, split: Split, *, seed: int) -> list[Answer]:
    """A copy of the reference, and its cells under each other's labels."""
    rng = stream(seed, "evaluate", "shuffled labels")
    own: dict[tuple[str, str], NDArray[np.float32]] = {}
    other: dict[tuple[str, str], NDArray[np.float32]] = {}
    for context in screen.contexts:
        labels = screen.in_context(context, split.test)
        cells = {label: _dense(screen, label, context).astype(np.float32) for label in labels}
        # Neighbours on a random circle: nobody keeps its own where there are two.
        circle: list[int] = rng.permutation(len(labels)).tolist()
        next_of = {labels[one]: labels[after] for one, after in zip(circle, circle[1:] + circle[:1], strict=True)}
        for label in labels:
            own[label, context], other[label, context] = cells[label], cells[next_of[label]]
    return [
        Answer(name="copy of the reference", kind="reference", groups=own, note="the test cells themselves"),
        Answer(name="shuffled labels", kind="baseline", groups=other, note="test cells of another perturbation"),
    ]


def _dense(screen: ScreenData, label: str, context: str) -> NDArray[np.float64]:
    return screen.X_BG[screen.rows(label, context)].toarray().astype(np.float64)


def _depth(screen: ScreenData, context: str) -> float:
    """Mean counts of a control cell."""
    total_B = np.asarray(screen.X_BG[screen.rows(CONTROL, context)].sum(axis=1)).ravel()
    return float(total_B.mean())
