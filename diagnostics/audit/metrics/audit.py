"""One run of an audit: make or read the screen, make every answer, and score it by every protocol."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np

from diagnostics.audit.evaluation.cell_eval import CellEval, Scores, direction_of
from diagnostics.audit.evaluation.data import ScreenData, Split, read_screen, split_of
from diagnostics.audit.evaluation.evaluate import as_anndata
from diagnostics.audit.evaluation.references import Answer
from diagnostics.audit.evaluation.results import MEAN_RESPONSE
from diagnostics.audit.evaluation.shape import log_cells
from diagnostics.audit.evaluation.truth import truth_of
from diagnostics.audit.metrics.answers import (
    COPY,
    EMPIRICAL,
    EXACT,
    EXACT_MEAN,
    Control,
    copy_of,
    exact_controls,
    free_answers,
    turned,
    with_copies,
)
from diagnostics.audit.metrics.case import Case, Design, ScreenFile
from diagnostics.audit.metrics.protocols import Chosen, protocols_named
from diagnostics.audit.metrics.scpert_eval import ScPertEval
from gpcp.core.errors import InputError
from simulators.screens.design import design_named
from simulators.screens.files import KEY, screen_anndata
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world

Record = dict[str, Any]

MEAN_CELLS = 4_096
"""Cells of a Monte Carlo mean: many times those of a perturbation."""

TEST_SHARE = 0.5
"""Share of the perturbations that answers are scored on; the others are what a mean response is of."""

N_SPLITS = 3
"""Halvings of cell-eval2's replicate anchor."""

ON_DIALS = (EXACT, EXACT_MEAN, COPY, *MEAN_RESPONSE, "no change")
"""Answers that are scored where a dial of the experiment is turned."""


def audit_case(case: Case, on_step: Callable[[int, float], None] = lambda n_done, value: None) -> Record:
    """Score every answer of a case by every protocol.

    Parameters
    ----------
    case : Case
    on_step : callable
        Called with the number of answers scored.

    Returns
    -------
    dict
        ``scores``: a row for each protocol, metric and answer with its ``raw`` value, the ``scaled`` one on the
        benchmark's own scale (cell-eval2: 0 its baseline, 1 its replicate anchor; scPertEval: the dynamic range
        fraction, 0 its negative control, 1 perfect) and scPertEval's ``bds``. ``scorers``, ``notes``, ``shape``.

    Raises
    ------
    InputError
        The screen cannot be made, read or scored.
    """
    chosen = protocols_named(case.protocols)
    screen = _screen(case)
    split = split_of(screen, share=TEST_SHARE, seed=case.seed)
    kept = _Kept(on_step=on_step)
    if (chosen.presets and screen.scale == "counts") or (chosen.presets and not chosen.scpert):
        _cell_eval(case, chosen, screen, split, kept)
    elif chosen.presets:
        kept.notes.append("X holds logarithms: cell-eval2 has no scale for them, and is left out beside scPertEval")
    if chosen.scpert:
        _scpert_eval(case, chosen, in_logarithms(screen), split, kept)
    return {
        "key": case.key,
        "name": case.name,
        "seed": case.seed,
        "dial": case.dial,
        "dose": case.dose,
        "shape": {"perturbations": len(split.test), "genes": len(screen.genes), "cells": len(screen.label_B)},
        "scorers": kept.scorers,
        "notes": list(dict.fromkeys(kept.notes)),
        "known": KEY in screen.uns,
        "scores": kept.rows,
    }


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Kept:
    """What the scorers of a case find, and whom to call when an answer is scored."""

    on_step: Callable[[int, float], None]
    rows: list[Record] = field(default_factory=list[Record])
    notes: list[str] = field(default_factory=list[str])
    scorers: list[str] = field(default_factory=list[str])


def in_logarithms(screen: ScreenData) -> ScreenData:
    """The screen as scPertEval reads it: log1p of counts scaled to 10,000."""
    import scipy.sparse as sp

    if screen.scale == "log":
        return screen
    return replace(screen, X_BG=sp.csr_array(log_cells(screen.X_BG.toarray(), "counts")), scale="log")


def screen_of(file: ScreenFile) -> ScreenData:
    """A measured screen; the one that was read last is not read again while its file stays as it is.

    Raises
    ------
    InputError
        As :func:`diagnostics.audit.evaluation.data.read_screen`.
    """
    return _read(file, json.dumps(file.stamp(), sort_keys=True))


@lru_cache(maxsize=1)
def _read(file: ScreenFile, stamp: str) -> ScreenData:
    del stamp
    return read_screen(Path(file.path), perturbation=file.perturbation, control=file.control)


def _screen(case: Case) -> ScreenData:
    if not isinstance(case.subject, Design):
        return screen_of(case.subject)
    design = case.subject.times(case.dial, case.dose) if case.dial else case.subject
    made = simulated_screen(
        world(design.world, seed=case.seed),
        design_named(
            "challenge2026",
            n_targets=2 * design.targets,
            cells_per_target=design.cells,
            n_controls=design.controls,
            least_descendants=design.descendants,
            depth=design.depth,
            scale=design.effect,
        ),
        seed=case.seed,
    )
    return read_screen(screen_anndata(made, tool="cell-eval2", seed=case.seed))


def answers_of(case: Case, screen: ScreenData, split: Split) -> list[Control]:
    """Every answer of a case, in the units of the screen."""
    truth = truth_of(screen, split, n_mean=MEAN_CELLS, independent=False)
    exact = [] if truth is None else exact_controls(screen, split, truth, seed=case.seed)
    found = [*exact, copy_of(screen, split), *free_answers(screen, split, seed=case.seed)]
    if case.dial:
        return [one for one in found if one.name in ON_DIALS]
    mean = next(one.groups for one in found if one.name == MEAN_RESPONSE[0])
    groups = exact[0].groups if exact else None
    return found + turned(screen, split, mean, groups, dials=case.answer_dials, seed=case.seed)


def _cell_eval(case: Case, chosen: Chosen, screen: ScreenData, split: Split, kept: _Kept) -> None:
    reals = {context: as_anndata(screen, split, context) for context in screen.contexts}
    answers = answers_of(case, screen, split)
    for preset in chosen.presets:
        scorer = CellEval(preset, screen, split)
        kept.scorers.append(scorer.name)
        zeros = [scorer.baseline(real) for real in reals.values()]
        anchors = [scorer.anchor(real, n_splits=N_SPLITS, seed=case.seed) for real in reals.values()]
        zero = _joined([one for one in zeros if one is not None])
        one = {name: float(np.mean([found.get(name, np.nan) for found in anchors])) for name in anchors[0]}
        for done, answer in enumerate(answers, 1):
            groups = _mixed(answer, screen) if answer.copied else answer.groups
            sent = Answer(name=answer.label, kind="prediction", groups=groups)
            parts = [scorer.scores(as_anndata(screen, split, at, sent), real) for at, real in reals.items()]
            scores = _joined(parts)
            if scores is not None:
                kept.rows.extend(_rows(preset, answer, scores, zero, one))
            kept.on_step(done, 0.0)
        kept.notes.extend(scorer.adapted)


def _rows(
    preset: str, answer: Control, scores: Scores, zero: Scores | None, one: Mapping[str, float]
) -> Iterable[Record]:
    for metric in scores.parts:
        direction = direction_of(metric)
        if not direction:
            continue
        raw = scores.value(metric)
        low = zero.value(metric) if zero is not None and metric in zero.parts else float("nan")
        span = one.get(metric, float("nan")) - low
        scaled = (raw - low) / span if span else float("nan")
        yield _row(preset, metric, answer, raw=raw, scaled=scaled, direction=direction)


def _row(protocol: str, metric: str, answer: Control, **values: float) -> Record:
    about = {"protocol": protocol, "metric": metric, "answer": answer.name, "kind": answer.kind}
    dose = answer.dose if answer.dial else None
    return {**about, "dial": answer.dial, "dose": dose, **{name: _finite(one) for name, one in values.items()}}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _mixed(answer: Control, screen: ScreenData) -> Mapping[tuple[str, str], Any]:
    return {
        (label, context): with_copies(
            cell_BG, screen.X_BG[screen.rows(label, context)].toarray().astype(np.float32), answer.copied
        )
        for (label, context), cell_BG in answer.groups.items()
    }


def _joined(parts: Sequence[Scores]) -> Scores | None:
    if not parts:
        return None
    joined = parts[0]
    for one in parts[1:]:
        joined = joined.joined(one)
    return joined


def _scpert_eval(case: Case, chosen: Chosen, screen: ScreenData, split: Split, kept: _Kept) -> None:
    from scperteval.protocols.table import PROTOCOLS

    answers = answers_of(case, screen, split)
    scorer = ScPertEval(screen, split, answers, reference_cells=case.reference_cells, seed=case.seed)
    kept.scorers.append(scorer.name)
    own = Control(name=EMPIRICAL, kind="informed", groups={})
    refused: set[str] = set()
    for done, answer in enumerate([own, *answers], 1):
        for protocol in chosen.scpert:
            if protocol in refused:
                continue
            try:
                found = scorer.calibrate(protocol, None if answer is own else answer.label)
            except InputError as error:
                refused.add(protocol)
                kept.notes.append(str(error))
                continue
            table: Any = PROTOCOLS[protocol.partition("=")[0]]
            direction = 1 if table.better == "higher" else -1
            kept.rows.append(
                _row(protocol, protocol, answer, raw=found.raw, scaled=found.drf, bds=found.bds, direction=direction)
            )
        kept.on_step(done, 0.0)
