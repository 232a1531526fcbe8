"""Real regulatory networks read from a regulator-target table, and subgraphs sampled from them.

Real networks have feedback and unknown signs; what is done about either is said at :func:`network_subgraph`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from simulators.graphs.families import drawn_weights
from simulators.graphs.gene_graph import GeneGraph

SIGNS = {
    **dict.fromkeys(("+", "+1", "1", "activator", "activation", "activates"), 1),
    **dict.fromkeys(("-", "-1", "repressor", "repression", "represses", "inhibition"), -1),
    **dict.fromkeys(("+-", "-+", "?", "0", "", "dual", "unknown"), 0),
}
"""What a sign column may hold, in any case; 0 where the sign is both or unknown."""

SHARE_REGULATORS = 0.25
"""Share of regulators in a sampled module, where the network has them near enough."""

_HEADER = {"regulator", "tf", "source", "gene1", "from"}


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegulatoryNetwork:
    """Who regulates whom, as a table says; cycles are allowed.

    Parameters
    ----------
    genes : tuple of str
        Every gene of the table, each once.
    regulator_E, target_E : int64, (E,)
        Positions in ``genes``; each ordered pair once, never a gene with itself.
    sign_E : int8, (E,)
        1 activates, -1 represses, 0 both or unknown.
    n_self_loops, n_duplicates : int
        Rows of the table that were left out, or merged into another.

    Raises
    ------
    InputError
        The arrays differ in length or dtype.
    """

    genes: tuple[str, ...]
    regulator_E: NDArray[np.int64]
    target_E: NDArray[np.int64]
    sign_E: NDArray[np.int8]
    n_self_loops: int = 0
    n_duplicates: int = 0

    def __post_init__(self) -> None:
        for name, dtype in (("regulator_E", np.int64), ("target_E", np.int64), ("sign_E", np.int8)):
            check_array("RegulatoryNetwork", name, getattr(self, name), self.regulator_E.shape, dtype)
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.genes)

    @property
    def n_edges(self) -> int:
        """Number of different edges."""
        return len(self.regulator_E)


def read_network(path: Path | str) -> RegulatoryNetwork:
    """Read a regulator-target table.

    Each line holds regulator, target and, if there is a third column, a sign (:data:`SIGNS`), separated by tabs,
    commas, semicolons or spaces. Lines that start with ``#``, empty lines and a header are skipped. Self loops are
    left out. Rows that repeat an edge are merged; where they disagree, its sign becomes unknown.

    Raises
    ------
    InputError
        The file is missing, holds no edge, or a line cannot be read; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        siblings = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise InputError(f"network file {str(path)!r} does not exist; {nearest(path.name, siblings)}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"network file {str(path)!r} is not text: give a regulator-target table") from None
    sign_of: dict[tuple[str, str], int] = {}
    n_rows = n_self_loops = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        regulator, target, sign = _row(path, number, line)
        if not sign_of and not n_self_loops and regulator.lower() in _HEADER:
            continue
        n_rows += 1
        if regulator == target:
            n_self_loops += 1
        else:
            value = _sign(path, number, sign)
            earlier = sign_of.setdefault((regulator, target), value)
            sign_of[regulator, target] = value if earlier == value else 0
    if not sign_of:
        raise InputError(f"network file {str(path)!r} holds no edge between two genes")
    token_of = {gene: token for token, gene in enumerate(dict.fromkeys(gene for edge in sign_of for gene in edge))}
    return RegulatoryNetwork(
        genes=tuple(token_of),
        regulator_E=np.array([token_of[regulator] for regulator, _ in sign_of], dtype=np.int64),
        target_E=np.array([token_of[target] for _, target in sign_of], dtype=np.int64),
        sign_E=np.array(list(sign_of.values()), dtype=np.int8),
        n_self_loops=n_self_loops,
        n_duplicates=n_rows - n_self_loops - len(sign_of),
    )


def _row(path: Path, number: int, line: str) -> tuple[str, str, str | None]:
    for separator in ("\t", ",", ";"):
        if separator in line:
            fields = [part.strip() for part in line.split(separator)]
            break
    else:
        fields = re.split(r" +", line.strip())
    if len(fields) < 2 or not fields[0] or not fields[1]:
        raise InputError(f"{path}:{number} is {line[:60]!r}: a regulator and a target are needed")
    return fields[0], fields[1], fields[2] if len(fields) > 2 else None


def _sign(path: Path, number: int, sign: str | None) -> int:
    if sign is None:
        return 0
    if sign.lower() not in SIGNS:
        raise InputError(f"{path}:{number} has the sign {sign!r}; known: {', '.join(filter(None, SIGNS))}")
    return SIGNS[sign.lower()]


def network_subgraph(network: RegulatoryNetwork, n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """A module of a real network as a graph without cycles, its genes under their own names in random order.

    Sampling: grown from a random regulator by the rule of GeneNetWeaver (Marbach et al. 2009, J. Comput. Biol.):
    of the neighbours of the module, one is drawn from the fifth that adds most to its modularity,
    ``edges into the module - neighbours * (neighbours of the module) / (2 E)``. While fewer than a quarter of its
    genes are regulators only regulators are drawn, where the module has any beside it; without that a module is
    one hub and its targets. Where a component is used up, growth starts anew at another regulator.

    Cycles: the edges that close one in a depth-first walk from random starts are left out. Weights: the sign of the
    table, drawn where it is unknown; sizes as in every family.

    Raises
    ------
    InputError
        Fewer than two genes, or more than the network has.
    """
    if not 2 <= n_genes <= network.n_genes:
        raise InputError(f"n_genes is {n_genes}: this network allows 2 .. {network.n_genes}")
    module = _grown_module(network, n_genes, rng)
    position = {int(gene): place for place, gene in enumerate(module)}
    sign_GG = np.zeros((n_genes, n_genes), dtype=np.int8)
    edge_GG = np.zeros((n_genes, n_genes), dtype=np.bool_)
    for regulator, target, sign in zip(
        network.regulator_E.tolist(), network.target_E.tolist(), network.sign_E.tolist(), strict=True
    ):
        if regulator in position and target in position:
            edge_GG[position[regulator], position[target]] = True
            sign_GG[position[regulator], position[target]] = sign
    _remove_back_edges(edge_GG, rng)
    weight_GG = drawn_weights((n_genes, n_genes), rng)
    weight_GG = np.where(sign_GG == 0, weight_GG, np.abs(weight_GG) * sign_GG) * edge_GG
    vocab = GeneVocab(feature_id=tuple(network.genes[int(gene)] for gene in module))
    return GeneGraph(vocab=vocab, weight_GG=weight_GG)


def _grown_module(network: RegulatoryNetwork, n_genes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the module's genes, in random order."""
    neighbours: list[list[int]] = [[] for _ in network.genes]
    for edge in np.stack((network.regulator_E, network.target_E), axis=1):
        one, other = (int(gene) for gene in edge)
        neighbours[one].append(other)
        neighbours[other].append(one)
    degree_network = np.array([len(of) for of in neighbours], dtype=np.float64)
    inside_network = np.zeros(network.n_genes, dtype=np.bool_)
    shared_network = np.zeros(network.n_genes)  # edges between each gene and the module
    regulates_network = np.bincount(network.regulator_E, minlength=network.n_genes) > 0
    starts = rng.permutation(np.flatnonzero(regulates_network)).tolist()
    while inside_network.sum() < n_genes:
        border = np.flatnonzero((shared_network > 0) & ~inside_network)
        if (inside_network & regulates_network).sum() < SHARE_REGULATORS * inside_network.sum() and regulates_network[
            border
        ].any():
            border = border[regulates_network[border]]
        if len(border):
            gain = shared_network[border] - degree_network[border] * degree_network[inside_network].sum() / (
                2 * network.n_edges
            )
            best = border[np.argsort(-gain, kind="stable")[: max(1, len(border) // 5)]]
            gene = int(rng.choice(best))
        else:  # every component holds a regulator, so there is one left
            gene = int(next(start for start in starts if not inside_network[start]))
        inside_network[gene] = True
        np.add.at(shared_network, neighbours[gene], 1)
    return rng.permutation(np.flatnonzero(inside_network))


def _remove_back_edges(edge_GG: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Drop, in place, every edge to a gene that is on the current path of a depth-first walk."""
    n_genes = len(edge_GG)
    state = ["new"] * n_genes
    for start in rng.permutation(n_genes).tolist():
        if state[start] != "new":
            continue
        state[start] = "open"
        path = [(start, iter(np.flatnonzero(edge_GG[start]).tolist()))]
        while path:
            gene, children = path[-1]
            child = next(children, None)
            if child is None:
                state[gene] = "done"
                path.pop()
            elif state[child] == "open":
                edge_GG[gene, child] = False
            elif state[child] == "new":
                state[child] = "open"
                path.append((child, iter(np.flatnonzero(edge_GG[child]).tolist())))
