"""The rungs whose pairs come from a world in its own units: counterfactual and interventional, with exact answers."""

from typing import Any

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.graphs.evaluate import primary, read_outs_of
from diagnostics.graphs.scores import target_graph
from diagnostics.inputs.models import Model
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import levels_of
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import concatenate
from gpcp.core.random import seed_of, stream
from simulators.exact.bayes import bayes
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

N_HELD_OUT = 1_000
_N_SAMPLE = 4_000


def known_world(n_genes: int, seed: int) -> World:
    """The world of the rungs whose pairs depend on no cell."""
    return world(f"scale_free/{n_genes}", seed=seed)


def known_pairs(made: World, regime: str, n_pairs: int, n_perturbed: tuple[int, int] | None) -> SimulatedPairs:
    """Pairs of a world, fresh in every pass."""
    return SimulatedPairs(scm=made.scm, regime=regime_of(regime), n_pairs=n_pairs, n_perturbed=n_perturbed)


def known_rung(
    regime: str,
    vocab: GeneVocab,
    model: Model,
    budget: Budget,
    *,
    n_perturbed: tuple[int, int] | None,
    seed: int,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Train on pairs of a known world; loss and recovery between baseline and exact answer."""
    made = known_world(len(vocab), seed)
    pairs = known_pairs(made, regime, budget.n_steps * budget.batch_size, n_perturbed)
    held_out = concatenate(
        known_pairs(made, regime, N_HELD_OUT, n_perturbed).pairs(batch_size=N_HELD_OUT, seed=seed_of(seed, "held out"))
    )
    sample = concatenate(
        known_pairs(made, regime, _N_SAMPLE, n_perturbed).pairs(batch_size=_N_SAMPLE, seed=seed_of(seed, "sample"))
    )
    exact = bayes(made.scm, regime_of(regime), held_out)
    levels = levels_of(sample, held_out, exact=exact, ridge_on=None)
    subject = subject_of_model(model, pairs, budget, seed=seed)
    train(subject, budget, seed=seed, on_step=on_step)
    predictor = SubjectPredictor(subject=subject, vocab=made.graph.vocab)
    loss = losses_of(predictor, held_out).loss
    found, _ = read_outs_of(
        predictor, made, regime_of(regime), n_perturbed=pairs.perturbed_range, dose_sd=pairs.dose_sd,
        held_out=held_out, rng=stream(seed, "readings"),
    )  # fmt: skip
    main = primary(found)
    true_GG = target_graph(made.graph, main.target)
    return {
        "loss": loss,
        "baseline": levels.baseline,
        "ceiling": levels.bayes_risk,
        "skill": levels.skill(loss),
        "recovery": main.auprc,
        "recovery_ceiling": main.ceiling_auprc,
        "recovery_baseline": float(true_GG.sum() / (true_GG.size - len(true_GG))),
        "facts": {"world": made.name, "target": main.target, "read_out": main.name},
    }
