"""One training on a finite number of pairs with one capacity, and all that is measured of it.

The pairs are drawn once and gone through again, in another order each time, until the steps are done: a finite data
set, not the fresh pairs of ``recover_graph``. Of one seed the world is the same for every run, fewer pairs are the
first of more, and every loss is measured on the same held-out pairs: runs of one seed are paired.

Validation pairs, which a data set would have to spare, are drawn on top of the training pairs; of real cells, from
cells of their own. They choose the weights that are kept (those of the best evaluation), so that few pairs are judged
by their best point; the held-out pairs choose nothing.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diagnostics.commands.learning_curve.pairs import (
    N_TRAIN_LOSS,
    FinitePairs,
    check_validation,
    data_of_cells,
    pairs_of_cells,
    source_of,
    world_pairs,
)
from diagnostics.graphs.estimators import estimate
from diagnostics.graphs.evaluate import TARGET_OF, primary, read_outs_of
from diagnostics.graphs.scores import auprc_of, target_graph
from diagnostics.inputs.data import perturbations_read
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.store import Record
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import Levels
from gpcp.core.pairs import FixedPairs, PairBatch
from gpcp.core.perturbations import PerturbationVocab, perturbations_of
from gpcp.core.random import seed_of, stream
from simulators.scm.regimes import regime_of
from simulators.worlds import World

if TYPE_CHECKING:
    from gpcp.model.config import ModelConfig
    from gpcp.training.config import FitConfig
    from gpcp.training.replicate import Replicate

N_EVALUATIONS = 20
"""How often a training is looked at, whatever its steps."""

CAPACITIES = ("width", "n_encoder_blocks", "n_decoder_blocks", "n_rounds", "feed_forward_ratio")
"""Fields of a model's configuration that are capacity."""


def capacity_of(run: Experiment) -> tuple[str, int]:
    """The field of :data:`CAPACITIES` that makes the model bigger, and its value."""
    return next((name, value) for name, value in run.changed if name in CAPACITIES)


def configs(
    run: Experiment, n_genes: int, perturbations: PerturbationVocab | None = None
) -> "tuple[ModelConfig, FitConfig]":
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
    model_config, fit_config = run.configs(n_genes, perturbations)
    every = max(1, run.n_steps // N_EVALUATIONS)
    # Longer than there are evaluations: training goes to the end of its budget, and the best weights are kept.
    return model_config, replace(fit_config, evaluate_every=every, patience=2 * N_EVALUATIONS + 2)


def carry_out(run: Experiment, on_step: OnStep) -> Record:
    """Train and measure; a training that diverged has None for all that it would have shown."""
    with one_thread():
        return _carry_out(run, on_step)


def _carry_out(run: Experiment, on_step: OnStep) -> Record:
    from gpcp.model.predictor import ModelPredictor
    from gpcp.training.replicate import replicate

    start_s = time.perf_counter()
    made = run.world() if run.is_world else None
    pairs = pairs_of_cells(run) if made is None else world_pairs(run, made)
    vocab = pairs.training.vocab
    read = perturbations_of(FixedPairs(held=pairs.training))
    model_config, fit_config = configs(run, len(vocab), read)
    model, found = replicate(
        model_config,
        fit_config,
        FixedPairs(held=pairs.training),
        pairs.held_out,
        seed=seed_of(run.seed, "learning curve", "model"),
        validation=pairs.validation,
        on_step=on_step,
    )
    predictor = None if found.diverged else ModelPredictor(model, vocab, perturbations=read)
    some = pairs.training.rows(slice(0, N_TRAIN_LOSS))
    record = {
        "key": run.key,
        **_asked(run),
        "n_genes": len(vocab),
        "loss": found.loss,
        **_placed("", pairs.levels, found.loss),
        "n_parameters": found.n_parameters,
        **_levels(pairs),
        **_trained(run, found, pairs.validation_levels),
        "train_loss": None if predictor is None else losses_of(predictor, some).loss,
        "exact_train_loss": pairs.exact_train_loss,
        **(_NO_GRAPH if made is None else _graph(run, made, predictor, pairs.training, pairs.held_out)),
    }
    return record | {"train_seconds": round(found.seconds, 2), "seconds": round(time.perf_counter() - start_s, 2)}


def _asked(run: Experiment) -> dict[str, Any]:
    """What a record says of its run."""
    field, capacity = capacity_of(run)
    return {
        "world": run.title,
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


def _placed(whose: str, levels: Levels, loss: float | None) -> dict[str, float | None]:
    """Where a loss lies: its skill in a known world, else its share of the way to the best linear predictor."""
    return {f"{whose}skill": levels.skill(loss), f"{whose}share_of_linear": levels.share_of_linear(loss)}


def _levels(pairs: FinitePairs) -> dict[str, Any]:
    """What the held-out loss lies between, and ridge on the same training pairs beside it."""
    levels, ridge = pairs.levels, None if pairs.ridge is None else pairs.ridge.loss
    return {
        "baseline_loss": levels.baseline,
        "bayes_risk": levels.bayes_risk,
        "best_linear_loss": None if levels.exact is not None else levels.reference,
        "ridge_loss": ridge,
        **_placed("ridge_", levels, ridge),
    }


def _trained(run: Experiment, found: "Replicate", levels: Levels) -> dict[str, Any]:
    """The best and the last evaluation, on the validation pairs: how much stopping in time is worth."""
    rows = [row for row in found.history if row.held_out_loss is not None and math.isfinite(row.held_out_loss)]
    if found.diverged or not rows:
        placed = _placed("best_", levels, None) | _placed("last_", levels, None)
        return {"best_step": None, **placed, "last_train_loss": None, "late_gain": None}
    best = min(rows, key=lambda row: math.inf if row.held_out_loss is None else row.held_out_loss)
    late = next(row for row in rows if row.step >= 0.8 * run.n_steps)
    return {
        "best_step": best.step,
        **_placed("best_", levels, best.held_out_loss),
        **_placed("last_", levels, rows[-1].held_out_loss),
        "last_train_loss": rows[-1].train_loss,
        "late_gain": levels.won(late.held_out_loss, rows[-1].held_out_loss),
    }


_NO_GRAPH: dict[str, Any] = dict.fromkeys(("target", "chance", "classical_auprc", "read_out", "auprc", "ceiling_auprc"))
"""Of real cells, whose graph is not known."""


def _graph(run: Experiment, made: World, predictor: Any, pairs: PairBatch, held_out: PairBatch) -> dict[str, Any]:
    """The graph read out of the model, between chance and the exact law, and that of the classical estimator."""
    target = TARGET_OF[run.regime]
    chance = float(auprc_of(0 * target_graph(made.graph, target).astype(float), target_graph(made.graph, target)))
    found = _NO_GRAPH | {
        "target": target,
        "chance": chance,
        "classical_auprc": classical_auprc(run, made, pairs),
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
        "auprc": main.auprc,
        "ceiling_auprc": main.ceiling_auprc,
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
        The source, regime, preset, capacity or a number is no good; the message names it and the nearest valid choice.
    """
    seen: set[tuple[Any, ...]] = set()
    for run in runs:
        # Only what can be wrong by itself: worlds of several seeds are alike in it, splits of cells are not.
        kind = (run.source, run.regime, run.n_perturbed, run.preset, run.changed, run.learning_rate)
        kind += () if run.is_world else (run.seed,)
        if kind in seen:
            continue
        seen.add(kind)
        if not run.is_world:
            check_validation(run)
            data = data_of_cells(run)
            configs(run, len(data.vocab), perturbations_read(data))
            continue
        made = run.world()
        source_of(run, made)
        configs(run, made.graph.n_genes)
        target_graph(made.graph, TARGET_OF[run.regime])
