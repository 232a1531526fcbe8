"""Healthy subjects of many kinds, and the two usual tests of whether a model learns."""

from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import nn

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.altered_pairs import AlteredPairs, partly_measured
from diagnostics.faults.fault import source_of, with_source
from diagnostics.scoring.baselines import MeanPredictor
from gpcp.core.random import stream
from gpcp.model.batch import model_batch
from gpcp.model.config import ModelConfig, preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss
from simulators.exact.bayes import bayes, is_exact
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import world

MECHANISMS = ("linear", "tanh", "hill")
FAMILIES = ("scale_free", "erdos_renyi", "modular")
MODELS = ("default", "seed_perturbed", "per_gene", "mlp", "pooled", "pre_norm")
_RATES = {"seed_perturbed": 1e-2, "pooled": 5e-3}
_N_PAIRS = 20_000
_HABIT_STEPS = 200
_UNSEEN = 1_000_003
"""Added to a seed: a pass that no training sees."""


def _config(name: str, n_genes: int) -> ModelConfig:
    if name in ("default", "seed_perturbed"):
        return preset(name, n_genes)
    if name == "pooled":
        return ModelConfig(n_genes=n_genes, head="pooled", query_form="perturbed_genes")
    return ModelConfig(n_genes=n_genes, norm="pre") if name == "pre_norm" else ModelConfig(n_genes=n_genes, head=name)


def healthy_subject(
    world_name: str, *, regime: Regime, model: str = "default", world_seed: int = 0, model_seed: int = 0
) -> Subject:
    """A model with the units of its pairs, AdamW at a usable rate, the library's loss, and the world's exact answer.

    Parameters
    ----------
    world_name : str
    regime : {"matched", "counterfactual", "interventional"}
    model : str
        One of :data:`MODELS`.
    world_seed, model_seed : int
    """
    scm = world(world_name, seed=world_seed).scm
    pairs = SimulatedPairs(scm=scm, regime=regime, n_pairs=_N_PAIRS)
    made = GenePerturbationTransformer(_config(model, len(pairs.vocab)), seed=model_seed)
    made.learn_units(model_batch(next(pairs.pairs(batch_size=2048, seed=0)))[0])
    rate = _RATES.get(model, 1e-2)

    def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)

    return Subject(
        pairs=pairs,
        held_out=AlteredPairs(source=pairs, further=_UNSEEN),
        model=made,
        loss=masked_loss,
        make_optimizer=make_optimizer,
        exact=partial(bayes, scm, regime) if is_exact(scm, regime) else None,
        name=f"{model} on {world_name} ({regime}, world {world_seed}, weights {model_seed})",
    )


def healthy_numbered(number: int, *, seed: int = 0) -> Subject:
    """One of the many: its parts go round, its world, size and weights are its own."""
    rng = stream(seed, "healthy", number)
    model = MODELS[number % len(MODELS)]
    mechanism = MECHANISMS[number // len(MODELS) % len(MECHANISMS)]
    regime = REGIMES[int(rng.integers(len(REGIMES)))]
    name = f"{FAMILIES[int(rng.integers(len(FAMILIES)))]}/{int(rng.integers(6, 13))}"
    return healthy_subject(
        name if mechanism == "linear" else f"{name}/{mechanism}",
        regime=regime,
        model=model,
        world_seed=number,
        model_seed=int(rng.integers(2**31)),
    )


def ground_of(seed: int, *, not_in: tuple[Regime, ...] = (), masked: bool = False) -> Subject:
    """The healthy subject in which a fault is planted: another world, mechanism and regime for each seed.

    Where ``masked`` every other pair leaves some genes unmeasured: a mask that is wrong does harm there alone.
    """
    order: tuple[Regime, ...] = ("counterfactual", "interventional", "matched")
    regimes: list[Regime] = [one for one in order if one not in not_in]
    mechanism = ("", "/tanh", "/hill")[seed % 3]
    ground = healthy_subject(
        f"{FAMILIES[seed % 3]}/10{mechanism}", regime=regimes[seed % len(regimes)], world_seed=seed, model_seed=seed
    )
    if not masked:
        return ground
    pairs = AlteredPairs(source=source_of(ground), alter=partly_measured)
    # The exact answer is known of cells that are measured whole.
    return replace(with_source(ground, pairs, replace(pairs, further=_UNSEEN)), exact=None)


def overfits_one_batch(subject: Subject, *, seed: int = 0) -> bool:
    """The first habit: 16 pairs, the subject's own step and rate, and a reported loss below a tenth of its start.

    An exception is a failure too, as it is where a user tries this.
    """
    probe = Probe(subject, seed=seed)
    try:
        with probe.trial("habit") as (model, optimizer):
            pairs = next(probe.batches("habit", batch_size=16))
            losses = [probe.subject.step(model, optimizer, pairs) for _ in range(_HABIT_STEPS)]
    except (RuntimeError, ValueError):
        return False
    return bool(np.isfinite(losses[-1]) and losses[-1] < 0.1 * abs(losses[0]))


def beats_a_constant(subject: Subject, *, seed: int = 0) -> bool:
    """The second habit: a short training gets below each gene's mean on held-out pairs, by the subject's own loss."""
    probe = Probe(subject, seed=seed)
    try:
        with probe.trial("constant") as (model, optimizer):
            for pairs in islice(probe.batches("constant"), _HABIT_STEPS):
                probe.subject.step(model, optimizer, pairs)
            model.eval()
            held_out = probe.held_out.rows(slice(0, 1024))
            loss = float(subject.composed_loss(model, held_out).detach())
            batch, after_BL = subject.collate(held_out)
            mean_G = torch.as_tensor(MeanPredictor.fit(probe.sample).mean_G, dtype=after_BL.dtype)
            constant_BL = mean_G[batch.token_BL].expand_as(after_BL).clone().requires_grad_()
            baseline = float(subject.scalar_loss(constant_BL, after_BL, batch.scored_BL).detach())
    except (RuntimeError, ValueError):
        return False
    return bool(np.isfinite(loss) and loss < baseline)
