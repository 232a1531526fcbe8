"""The rungs whose pairs come from a world in its own units, perturbed by the screen's perturbations by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.known import known_world
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.commands.ladder.rungs.screens.recovery import agreement, responses
from diagnostics.inputs.models import Model
from diagnostics.scoring.errors import errors_of, losses_of
from diagnostics.scoring.levels import levels_of
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate, rebatched
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.core.random import seed_of, stream
from gpcp.core.skill import skill
from simulators.exact.laws import total_effect_GG
from simulators.scm.scm import Scm
from simulators.twins.screens.planted import EffectSizes, direct_of, size_of_genes, with_targets

KNOWN_SIZE = 1.0
"""Root mean square effect of each perturbation of a known world, in standard deviations."""

N_HELD_OUT, N_SAMPLE, N_CONTROLS = 1_000, 4_000, 64
_BLOCK = 256


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NamedPairs:
    """Pairs of a linear world under perturbations with names, fresh in every pass.

    Meets :class:`gpcp.core.pairs.PairSource`.

    Parameters
    ----------
    scm : Scm
    applied : AppliedPerturbations
        What can be done to a cell, a row each; all are as frequent.
    effect_PG : float64, (P, G)
        The mean change that each makes.
    n_pairs : int
    same_noise : bool
        Whether the cell after is the cell before, perturbed; else a fresh one.
    """

    scm: Scm
    applied: AppliedPerturbations
    effect_PG: NDArray[np.float64]
    n_pairs: int
    same_noise: bool

    @property
    def vocab(self) -> GeneVocab:
        """Of the world."""
        return self.scm.graph.vocab

    @property
    def perturbations(self) -> PerturbationVocab:
        """All that a pass may give."""
        return self.applied.vocab

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass; the same seed gives the same bytes whatever the batch size."""
        return rebatched(self._blocks(seed), batch_size=batch_size)

    def _blocks(self, seed: int) -> Iterator[PairBatch]:
        for start in range(0, self.n_pairs, _BLOCK):
            n = min(_BLOCK, self.n_pairs - start)
            rng = stream(seed, "named pairs", start)
            before_BG = self.scm.sample(n, rng)
            row_B = rng.integers(len(self.applied), size=n)
            after_BG = (before_BG if self.same_noise else self.scm.sample(n, rng)) + self.effect_PG[row_B]
            applied = self.applied.rows(row_B)
            id_B = np.arange(start, start + n, dtype=np.int64)
            yield PairBatch(
                vocab=self.vocab,
                before_BG=np.ascontiguousarray(before_BG, dtype=np.float32),
                after_BG=np.ascontiguousarray(after_BG, dtype=np.float32),
                measured_BG=np.ones(before_BG.shape, dtype=np.bool_),
                perturbed_BG=applied.targets_BG(len(self.vocab)),
                before_id_B=2 * id_B,
                after_id_B=2 * id_B + 1,
                applied=applied,
            )

    def exact(self, pairs: PairBatch) -> NDArray[np.float64]:
        """The best answer to some pairs: the cell before, or the mean of all cells, with the effect on it, (B, G)."""
        assert pairs.applied is not None, "every pair has one"
        row_of = {label: row for row, label in enumerate(self.applied.labels())}
        effect_BG = self.effect_PG[[row_of[label] for label in pairs.applied.labels()]]
        return effect_BG + (pairs.before_BG if self.same_noise else 0.0)


def distinct(applied: AppliedPerturbations) -> AppliedPerturbations:
    """What can be done to a cell: each perturbation or combination once, no control."""
    labels = np.array(applied.labels(), dtype=np.str_)
    is_perturbed = ~applied.is_control_B
    _, first = np.unique(labels[is_perturbed], return_index=True)
    return applied.rows(np.flatnonzero(is_perturbed)[first])


def named_pairs(
    vocab: GeneVocab, applied: AppliedPerturbations, *, same_noise: bool, n_pairs: int, seed: int
) -> NamedPairs:
    """Pairs of a known world in which each perturbation has an effect of :data:`KNOWN_SIZE`.

    A measured target is one of the genes that act on others most; another acts on a few drawn genes.
    """
    made = known_world(len(vocab), seed)
    n = len(applied.vocab)
    sizes = EffectSizes(size_A=np.full(n, KNOWN_SIZE), own_A=np.zeros(n), clear_AG=np.zeros((n, len(vocab))))
    world = with_targets(made, size_of_genes(sizes, applied.vocab), seed)
    direct_AG = direct_of(world, applied.vocab, sizes, np.ones(len(vocab)), seed)
    can_be_done = distinct(applied)
    padded_AG = np.concatenate([direct_AG @ total_effect_GG(world.scm), np.zeros((1, len(vocab)))])
    return NamedPairs(
        scm=world.scm,
        applied=can_be_done,
        effect_PG=padded_AG[can_be_done.token_BA].sum(axis=1),
        n_pairs=n_pairs,
        same_noise=same_noise,
    )


def named_rung(
    regime: str,
    vocab: GeneVocab,
    applied: AppliedPerturbations,
    model: Model,
    budget: Budget,
    *,
    seed: int,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Train on such pairs; loss between baseline and exact answer, and how well the model's responses agree."""

    def made(n_pairs: int) -> NamedPairs:
        return named_pairs(vocab, applied, same_noise=regime == "counterfactual", n_pairs=n_pairs, seed=seed)

    pairs = made(budget.n_steps * budget.batch_size)
    sample = concatenate(made(N_SAMPLE).pairs(batch_size=N_SAMPLE, seed=seed_of(seed, "sample")))
    held_out = concatenate(made(N_HELD_OUT).pairs(batch_size=N_HELD_OUT, seed=seed_of(seed, "held out")))
    levels = levels_of(sample, held_out, ridge_on=None)
    ceiling = errors_of(pairs.exact(held_out), held_out).loss
    subject = subject_of_model(model, pairs, budget, seed=seed)
    train(subject, budget, seed=seed, on_step=on_step)
    predictor = SubjectPredictor(subject=subject, vocab=pairs.vocab)
    loss = losses_of(predictor, held_out).loss
    control_BG = pairs.scm.sample(N_CONTROLS, stream(seed, "controls that are asked")).astype(np.float32)
    found_PG = responses(predictor, control_BG, pairs.applied)
    return {
        "loss": loss,
        "baseline": levels.baseline,
        "ceiling": ceiling,
        "skill": skill(loss, baseline=levels.baseline, best=ceiling),
        "recovery": agreement(found_PG, pairs.effect_PG, pairs.applied.targets_BG(len(vocab))),
        "recovery_ceiling": 1.0,
        "recovery_baseline": 0.0,
        "facts": {"n_perturbations": len(pairs.applied), "size": KNOWN_SIZE},
    }
