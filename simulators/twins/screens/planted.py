"""What a twin's perturbations do to its world, so that once measured they show the effects of the real ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.core.random import generator
from simulators.exact.laws import total_effect_GG
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.scm import build_scm
from simulators.twins.screens.effects import Effects
from simulators.worlds import World

LARGEST_EFFECT = 5.0
"""Standard deviations: a larger change of a gene is no longer seen, it is off or at its highest value."""

REFERENCE_EFFECT = 0.2
"""Root mean square effect of a perturbation, in standard deviations, where real ones show no more than chance."""

LEAST_EFFECT = 1e-6
"""Less is none."""

_N_DIRECT = 3
"""Genes on which a target that is no measured gene acts directly, where none responds clearly."""

_CLEAR = 3.0
"""Standard errors beyond which a gene responds clearly."""

_LEAST_THROUGH = 0.1


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EffectSizes:
    """What each perturbation is to show, once measured.

    Parameters
    ----------
    size_A, own_A : float64, (A,)
        Root mean square effect on genes that are no targets, and the effect on its target, where that is measured.
    clear_AG : float64, (A, G)
        Effects that are clear; 0 elsewhere.
    """

    size_A: NDArray[np.float64]
    own_A: NDArray[np.float64]
    clear_AG: NDArray[np.float64]


def sizes_of(found: Effects, applied: AppliedPerturbations, *, reference: bool = False) -> EffectSizes:
    """The sizes of some effects.

    Of a perturbation that occurs in combinations alone: those of the smallest over the root of its number of parts.
    """
    tokens = dict(zip(applied.labels(), applied.tokens(), strict=True))
    size_A, own_A = np.zeros(len(applied.vocab)), np.zeros(len(applied.vocab))
    clear_AG = np.zeros((len(applied.vocab), found.effect_PG.shape[1]))
    parts_A = np.full(len(applied.vocab), np.iinfo(np.int64).max)
    clear_PG = (np.abs(found.effect_PG) > _CLEAR * found.error_PG) & ~found.target_PG
    for place, label in enumerate(found.labels):
        for token in tokens[label]:
            if len(tokens[label]) < parts_A[token]:
                parts_A[token] = len(tokens[label])
                size_A[token] = found.size_P[place] / np.sqrt(parts_A[token])
                clear_AG[token] = np.where(clear_PG[place], found.effect_PG[place], 0.0)
                gene = applied.vocab.gene[token]
                own_A[token] = found.effect_PG[place, gene] if gene >= 0 else 0.0
    if reference:
        size_A, clear_AG = np.full(len(size_A), REFERENCE_EFFECT), np.zeros(clear_AG.shape)
    return EffectSizes(size_A=size_A, own_A=own_A, clear_AG=clear_AG)


def size_of_genes(sizes: EffectSizes, vocab: PerturbationVocab) -> Mapping[int, float]:
    """The effect that each measured target is to show on other genes, by its token among genes."""
    size: dict[int, float] = {}
    for token, gene in enumerate(vocab.gene):
        if gene >= 0:
            size[gene] = max(size.get(gene, 0.0), float(sizes.size_A[token]))
    return size


def with_targets(world: World, size: Mapping[int, float], seed: int) -> World:
    """The same graph with other genes at its nodes: targets of large effect act on others most, those of none least."""
    total_GG = total_effect_GG(world.scm)
    np.fill_diagonal(total_GG, 0.0)
    node_G = np.argsort(-(total_GG**2).sum(axis=1), kind="stable")
    targets = sorted(size, key=lambda gene: (-size[gene], gene))
    n_acting = sum(size[gene] > 0 for gene in targets)
    gene_of = np.full(len(node_G), -1, dtype=np.int64)
    gene_of[node_G[:n_acting]] = targets[:n_acting]
    gene_of[node_G[len(node_G) - len(targets) + n_acting :]] = targets[n_acting:]
    rest = np.setdiff1d(np.arange(len(node_G)), targets)
    gene_of[gene_of < 0] = rest
    graph = world.graph
    moved = GeneGraph.of_edges(
        vocab=graph.vocab,
        regulator_E=gene_of[graph.regulator_E],
        target_E=gene_of[graph.target_E],
        weight_E=graph.weight_E,
    )
    scm = build_scm(moved, rng=generator("scm of a screen's twin", len(gene_of), seed))
    return World(name=world.name, seed=world.seed, graph=scm.graph, scm=scm)


def direct_of(
    world: World, vocab: PerturbationVocab, sizes: EffectSizes, through_G: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Directions of all perturbations, scaled to the real sizes by what the assay lets through."""
    total_GG = total_effect_GG(world.scm)
    size_A, own_A, n_genes = sizes.size_A, sizes.own_A, len(through_G)
    direct_AG = np.zeros((len(vocab), n_genes))
    for token, gene in enumerate(vocab.gene):
        if gene >= 0:
            direct_AG[token, gene] = _sign(vocab.kind[token], float(own_A[token]))
        elif sizes.clear_AG[token].any():
            direct_AG[token] = sizes.clear_AG[token] / np.maximum(through_G, _LEAST_THROUGH)
        else:
            rng = generator("direct effects of a screen's twin", seed, vocab.target[token], vocab.kind[token])
            some = rng.permutation(n_genes)[:_N_DIRECT]
            direct_AG[token, some] = rng.standard_normal(len(some))
    effect_AG = direct_AG @ total_GG
    shown_AG = through_G * effect_AG
    gene_A = np.array(vocab.gene)
    shown_AG[gene_A >= 0, gene_A[gene_A >= 0]] = 0.0
    shown_A = np.sqrt((shown_AG**2).sum(axis=1) / np.maximum(n_genes - (gene_A >= 0), 1))
    scale_A = np.where(shown_A > LEAST_EFFECT, size_A / np.maximum(shown_A, LEAST_EFFECT), 0.0)
    # A target that does nothing to others is changed itself all the same.
    alone_A = (size_A == 0) & (gene_A >= 0)
    scale_A = np.where(alone_A, np.abs(own_A) / np.maximum(through_G[gene_A], _LEAST_THROUGH), scale_A)
    return direct_AG * np.minimum(scale_A, most_scale_A(effect_AG))[:, None]


def most_scale_A(effect_AG: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much each effect can be multiplied up to :data:`LARGEST_EFFECT`, (A,)."""
    return LARGEST_EFFECT / np.maximum(np.abs(effect_AG).max(axis=1), LEAST_EFFECT)


def _sign(kind: str, own: float) -> float:
    if kind in ("knocked down", "knocked out"):
        return -1.0
    return 1.0 if kind == "activated" or own > 0 else -1.0
