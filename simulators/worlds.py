"""Worlds by name, such as ``scale_free/20``: one name and one seed give one graph and one SCM.

A name is ``family/n_genes`` and then, in any order, a mechanism, a noise and a scaling, such as
``erdos_renyi/50/hill/laplace``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import numpy as np

from gpcp.core.errors import InputError, nearest
from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES, SHAPES
from simulators.graphs.gene_graph import GeneGraph
from simulators.graphs.networks import network_subgraph, read_network
from simulators.graphs.sortability import Sortability, sortability
from simulators.scm.constants import SCALINGS, Scaling
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.noises import NOISES
from simulators.scm.scm import Scm, build_scm

NETWORK = "network"
FAMILIES: tuple[str, ...] = (*DENSE_FAMILIES, *SHAPES, NETWORK)
"""Where a world's graph comes from; ``network`` samples a real one from a regulator-target table."""

DEGREE = 4.0
"""Mean number of neighbours in the families that have a choice; fewer than five genes are all joined."""

_PARTS: dict[str, Sequence[str]] = {"mechanism": tuple(MECHANISMS), "noise": tuple(NOISES), "scaling": SCALINGS}
_DEFAULT = {"mechanism": "linear", "noise": "gaussian", "scaling": "iscm"}


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class World:
    """A graph, the SCM on it, and the name and seed that give both again.

    Parameters
    ----------
    name : str
        Family, number of genes, and the parts that are not the defaults in the order mechanism, noise, scaling.
    seed : int
    graph : GeneGraph
    scm : Scm
    """

    name: str
    seed: int
    graph: GeneGraph
    scm: Scm

    @property
    def smallest_effect(self) -> float:
        """Smallest size of a direct effect in the units of expression: what a threshold on edges must lie below.

        Linear worlds only (InputError otherwise); infinite where there is no edge.
        """
        size_GG = np.abs(self.scm.effective_weight_GG)
        return float(size_GG[self.graph.adjacency_GG].min(initial=np.inf))

    def sortability(self, *, n_cells: int | None = None) -> Sortability:
        """How much of the causal order variances and R2 reveal, from ``n_cells`` fresh cells.

        The default is 20 G cells, and at least 2,000.
        """
        n = max(2_000, 20 * self.graph.n_genes) if n_cells is None else n_cells
        return sortability(self.scm.sample(n, generator("sortability", self.name, self.seed)), self.graph)


def world(name: str, *, seed: int = 0, network: Path | str | None = None) -> World:
    """The world of a name and a seed.

    Parameters
    ----------
    name : str
        ``family/n_genes[/mechanism][/noise][/scaling]``, the optional parts in any order.
    seed : int
        Decides graph, weights and all that the mechanism draws.
    network : path, optional
        The regulator-target table of a ``network/...`` world.

    Raises
    ------
    InputError
        The name cannot be read; the message names the nearest valid part.
    """
    family, n_genes, parts = _parsed(name)
    if (network is not None) != (family == NETWORK):
        raise InputError(
            f"world {name!r} needs network=, the path of a regulator-target table"
            if family == NETWORK
            else f"network= was given, but the family of world {name!r} is {family}, not {NETWORK}"
        )
    # Mechanism, noise and scaling are no part of the key: worlds that differ only in them share their graph.
    rng = generator("world", family, n_genes, seed)
    graph = _graph(family, n_genes, network, rng)
    scm = build_scm(
        graph,
        mechanism=parts["mechanism"],
        noise=parts["noise"],
        scaling=cast(Scaling, parts["scaling"]),
        rng=generator("scm", family, n_genes, seed),
    )
    shown = [parts[kind] for kind in _PARTS if parts[kind] != _DEFAULT[kind]]
    return World(name="/".join([family, str(n_genes), *shown]), seed=seed, graph=graph, scm=scm)


def _parsed(name: str) -> tuple[str, int, dict[str, str]]:
    """Family, number of genes, and the name of every part."""
    family, _, rest = name.partition("/")
    size, *options = rest.split("/")
    if family not in FAMILIES:
        raise InputError(f"world {name!r} has no known family: {family!r}; {nearest(family, FAMILIES)}")
    if not (size.isascii() and size.isdigit() and int(size) >= 2):
        raise InputError(f"world {name!r} has {size!r} as its number of genes: write 2 or more, such as {family}/20")
    parts: dict[str, str] = {}
    for option in options:
        kind = next((kind for kind, known in _PARTS.items() if option in known), None)
        if kind is None:
            known = [known for names in _PARTS.values() for known in names]
            raise InputError(f"world {name!r} has an unknown part {option!r}; {nearest(option, known)}")
        if kind in parts:
            raise InputError(f"world {name!r} names two of one kind, {parts[kind]} and {option}: keep one {kind}")
        parts[kind] = option
    return family, int(size), _DEFAULT | parts


def _graph(family: str, n_genes: int, network: Path | str | None, rng: np.random.Generator) -> GeneGraph:
    if network is not None:
        return network_subgraph(read_network(network), n_genes, rng=rng)
    if family in SHAPES:
        return SHAPES[family](n_genes, rng=rng)
    return DENSE_FAMILIES[family](n_genes, degree=min(DEGREE, n_genes - 1), rng=rng)
