"""Cells for the outsiders' cases, made in a few lines of numpy: a linear structural model, perturbed gene by gene.

Nothing of the library is used here, so that the cases are code as people outside write it.
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@final
@dataclass(frozen=True, kw_only=True)
class Cells:
    """Pairs of cells as arrays.

    Parameters
    ----------
    before, after : float32, (pairs, genes)
        Expression in logarithmic units, 0 where unmeasured.
    gene : int64, (pairs, perturbations)
        Column of each perturbed gene.
    perturbed : bool, (pairs, genes)
        The same, as a mask.
    dose : float32, (pairs, genes)
        Change of each perturbed gene against its value before; 0 elsewhere.
    measured : bool, (pairs, genes)
    cell_type : int64, (pairs,)
    weight : float64, (genes, genes)
        ``weight[i, j]`` of the edge ``i -> j``.
    """

    before: Floats
    after: Floats
    gene: NDArray[np.int64]
    perturbed: Bools
    dose: Floats
    measured: Bools
    cell_type: NDArray[np.int64]
    weight: NDArray[np.float64]

    def rows(self, which: slice | NDArray[np.int64]) -> "Cells":
        """Some of the pairs."""
        return Cells(
            weight=self.weight,
            **{name: getattr(self, name)[which] for name in Cells.__dataclass_fields__ if name != "weight"},
        )

    def split(self, n_held_out: int) -> tuple["Cells", "Cells"]:
        """Training pairs, and the last ``n_held_out``."""
        return self.rows(slice(0, -n_held_out)), self.rows(slice(-n_held_out, None))


def graph(n_genes: int, *, n_parents: float = 1.5, seed: int = 0) -> NDArray[np.float64]:
    """Weights of a random acyclic graph, (genes, genes); genes are in a causal order hidden by a permutation."""
    rng = np.random.default_rng(seed)
    edges = np.triu(rng.random((n_genes, n_genes)) < 2 * n_parents / max(n_genes - 1, 1), 1)
    weight = edges * rng.uniform(0.5, 1.0, edges.shape) * rng.choice([-1, 1], edges.shape)
    # Effects stay of the size of the noise, however many parents a gene has.
    weight = weight / np.sqrt(np.maximum((weight != 0).sum(axis=0, keepdims=True), 1))
    order = rng.permutation(n_genes)
    return weight[np.ix_(order, order)]


def cells(
    n_pairs: int = 4096,
    n_genes: int = 20,
    *,
    seed: int = 0,
    noise: Literal["same", "fresh"] = "same",
    dose: Literal["fixed", "drawn"] = "drawn",
    n_perturbed: int = 1,
    p_measured: float = 1.0,
    p_control: float = 0.0,
    noise_sd: float = 0.5,
    n_types: int = 2,
    world: int = 0,
) -> Cells:
    """Pairs of a cell before and after some genes were moved.

    Parameters
    ----------
    n_pairs, n_genes : int
    seed : int
        Of the cells.
    noise : "same" or "fresh"
        Whether the cell after has the noise of the cell before (a counterfactual), or is another cell of its type, as
        in a screen.
    dose : "fixed" or "drawn"
        Every perturbed gene falls by 2, so that which gene says all; or it changes by a number between -3 and 3.
    n_perturbed : int
        Genes perturbed in each pair.
    p_measured, p_control : float
        Share of genes measured in a pair (perturbed ones always are), and of pairs in which nothing is perturbed.
    noise_sd : float
    n_types : int
        Cell types, which differ in the genes' means.
    world : int
        Seed of the graph and of the means.
    """
    rng = np.random.default_rng([seed, world, 17])
    weight = graph(n_genes, seed=world)
    of_world = np.random.default_rng([world, 29])
    offset = of_world.uniform(2.0, 4.0, n_genes) + 0.5 * of_world.standard_normal((n_types, n_genes))
    total = np.linalg.inv(np.eye(n_genes) - weight)
    cell_type = rng.integers(n_types, size=n_pairs)

    def drawn() -> NDArray[np.float64]:
        return offset[cell_type] + noise_sd * rng.standard_normal((n_pairs, n_genes)) @ total

    before = drawn()
    gene = np.argsort(rng.random((n_pairs, n_genes)), axis=1)[:, :n_perturbed]
    perturbed = np.zeros((n_pairs, n_genes), dtype=np.bool_)
    np.put_along_axis(perturbed, gene, True, axis=1)
    perturbed[rng.random(n_pairs) < p_control] = False
    moved = np.full((n_pairs, n_genes), -2.0) if dose == "fixed" else rng.uniform(-3, 3, (n_pairs, n_genes))
    change = np.where(perturbed, moved, 0.0)
    after = before.copy() if noise == "same" else drawn()
    # Perturbed genes are held at their new value; the others follow their parents' changes.
    held = np.where(perturbed, before + change, 0.0)
    for row in range(n_pairs):
        at = np.flatnonzero(perturbed[row])
        if len(at):
            shift = held[row, at] - after[row, at]
            rest = weight.copy()
            rest[:, at] = 0.0
            impulse = np.zeros(n_genes)
            impulse[at] = shift
            after[row] += impulse @ np.linalg.inv(np.eye(n_genes) - rest)
    measured = (rng.random((n_pairs, n_genes)) < p_measured) | perturbed
    return Cells(
        before=np.where(measured, before, 0).astype(np.float32),
        after=np.where(measured, after, 0).astype(np.float32),
        gene=gene.astype(np.int64),
        perturbed=perturbed,
        dose=change.astype(np.float32),
        measured=measured,
        cell_type=cell_type.astype(np.int64),
        weight=weight,
    )
