"""Evaluate predictions of a screen: every answer through the same scorer, on the same test perturbations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from diagnostics.audit.evaluation.ablations import ablated
from diagnostics.audit.evaluation.cell_eval import SHORT, CellEval, Scorer, Scores, direction_of
from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.evaluation.leak import Leak, leak_of
from diagnostics.audit.evaluation.predictions import FilePrediction, predicted_groups
from diagnostics.audit.evaluation.references import Answer, baselines, copies
from diagnostics.audit.evaluation.results import MEAN_RESPONSE, Comparison, Row, difference, intervals, rescaled
from diagnostics.audit.evaluation.shape import Floor, floor_of, shape_of
from diagnostics.audit.evaluation.truth import Truth, exact_answers, truth_of
from gpcp.core.random import stream


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """All that was scored.

    Parameters
    ----------
    scorer : str
        The package, its version and preset.
    adapted : tuple of str
        Where the preset had to be changed for this screen.
    metrics : tuple of str
    directions : dict
        1 where more is better, -1 where less is.
    split : Split
    rows : tuple of Row
    comparisons : tuple of Comparison
        Of every prediction with the mean response.
    left_out : tuple of str
        Answers that do not apply here, and why.
    floor : Floor or None
        Distances of real cells to other cells of their own perturbation.
    ablations : tuple of Comparison
        Of each prediction with itself without the perturbation or the context: what it loses, positive where it does.
    """

    scorer: str
    adapted: tuple[str, ...]
    metrics: tuple[str, ...]
    directions: dict[str, int]
    split: Split
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    left_out: tuple[str, ...]
    floor: Floor | None = None
    ablations: tuple[Comparison, ...] = ()

    def row(self, name: str) -> Row:
        """The row of an answer."""
        return next(one for one in self.rows if one.name == name)


def evaluate(
    screen: ScreenData,
    split: Split,
    *,
    predictions: Sequence[FilePrediction | Answer] = (),
    preset: str = "vcc2026",
    scorer: Scorer = "fast",
    with_baselines: bool = True,
    n_splits: int = 3,
    ablations: bool = False,
    seed: int = 0,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Evaluation:
    """Score predictions, baselines, references and, of a known world, the exact answers.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    predictions : sequence
        Files, or answers that are there already.
    preset : str
        Of :data:`diagnostics.audit.evaluation.cell_eval.PRESETS`.
    scorer : str
        Of :data:`diagnostics.audit.evaluation.cell_eval.SCORERS`; both have the same scores.
    with_baselines : bool
        Whether there are baselines other than those that every prediction is compared with.
    n_splits : int
        Halvings of the replicate; 0 leaves it out, and with it the scale.
    ablations : bool
        Whether each prediction is scored without the perturbation and without the context, too.
    seed : int
    on_stage : callable
        Called with the name of each answer before it is scored.

    Raises
    ------
    InputError
        The scorer is not installed, or a prediction cannot be used.
    """
    scored_by = CellEval(preset, screen, split, scorer=scorer)
    reals = {context: as_anndata(screen, split, context) for context in screen.contexts}
    read = [_read(one, screen, split, seed) for one in predictions]
    only = None if with_baselines else (*MEAN_RESPONSE, "no change")
    own, left_out = baselines(screen, split, seed=seed, only=only)
    own += [one for one in copies(screen, split, seed=seed) if with_baselines or one.kind == "reference"]
    truth = truth_of(screen, split)
    if truth is not None:
        own += exact_answers(screen, split, truth, seed=seed)
    found: dict[str, tuple[Answer, Scores]] = {}
    for answer in [*read, *own]:
        on_stage(answer.name)
        parts = [scored_by.scores(as_anndata(screen, split, one, answer), real) for one, real in reals.items()]
        found[answer.name] = answer, _joined(parts)
    zero, one = _scale(scored_by, reals, found, n_splits=n_splits, seed=seed, on_stage=on_stage)
    rng = stream(seed, "evaluate", "bootstrap")
    metrics = _metrics(scores for _, scores in found.values())
    rows = [
        Row(
            name=answer.name,
            kind=answer.kind,
            note=answer.note,
            scores=scores,
            values=(values := intervals(scores, metrics, rng)),
            scaled=rescaled(values, zero, one),
            shape=shape_of(screen, split, answer.groups) if answer.groups else None,
            leak=_leak(screen, split, answer, truth),
        )
        for answer, scores in found.values()
    ]
    directions = {metric: direction_of(metric) for metric in metrics}
    return Evaluation(
        scorer=scored_by.name,
        adapted=tuple(scored_by.adapted),
        metrics=metrics,
        directions=directions,
        split=split,
        rows=tuple(rows),
        comparisons=tuple(_comparisons(rows, directions, rng)),
        left_out=tuple(left_out),
        floor=floor_of(screen, split),
        ablations=tuple(_ablations(scored_by, screen, split, reals, rows, read, directions, seed) if ablations else ()),
    )


def as_anndata(screen: ScreenData, split: Split, context: str, answer: Answer | None = None) -> Any:
    """One context as the scorer reads it: the real controls, and the real or the predicted test cells."""
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    parts: list[Any] = [screen.X_BG[screen.rows(CONTROL, context)]]
    labels = [CONTROL] * parts[0].shape[0]
    for label in screen.in_context(context, split.test):
        part = screen.X_BG[screen.rows(label, context)] if answer is None else answer.groups[label, context]
        parts.append(sp.csr_array(part))
        labels += [label] * parts[-1].shape[0]
    stacked = sp.csr_matrix(sp.vstack(parts, format="csr").astype(np.float32))
    obs = pd.DataFrame({"target": pd.Categorical(labels)}, index=pd.Index([f"cell_{i}" for i in range(len(labels))]))
    return AnnData(X=stacked, obs=obs, var=pd.DataFrame(index=pd.Index(list(screen.genes))))


def _read(given: FilePrediction | Answer, screen: ScreenData, split: Split, seed: int) -> Answer:
    if isinstance(given, Answer):
        return given
    groups = predicted_groups(given, screen, split.test, rng=stream(seed, "evaluate", "file", given.name))
    return Answer(name=given.name, kind="prediction", groups=groups, note=str(given.path))


def _leak(screen: ScreenData, split: Split, answer: Answer, truth: Truth | None) -> Leak | None:
    if truth is None or not answer.groups:
        return None
    return leak_of(screen, split, answer.groups, means=truth.means)


def _joined(parts: Sequence[Scores]) -> Scores:
    joined = parts[0]
    for one in parts[1:]:
        joined = joined.joined(one)
    return joined


def _metrics(all_scores: Iterable[Scores]) -> tuple[str, ...]:
    """The six of the challenge first, then the others by name."""
    names = {name for scores in all_scores for name in scores.parts}
    return (*(one for one in SHORT if one in names), *sorted(names - set(SHORT)))


def _scale(
    scorer: CellEval,
    reals: dict[str, Any],
    found: dict[str, tuple[Answer, Scores]],
    *,
    n_splits: int,
    seed: int,
    on_stage: Callable[[str], None],
) -> tuple[dict[str, float], dict[str, float]]:
    """Add the replicate and the scorer's own baseline to what was found, and give the values of both."""
    if not n_splits:
        return {}, {}
    on_stage("replicate")
    halves = [scorer.replicate(real, n_splits=n_splits, seed=seed) for real in reals.values()]
    note = f"half of the cells against the other half, {n_splits} times"
    replicate = Answer(name="replicate", kind="reference", groups={}, note=note)
    found["replicate"] = replicate, _joined([scores for scores, _ in halves])
    one = {name: float(np.mean([anchor[name] for _, anchor in halves])) for name in halves[0][1]}
    on_stage("the scorer's baseline")
    zeros = [scorer.baseline(real) for real in reals.values()]
    known = [scores for scores in zeros if scores is not None]
    if not known:
        return {}, {}
    joined = _joined(known)
    note = "mean response of the test perturbations themselves, as cells"
    zero = Answer(name="the scorer's baseline", kind="reference", groups={}, note=note)
    found[zero.name] = zero, joined
    return {name: joined.value(name) for name in joined.parts}, one


def _ablations(
    scorer: CellEval,
    screen: ScreenData,
    split: Split,
    reals: dict[str, Any],
    rows: Sequence[Row],
    predictions: Sequence[Answer],
    directions: dict[str, int],
    seed: int,
) -> Iterable[Comparison]:
    rng = stream(seed, "evaluate", "bootstrap of ablations")
    own = {row.name: row.scores for row in rows}
    for answer in predictions:
        for what, without in ablated(answer, screen, split, seed=seed).items():
            parts = [scorer.scores(as_anndata(screen, split, at, without), real) for at, real in reals.items()]
            scores = _joined(parts)
            for metric, direction in directions.items():
                found = difference(own[answer.name], scores, metric, direction, rng) if direction else None
                if found is not None:
                    yield Comparison(name=answer.name, against=what, metric=metric, difference=found)


def _comparisons(rows: Sequence[Row], directions: dict[str, int], rng: np.random.Generator) -> Iterable[Comparison]:
    references = [row for row in rows if row.name in MEAN_RESPONSE]
    for row in rows:
        if row.kind not in ("prediction", "baseline") or row.name in MEAN_RESPONSE:
            continue
        for reference in references:
            for metric, direction in directions.items():
                found = difference(row.scores, reference.scores, metric, direction, rng) if direction else None
                if found is not None:
                    yield Comparison(name=row.name, against=reference.name, metric=metric, difference=found)
