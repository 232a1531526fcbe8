"""One training on a finite number of pairs with one capacity, and all that is measured of it.

Dimension key: ``B`` pairs, ``G`` genes.

The pairs are drawn once and gone through again, in another order each time, until the steps are done: a finite data
set, not the fresh pairs of ``recover_graph``. Of one seed the world is the same for every run, fewer pairs are the
first of more, and every loss is measured on the same held-out pairs: runs of one seed are paired.

Validation pairs, which a data set would have to spare, are drawn on top of the training pairs. They choose the weights
that are kept (those of the best evaluation), so that few pairs are judged by their best point; the held-out pairs
choose nothing.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from diagnostics.graphs.estimators import estimate
from diagnostics.graphs.evaluate import TARGET_OF, primary, read_outs_of
from diagnostics.graphs.scores import auprc_of, target_graph
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.store import Record
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import Levels, exact_loss, levels_of
from gpcp.core.pairs import FixedPairs, PairBatch, concatenate
from gpcp.core.random import seed_of, stream
from simulators.exact.bayes import BayesAnswer, bayes
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World

if TYPE_CHECKING:
    from gpcp.model.config import ModelConfig
    from gpcp.training.config import FitConfig
    from gpcp.training.replicate import Replicate

N_HELD_OUT, N_VALIDATION, N_REFERENCE, N_TRAIN_LOSS = 4000, 500, 8000, 2000
"""Pairs that losses are measured on, that choose the weights, that the input-free baseline takes its means from (the
same for all numbers of pairs, so that skill is one scale), and, at most, that the training loss is measured on."""

N_EVALUATIONS = 20
"""How often a training is looked at, whatever its steps."""

CAPACITIES = ("width", "n_encoder_blocks", "n_decoder_blocks", "n_rounds", "feed_forward_ratio")
"""Fields of a model's configuration that are capacity."""

_ENDLESS = 2**40
"""Pairs of a pass that is not gone through to its end: all blocks are whole, and few pairs are the first of many."""


def capacity_of(run: Experiment) -> tuple[str, int]:
    """The field of :data:`CAPACITIES` that makes the model bigger, and its value."""
    return next((name, value) for name, value in run.changed if name in CAPACITIES)


def source_of(run: Experiment, made: World) -> SimulatedPairs:
    """Pairs of its world and regime without end.

    Raises
    ------
    InputError
        The regime does not exist or ``n_perturbed`` is out of range.
    """
    return run.pairs(made, _ENDLESS)


def configs(run: Experiment, n_genes: int) -> "tuple[ModelConfig, FitConfig]":
    """The model's and the training's configuration, checked.

    Heads divide the width: of a width that the preset's number of heads does not divide, as many as both have.

    Raises
    ------
    InputError
        There is no such preset, or a number is out of range.
    """
    field, capacity = capacity_of(run)
    if field == "width" and capacity > 0:
        n_heads = replace(run, changed=()).configs(n_genes)[0].n_heads
        run = replace(run, changed=(*run.changed, ("n_heads", math.gcd(capacity, n_heads))))
    model_config, fit_config = run.configs(n_genes)
    every = max(1, run.n_steps // N_EVALUATIONS)
    # Longer than there are evaluations: training goes to the end of its budget, and the best weights are kept.
    return model_config, replace(fit_config, evaluate_every=every, patience=2 * N_EVALUATIONS + 2)


def drawn(source: SimulatedPairs, n_pairs: int, seed: int) -> PairBatch:
    """The first pairs of a pass; fewer of them are the first of more."""
    size = min(n_pairs, 2000)
    batches = islice(source.pairs(batch_size=size, seed=seed), -(-n_pairs // size))
    return concatenate(batches).rows(slice(0, n_pairs))


def carry_out(run: Experiment, on_step: OnStep) -> Record:
    """Train and measure; a training that diverged has None for all that it would have shown."""
    with one_thread():
        return _carry_out(run, on_step)


def _carry_out(run: Experiment, on_step: OnStep) -> Record:
    from gpcp.model.predictor import ModelPredictor
    from gpcp.training.replicate import replicate

    start_s = time.perf_counter()
    made = run.world()
    source = source_of(run, made)
    pairs, held_out, validation = (
        drawn(source, n, seed_of(run.seed, "learning curve", purpose))
        for purpose, n in (
            ("training", n_pairs_of(run)),
            ("held out", run.n_held_out),
            ("validation", N_VALIDATION),
        )
    )
    reference = drawn(source, N_REFERENCE, seed_of(run.seed, "learning curve", "training"))
    model_config, fit_config = configs(run, len(pairs.vocab))
    model, found = replicate(
        model_config,
        fit_config,
        FixedPairs(held=pairs),
        held_out,
        seed=seed_of(run.seed, "learning curve", "model"),
        validation=validation,
        on_step=on_step,
    )
    predictor = ModelPredictor(model, pairs.vocab)
    levels = levels_of(reference, held_out, exact=_answer(run, made, held_out), ridge_on=pairs)
    record = {
        "key": run.key,
        **_asked(run),
        "n_genes": len(pairs.vocab),
        "loss": found.loss,
        "skill": levels.skill(found.loss),
        "n_parameters": found.n_parameters,
        **_levels(levels),
        **_trained(run, made, found, reference, validation),
        **_memory(run, made, None if found.diverged else predictor, pairs),
        **_graph(run, made, None if found.diverged else predictor, pairs, held_out),
    }
    return record | {"train_seconds": round(found.seconds, 2), "seconds": round(time.perf_counter() - start_s, 2)}


def n_pairs_of(run: Experiment) -> int:
    """Training pairs of a run, all of which are drawn before it is trained."""
    assert run.n_pairs is not None, "a learning curve is over numbers of pairs"
    return run.n_pairs


def _asked(run: Experiment) -> dict[str, Any]:
    """What a record says of its run."""
    field, capacity = capacity_of(run)
    return {
        "world": run.place,
        "regime": run.regime,
        "seed": run.seed,
        "n_perturbed": run.n_perturbed,
        "n_pairs": run.n_pairs,
        "preset": run.preset,
        "field": field,
        "capacity": capacity,
        "n_steps": run.n_steps,
        "batch_size": run.batch_size,
        "learning_rate": run.learning_rate,
    }


def _answer(run: Experiment, made: World, pairs: PairBatch) -> BayesAnswer:
    return bayes(made.scm, regime_of(run.regime), pairs, rng=stream(run.seed, "learning curve", "bayes"))


def _levels(levels: Levels) -> dict[str, Any]:
    """What the held-out loss lies between, and ridge on the same training pairs beside it."""
    return {
        "baseline_loss": levels.baseline,
        "bayes_risk": levels.bayes_risk,
        "ridge_loss": levels.reference,
        "ridge_skill": levels.skill(levels.reference),
    }


def _trained(
    run: Experiment, made: World, found: "Replicate", reference: PairBatch, validation: PairBatch
) -> dict[str, Any]:
    """The best and the last evaluation, on the validation pairs: how much stopping in time is worth."""
    rows = [row for row in found.history if row.held_out_loss is not None and math.isfinite(row.held_out_loss)]
    if found.diverged or not rows:
        return {"best_step": None, "best_skill": None, "last_skill": None, "last_train_loss": None, "late_gain": None}
    levels = levels_of(reference, validation, exact=_answer(run, made, validation), ridge_on=None)
    best = min(rows, key=lambda row: math.inf if row.held_out_loss is None else row.held_out_loss)
    late = next(row for row in rows if row.step >= 0.8 * run.n_steps)
    return {
        "best_step": best.step,
        "best_skill": levels.skill(best.held_out_loss),
        "last_skill": levels.skill(rows[-1].held_out_loss),
        "last_train_loss": rows[-1].train_loss,
        "late_gain": levels.skill_won(late.held_out_loss, rows[-1].held_out_loss),
    }


def _memory(run: Experiment, made: World, predictor: Any, pairs: PairBatch) -> dict[str, float | None]:
    """The loss of the model and of the exact answer on the same training pairs."""
    some = pairs.rows(slice(0, N_TRAIN_LOSS))
    return {
        "train_loss": None if predictor is None else losses_of(predictor, some).loss,
        "exact_train_loss": exact_loss(_answer(run, made, some), some).risk,
    }


def _graph(run: Experiment, made: World, predictor: Any, pairs: PairBatch, held_out: PairBatch) -> dict[str, Any]:
    """The graph read out of the model, between chance and the exact law, and that of the classical estimator."""
    target = TARGET_OF[run.regime]
    chance = float(auprc_of(0 * target_graph(made.graph, target).astype(float), target_graph(made.graph, target)))
    found: dict[str, Any] = {
        "target": target,
        "chance": chance,
        "classical_auprc": classical_auprc(run, made, pairs),
        "read_out": None,
        "auprc": None,
        "ceiling_auprc": None,
    }
    if predictor is None:
        return found
    source = source_of(run, made)
    read_outs, _ = read_outs_of(
        predictor,
        made,
        regime_of(run.regime),
        n_perturbed=source.perturbed_range,
        dose_sd=source.dose_sd,
        held_out=held_out,
        rng=stream(run.seed, "learning curve", "readings"),
    )
    main = primary(read_outs)
    return found | {
        "read_out": main.name,
        "auprc": main.score.auprc,
        "ceiling_auprc": main.ceiling.auprc,
    }


def classical_auprc(run: Experiment, made: World, pairs: PairBatch) -> float | None:
    """What the regime's own estimator recovers of the target from the same pairs; None where it has no answer."""
    rng = stream(run.seed, "learning curve", "statistician")
    score_GG = estimate("classical", run.regime, pairs, rng=rng).score_GG
    return None if score_GG is None else auprc_of(score_GG, target_graph(made.graph, TARGET_OF[run.regime]))


def check(runs: Sequence[Experiment]) -> None:
    """Refuse what could not be done, before anything is trained.

    Raises
    ------
    InputError
        The world, regime, preset, capacity or a number is no good; the message names it and the nearest valid choice.
    """
    seen: set[tuple[Any, ...]] = set()
    for run in runs:
        # Only what can be wrong by itself: worlds of several seeds are alike in it.
        kind = (run.source, run.regime, run.n_perturbed, run.preset, run.changed, run.learning_rate)
        if kind in seen:
            continue
        seen.add(kind)
        made = run.world()
        source_of(run, made)
        configs(run, made.graph.n_genes)
        target_graph(made.graph, TARGET_OF[run.regime])
