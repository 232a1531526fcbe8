"""Families that gene graphs without cycles are drawn from.

Every family shuffles its labels: a gene's token says nothing about its place in the causal order. Pairs of genes
are drawn row by row, so that no array of all pairs is ever in memory.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.graphs.gene_graph import GeneGraph

WEIGHT_RANGE = (0.5, 2.0)
"""Edge weights are drawn with a random sign and a size uniform between these, before any scaling."""


def simulated_vocab(n_genes: int) -> GeneVocab:
    """Ids of an imaginary species in Ensembl's form: ``ENSSIMG00000000000`` and so on.

    Raises
    ------
    InputError
        ``n_genes`` is below 1.
    """
    if n_genes < 1:
        raise InputError(f"n_genes is {n_genes}: it must be at least 1")
    return GeneVocab(feature_id=tuple(f"ENSSIMG{gene:011d}" for gene in range(n_genes)))


def drawn_weights(shape: int | tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Signed weights, uniform on +-[.5, 2], float64 of the given shape."""
    size = rng.uniform(*WEIGHT_RANGE, size=shape)
    return np.where(rng.random(shape) < 0.5, -size, size)


def _labelled(
    n_genes: int, regulator_E: NDArray[np.integer], target_E: NDArray[np.integer], rng: np.random.Generator
) -> GeneGraph:
    """Weigh the edges of a graph, given by regulator and by target within one, and shuffle its labels."""
    label_G = rng.permutation(n_genes)
    return GeneGraph.of_edges(
        vocab=simulated_vocab(n_genes),
        regulator_E=label_G[regulator_E],
        target_E=label_G[target_E],
        weight_E=drawn_weights(len(regulator_E), rng),
    )


def _drawn_pairs(
    n_genes: int, p_of: Callable[[int], float | NDArray[np.float64]], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a gene and a later one, each with its probability: ``p_of`` a gene is one for all others, or (G,)."""
    targets: list[NDArray[np.int64]] = []
    for gene in range(n_genes):
        joined_G = rng.random(n_genes) < p_of(gene)
        targets.append(np.flatnonzero(joined_G[gene + 1 :]) + gene + 1)
    return np.repeat(np.arange(n_genes), [len(found) for found in targets]), np.concatenate(targets)


def _n_edges(n_genes: int, degree: float) -> float:
    """Expected number of edges where each gene has ``degree`` neighbours on average."""
    _check_size(n_genes)
    if not 0 <= degree <= n_genes - 1:
        raise InputError(f"degree is {degree}: with {n_genes} genes it must lie in 0 .. {n_genes - 1}")
    return degree * n_genes / 2


def _check_size(n_genes: int) -> None:
    if n_genes < 2:
        raise InputError(f"n_genes is {n_genes}: a graph family needs at least 2")


def erdos_renyi(n_genes: int, *, degree: float = 4.0, rng: np.random.Generator) -> GeneGraph:
    """Each pair of genes is joined with the same probability, directed along a random order.

    Parameters
    ----------
    n_genes : int
    degree : float
        Expected number of neighbours (parents and children together) of a gene, so ``n_genes * degree / 2`` edges.
    rng : np.random.Generator

    Raises
    ------
    InputError
        Fewer than two genes, or a degree that so few genes cannot have.
    """
    p = _n_edges(n_genes, degree) / (n_genes * (n_genes - 1) / 2)
    return _labelled(n_genes, *_drawn_pairs(n_genes, lambda _: p, rng), rng)


def scale_free(n_genes: int, *, degree: float = 4.0, rng: np.random.Generator) -> GeneGraph:
    """Regulators that have many targets gain more: Barabasi and Albert's growth, directed from old to new.

    Each new gene gets ``degree / 2`` parents (a random rounding of it where it is not whole), drawn without
    replacement with probability proportional to the number of neighbours that they have; the hubs are therefore
    regulators. Parameters and errors as in :func:`erdos_renyi`.
    """
    _n_edges(n_genes, degree)
    parents_of = [np.empty(0, dtype=np.int64)]
    neighbours_G = np.zeros(n_genes)
    for gene in range(1, n_genes):
        n_parents = min(gene, int(np.floor(degree / 2 + rng.random())))
        parents = np.empty(0, dtype=np.int64)
        if n_parents:
            pull = np.maximum(neighbours_G[:gene], 1.0)  # a first gene has no neighbour yet and can still be drawn
            parents = rng.choice(gene, size=n_parents, replace=False, p=pull / pull.sum())
            neighbours_G[parents] += 1
            neighbours_G[gene] = n_parents
        parents_of.append(parents)
    regulator_E = np.concatenate(parents_of)
    target_E = np.repeat(np.arange(n_genes), [len(parents) for parents in parents_of])
    by_regulator_E = np.lexsort((target_E, regulator_E))
    return _labelled(n_genes, regulator_E[by_regulator_E], target_E[by_regulator_E], rng)


def modular(
    n_genes: int,
    *,
    degree: float = 4.0,
    module_size: int = 10,
    share_between: float = 0.1,
    rng: np.random.Generator,
) -> GeneGraph:
    """Modules of about ``module_size`` genes with many edges inside and few between.

    Parameters
    ----------
    n_genes, degree, rng
        As in :func:`erdos_renyi`.
    module_size : int
        Genes of a module; there are always at least two modules.
    share_between : float
        Expected share of the edges that run between modules; larger where the modules cannot hold the rest.

    Raises
    ------
    InputError
        As in :func:`erdos_renyi`, or ``module_size`` below 1, or ``share_between`` outside 0 .. 1.
    """
    n_edges = _n_edges(n_genes, degree)
    if module_size < 1 or not 0 <= share_between <= 1:
        raise InputError(
            f"module_size is {module_size} and share_between {share_between}: at least 1 and in 0 .. 1 are needed"
        )
    module_G = rng.permutation(np.arange(n_genes) % max(2, round(n_genes / module_size)))
    size_module = np.bincount(module_G)
    n_within = int((size_module * (size_module - 1) // 2).sum())
    n_between = n_genes * (n_genes - 1) // 2 - n_within
    inside = min(n_within, max((1 - share_between) * n_edges, n_edges - n_between))
    p_within, p_between = inside / max(1, n_within), (n_edges - inside) / max(1, n_between)

    def p_of(gene: int) -> NDArray[np.float64]:
        return np.where(module_G == module_G[gene], p_within, p_between)

    return _labelled(n_genes, *_drawn_pairs(n_genes, p_of, rng), rng)


def chain(n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """Each gene acts on the next: ``a -> b -> c``; at least two genes."""
    _check_size(n_genes)
    return _labelled(n_genes, np.arange(n_genes - 1), np.arange(1, n_genes), rng)


def fork(n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """One gene acts on all others: ``a <- b -> c``; at least two genes."""
    _check_size(n_genes)
    others = np.arange(1, n_genes)
    return _labelled(n_genes, np.zeros_like(others), others, rng)


def collider(n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """All other genes act on one: ``a -> b <- c``; at least two genes."""
    _check_size(n_genes)
    others = np.arange(1, n_genes)
    return _labelled(n_genes, others, np.zeros_like(others), rng)


class _WithDegree(Protocol):
    def __call__(self, n_genes: int, *, degree: float = ..., rng: np.random.Generator) -> GeneGraph: ...


DENSE_FAMILIES: dict[str, _WithDegree] = {"erdos_renyi": erdos_renyi, "scale_free": scale_free, "modular": modular}
"""Families that take a degree."""


class _Shape(Protocol):
    def __call__(self, n_genes: int, *, rng: np.random.Generator) -> GeneGraph: ...


SHAPES: dict[str, _Shape] = {"chain": chain, "fork": fork, "collider": collider}
"""Families whose edges are fixed up to the labels."""
