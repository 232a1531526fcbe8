"""One training on a finite number of pairs with one capacity, and all that is measured of it.

Dimension key: ``B`` pairs, ``G`` genes.

The pairs are drawn once and gone through again, in another order each time, until the steps are done: a finite data
set, not the fresh pairs of ``recover_graph``. Of one seed the world is the same for every run, fewer pairs are the
first of more, and every loss is measured on the same held-out pairs: runs of one seed are paired.

Validation pairs, which a data set would have to spare, are drawn on top of the training pairs. They choose the weights
that are kept (those of the best evaluation), so that few pairs are judged by their best point; the held-out pairs
choose nothing.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, final

import gpcp
from diagnostics.graphs.estimators import estimate
from diagnostics.graphs.evaluate import TARGET_OF, primary, read_outs_of
from diagnostics.graphs.methods import auprc_of
from diagnostics.graphs.scores import target_graph
from diagnostics.runs.execute import OnStep
from diagnostics.runs.settings import Training
from diagnostics.runs.store import Record
from diagnostics.runs.trained import configs_of, one_thread
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import Levels, exact_loss, levels_of
from gpcp.core.pairs import FixedPairs, PairBatch, concatenate
from gpcp.core.random import seed_of, stream
from simulators.exact.bayes import BayesAnswer, bayes
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

if TYPE_CHECKING:
    from gpcp.model.config import ModelConfig
    from gpcp.training.config import FitConfig
    from gpcp.training.replicate import Replicate

N_HELD_OUT, N_VALIDATION, N_REFERENCE, N_TRAIN_LOSS = 4000, 500, 8000, 2000
"""Pairs that losses are measured on, that choose the weights, that "knowing nothing" takes its means from (the same for
all numbers of pairs, so that skill is one scale), and, at most, that the training loss is measured on."""

N_EVALUATIONS = 20
"""How often a training is looked at, whatever its steps."""

CAPACITIES = ("width", "n_encoder_blocks", "n_decoder_blocks", "n_rounds", "feed_forward_ratio")
"""Fields of a model's configuration that are capacity."""

_ENDLESS = 2**40
"""Pairs of a pass that is not gone through to its end: all blocks are whole, and few pairs are the first of many."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CurveRun:
    """What one run is asked for.

    Parameters
    ----------
    world, regime : str
    seed : int
        Of the world, its pairs and the model's beginning.
    n_perturbed : (int, int) or None
        Fewest and most genes told a pair; None for one to all but one.
    n_pairs : int
    preset : str
    field : str
        One of :data:`CAPACITIES`.
    capacity : int
        Its value.
    n_steps, batch_size : int
    learning_rate : float
    """

    world: str
    regime: str
    seed: int
    n_perturbed: tuple[int, int] | None
    n_pairs: int
    preset: str
    field: str
    capacity: int
    n_steps: int
    batch_size: int
    learning_rate: float

    @property
    def key(self) -> str:
        """What decides its result; another version's results are other results."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.world} seed {self.seed}, {self.n_pairs} pairs, {self.field} {self.capacity}"

    def source(self, made: World) -> SimulatedPairs:
        """Pairs of its world and regime without end.

        Raises
        ------
        InputError
            The regime does not exist or ``n_perturbed`` is out of range.
        """
        return SimulatedPairs(
            scm=made.scm, regime=regime_of(self.regime), n_pairs=_ENDLESS, n_perturbed=self.n_perturbed
        )


def configs(run: CurveRun, n_genes: int) -> "tuple[ModelConfig, FitConfig]":
    """The model's and the training's configuration, checked.

    Heads divide the width: of a width that the preset's number of heads does not divide, as many as both have.

    Raises
    ------
    InputError
        There is no such preset, or a number is out of range.
    """
    training = Training(
        preset=run.preset, n_steps=run.n_steps, batch_size=run.batch_size, learning_rate=run.learning_rate
    )
    model_config, fit_config = configs_of(training, n_genes, run.seed)
    changed: dict[str, Any] = {run.field: run.capacity}
    if run.field == "width" and run.capacity > 0:
        changed["n_heads"] = math.gcd(run.capacity, model_config.n_heads)
    every = max(1, run.n_steps // N_EVALUATIONS)
    # Longer than there are evaluations: training goes to the end of its budget, and the best weights are kept.
    return replace(model_config, **changed), replace(fit_config, evaluate_every=every, patience=2 * N_EVALUATIONS + 2)


def drawn(source: SimulatedPairs, n_pairs: int, seed: int) -> PairBatch:
    """The first pairs of a pass; fewer of them are the first of more."""
    size = min(n_pairs, 2000)
    batches = islice(source.pairs(batch_size=size, seed=seed), -(-n_pairs // size))
    return concatenate(batches).rows(slice(0, n_pairs))


def carry_out(run: CurveRun, on_step: OnStep) -> Record:
    """Train and measure; a training that diverged has None for all that it would have shown."""
    with one_thread():
        return _carry_out(run, on_step)


def _carry_out(run: CurveRun, on_step: OnStep) -> Record:
    from gpcp.model.predictor import ModelPredictor
    from gpcp.training.replicate import replicate

    start_s = time.perf_counter()
    made = world(run.world, seed=run.seed)
    source = run.source(made)
    pairs, held_out, validation = (
        drawn(source, n, seed_of(run.seed, "learning curve", purpose))
        for purpose, n in (("training", run.n_pairs), ("held out", N_HELD_OUT), ("validation", N_VALIDATION))
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
        **asdict(run),
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


def _answer(run: CurveRun, made: World, pairs: PairBatch) -> BayesAnswer:
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
    run: CurveRun, made: World, found: "Replicate", reference: PairBatch, validation: PairBatch
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


def _memory(run: CurveRun, made: World, predictor: Any, pairs: PairBatch) -> dict[str, float | None]:
    """The loss of the model and of the exact answer on the same training pairs."""
    some = pairs.rows(slice(0, N_TRAIN_LOSS))
    return {
        "train_loss": None if predictor is None else losses_of(predictor, some).loss,
        "exact_train_loss": exact_loss(_answer(run, made, some), some).risk,
    }


def _graph(run: CurveRun, made: World, predictor: Any, pairs: PairBatch, held_out: PairBatch) -> dict[str, Any]:
    """The graph read out of the model, between chance and the exact law, and the statistician's from the same pairs."""
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
    source = run.source(made)
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
        "read_out": main.read_out,
        "auprc": main.score.auprc,
        "ceiling_auprc": main.ceiling.auprc,
    }


def classical_auprc(run: CurveRun, made: World, pairs: PairBatch) -> float | None:
    """What the regime's own estimator recovers of the target from the same pairs; None where it has no answer."""
    rng = stream(run.seed, "learning curve", "statistician")
    score_GG = estimate("classical", run.regime, pairs, rng=rng).score_GG
    return None if score_GG is None else auprc_of(score_GG, target_graph(made.graph, TARGET_OF[run.regime]))


def check(runs: Sequence[CurveRun]) -> None:
    """Refuse what could not be done, before anything is trained.

    Raises
    ------
    InputError
        The world, regime, preset, capacity or a number is no good; the message names it and the nearest valid choice.
    """
    seen: set[tuple[Any, ...]] = set()
    for run in runs:
        # Only what can be wrong by itself: worlds of several seeds are alike in it.
        kind = (run.world, run.regime, run.n_perturbed, run.preset, run.field, run.capacity, run.learning_rate)
        if kind in seen:
            continue
        seen.add(kind)
        made = world(run.world, seed=run.seed)
        run.source(made)
        configs(run, made.graph.n_genes)
        target_graph(made.graph, TARGET_OF[run.regime])
