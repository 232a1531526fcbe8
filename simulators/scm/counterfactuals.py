"""The same cells had some genes been set: by the total effects of these genes where the world is linear.

``x' = x + (values - x_set) effects``, where ``effects`` has a row for each gene that is set: its total effects once the
edges into all of these genes are cut. Only descendants are touched, no noise is needed, and each of their values
costs as many products as genes are set.
"""

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from simulators.scm.interventions import Do
from simulators.scm.mechanisms import Linear
from simulators.scm.scm import Scm

_BLOCK = 1_024  # cells at a time: what is added stays in the cache


def counterfactual(scm: Scm, expression_BG: NDArray[np.float64], do: Do) -> NDArray[np.float64]:
    """What cells of the undisturbed world would have been under ``do``, with the noise that they had.

    Equal, to rounding, to ``scm.expression(scm.noise_of(expression_BG), do)``, which is also what other mechanisms
    than the linear one compute. Genes that are not downstream keep every bit.

    Parameters
    ----------
    scm : Scm
    expression_BG : float64, (B, G)
        As from :meth:`~simulators.scm.scm.Scm.sample` without an intervention.
    do : Do

    Returns
    -------
    float64, (B, G)
        A transposed view of a gene-major array.

    Raises
    ------
    InputError
        The cells have another number of genes, or ``do`` names an unknown one.
    """
    if expression_BG.ndim != 2 or expression_BG.shape[1] != scm.graph.n_genes:
        raise InputError(f"expression_BG has shape {expression_BG.shape}, expected (cells, {scm.graph.n_genes})")
    if not isinstance(scm.mechanism, Linear):
        return scm.expression(scm.noise_of(expression_BG), do)
    perturbed = scm.graph.vocab.tokens(do.genes)
    values = np.broadcast_to(np.asarray(do.values, dtype=np.float64), perturbed.shape)
    reached, effect_reached_perturbed = _cut_effects(scm, scm.mechanism, perturbed)
    after_GB = np.array(expression_BG.T, order="C")
    change_perturbed_B = values[:, None] - after_GB[perturbed]
    for start in range(0, after_GB.shape[1], _BLOCK):
        cells = slice(start, start + _BLOCK)
        after_GB[reached, cells] += effect_reached_perturbed @ change_perturbed_B[:, cells]
    after_GB[perturbed] = values[:, None]
    return after_GB.T


def _cut_effects(
    scm: Scm, mechanism: Linear, perturbed: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The genes downstream of the perturbed ones without themselves, and each one's total effects on them."""
    units = np.eye(len(perturbed))
    effect_of: dict[int, NDArray[np.float64]] = {gene: units[place] for place, gene in enumerate(perturbed.tolist())}
    spread: list[float] = scm.spread_G.tolist()
    order: list[int] = scm.graph.order.tolist()
    reached: list[int] = []
    for gene in order:
        parents = [(parent, weight) for parent, weight in mechanism.edges[gene] if parent in effect_of]
        if not parents or gene in effect_of:
            continue
        effect = np.zeros(len(perturbed))
        for parent, weight in parents:
            seen = spread[parent] if scm.scaling == "standardised" else 1.0
            effect += weight * seen / spread[gene] * effect_of[parent]
        effect_of[gene] = effect
        reached.append(gene)
    found = np.array([effect_of[gene] for gene in reached]).reshape(len(reached), len(perturbed))
    return np.array(reached, dtype=np.int64), found
