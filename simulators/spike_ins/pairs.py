"""``SpikedPairs``: pairs of real cells whose second cell receives a perturbation's effect through known weights."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, rebatched
from gpcp.core.random import stream
from simulators.graphs.gene_graph import GeneGraph
from simulators.spike_ins.planted_graph import propagated
from simulators.spike_ins.values import RULES, Rule, changed

_BLOCK = 256
"""Pairs that one stream of random numbers spikes, so that no batch size changes a byte."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SpikedPairs:
    """Pairs of real cells with a known graph planted into them.

    In each pair some genes are perturbed: the second cell holds there the first cell's value, changed by a drawn dose.
    What was done is therefore exactly what a model is given: ``delta_BG`` at ``perturbed_BG``. All other genes of the
    second cell keep their own real value, with the effect of that change through the graph on top of it. Unmeasured
    genes stay unmeasured, though effects run through them.

    Meets :class:`gpcp.core.pairs.PairSource`; :func:`planted_effects` gives the truth of any batch.

    Parameters
    ----------
    real : PairSource
        Pairs of real cells, such as those of :class:`gpcp.pairing.paired.Paired`; which genes are perturbed there does
        not matter.
    graph : GeneGraph
        On the genes of ``real``: see :func:`simulators.spike_ins.planted_graph.planted_graph`.
    n_perturbed : (int, int)
        Fewest and most genes perturbed in a pair, of those that can be; fewer where fewer can.
    dose : (float, float)
        Smallest and largest size of the change of a perturbed gene, uniform, with a random sign; natural logarithms of
        fold changes, or units of the values under the rule ``shift``. (0, 0) is the control without any signal.
    rule : {"fold", "shift"}
        See :data:`simulators.spike_ins.values.Rule`. Under ``fold`` a gene that the first cell does not express
        cannot be perturbed, and a gene that the second does not express stays at 0.

    Raises
    ------
    InputError
        The graph is of other genes, a range is no range, or the rule is unknown.
    """

    real: PairSource
    graph: GeneGraph
    n_perturbed: tuple[int, int] = (1, 1)
    dose: tuple[float, float] = (0.5, 1.5)
    rule: Rule = "fold"

    def __post_init__(self) -> None:
        if self.graph.vocab != self.real.vocab:
            raise InputError("SpikedPairs.graph is of other genes than the pairs: plant it on the pairs' vocab")
        if self.rule not in RULES:
            raise InputError(f"SpikedPairs.rule is {self.rule!r}; {nearest(self.rule, RULES)}")
        if not 1 <= self.n_perturbed[0] <= self.n_perturbed[1]:
            raise InputError(f"SpikedPairs.n_perturbed is {self.n_perturbed}: 1 <= fewest <= most is needed")
        if not 0 <= self.dose[0] <= self.dose[1] < np.inf:
            raise InputError(f"SpikedPairs.dose is {self.dose}: 0 <= smallest <= largest is needed")

    @property
    def vocab(self) -> GeneVocab:
        """Of the real pairs."""
        return self.real.vocab

    @property
    def n_pairs(self) -> int | None:
        """Of the real pairs."""
        return self.real.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass; the same seed gives the same bytes whatever the batch size."""
        return rebatched(self._blocks(seed), batch_size=batch_size)

    def _blocks(self, seed: int) -> Iterator[PairBatch]:
        for number, block in enumerate(rebatched(self.real.pairs(batch_size=_BLOCK, seed=seed), batch_size=_BLOCK)):
            yield self._spiked(block, stream(seed, "spiked pairs", number))

    def _spiked(self, block: PairBatch, rng: np.random.Generator) -> PairBatch:
        perturbed_BG = self._drawn(block, rng)
        size_BG = rng.uniform(*self.dose, size=perturbed_BG.shape)
        dose_BG = np.where(rng.random(perturbed_BG.shape) < 0.5, -size_BG, size_BG)
        before_BG = block.before_BG
        set_BG = changed(before_BG, np.where(perturbed_BG, dose_BG, 0.0), self.rule).astype(np.float32)
        # What acts is what the values show, to the last bit: a model is given no more.
        realised_BG = np.where(perturbed_BG, set_BG - before_BG, np.float32(0)).astype(np.float64)
        effect_BG = propagated(self.graph, realised_BG, perturbed_BG)
        moved_BG = changed(block.after_BG, np.where(effect_BG == 0, 0.0, effect_BG), self.rule).astype(np.float32)
        after_BG = np.where(perturbed_BG, set_BG, np.where(effect_BG == 0, block.after_BG, moved_BG))
        return replace(
            block,
            after_BG=np.where(block.measured_BG, after_BG, np.float32(0)),
            perturbed_BG=perturbed_BG,
            applied=None,
        )

    def _drawn(self, block: PairBatch, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The perturbed genes of each pair."""
        able_BG = block.measured_BG & (block.before_BG > 0) if self.rule == "fold" else block.measured_BG
        key_BG = np.where(able_BG, rng.random(able_BG.shape), 2.0)
        n_B = rng.integers(self.n_perturbed[0], self.n_perturbed[1], size=len(block), endpoint=True)
        rank_BG = np.argsort(np.argsort(key_BG, axis=1), axis=1)
        return able_BG & (rank_BG < n_B[:, None])


def planted_effects(graph: GeneGraph, pairs: PairBatch) -> NDArray[np.float64]:
    """The effect that was planted on every gene of spiked pairs, float64 (B, G): the truth beside their real noise.

    Under the rule ``fold`` it is the natural logarithm of the factor on the level.

    Raises
    ------
    InputError
        The graph is of other genes than the pairs.
    """
    return propagated(graph, pairs.delta_BG.astype(np.float64), pairs.perturbed_BG)
