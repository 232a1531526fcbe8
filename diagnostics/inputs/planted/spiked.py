"""The source ``spike:SOURCE``: pairs of the real cells of another source with a known graph planted into them.

To import this module is to register it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

# Its cells are among those that a graph is planted into.
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.inputs.planted.untreated import untreated_cells
from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.opening.cells import OPTIONS, SCHEMES, Option, Scheme
from gpcp.opening.pairs import MAX_CELLS, OWN_PAIRS, OpenedPairs, PairOptions
from gpcp.pairing.paired import Paired
from gpcp.sources.in_memory import InMemoryCells, sample_cells
from simulators.graphs.families import DENSE_FAMILIES
from simulators.graphs.gene_graph import GeneGraph
from simulators.spike_ins.pairs import SpikedPairs
from simulators.spike_ins.planted_graph import WEIGHTS, planted_graph

DOSE = 1.5
"""Largest size of the change of a perturbed gene, natural logarithm; the smallest is a third of it."""

_OWN = ("spike_seed", "spike_graph", "spike_degree", "spike_weight", "spike_dose")


def spiked_pairs(
    place: str,
    pair_options: PairOptions,
    *,
    genes: Sequence[str] | str | None = None,
    spike_seed: int = 0,
    spike_graph: str = "scale_free",
    spike_degree: str = "2",
    spike_weight: str = str(WEIGHTS[1]),
    spike_dose: str = str(DOSE),
    **options: Any,
) -> OpenedPairs:
    """Pairs of the cells of a source, matched as those of real cells are, with a graph planted into them.

    Raises
    ------
    InputError
        As the source; a number is none; or a regime is asked for.
    """
    if pair_options.regime is not None:
        raise InputError("--regime is for a simulated world in its own units: leave it out of spike: sources")
    weight = _number("spike_weight", spike_weight)
    dose = _number("spike_dose", spike_dose)
    degree = _number("spike_degree", spike_degree)
    cells, name = untreated_cells(place, genes=genes, **options)
    held = sample_cells(cells, cells.vocab.feature_id, max_cells=pair_options.max_cells or MAX_CELLS, seed=spike_seed)
    graph = planted_graph(
        held.vocab,
        family=spike_graph,
        degree=degree,
        weights=(weight * WEIGHTS[0] / WEIGHTS[1], weight),
        seed=spike_seed,
    )
    match_on = pair_options.match_on
    if match_on is None:
        match_on = tuple(one for one in ("cell_type",) if one in held.index.covariates)
    asked = replace(pair_options, match_on=match_on)

    def match(some: CellSource) -> SpikedPairs:
        return _spiked(some, held, graph, dose, asked)

    return OpenedPairs(
        pairs=match(held),
        name=f"spike:{place} ({len(held):,} cells, {graph.n_edges:,} edges planted)",
        cells=held,
        match=match,
        provenance=f"{name}; planted {spike_graph} graph of seed {spike_seed}, weights up to {weight:g}, doses "
        f"{dose / 3:g} .. {dose:g}; {getattr(cells, 'provenance', '')}".rstrip("; "),
    )


def _spiked(
    some: CellSource, held: InMemoryCells, graph: GeneGraph, dose: float, pair_options: PairOptions
) -> SpikedPairs:
    paired = Paired(some, match_on=pair_options.match_on or (), differ_on=pair_options.differ_on)
    return SpikedPairs(
        real=paired,
        graph=graph,
        n_perturbed=pair_options.n_perturbed or (1, 1),
        dose=(dose / 3, dose),
        rule="fold" if held.of_counts else "shift",
    )


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InputError(f"--{name.replace('_', '-')} is {text!r}: give a number above 0")
    return value


def _cells(place: str, **options: Any) -> CellSource:
    raise InputError(
        f"spike:{place} is a source of pairs, for train, diagnose, throughput and sweep; gpcp spike-screen writes real "
        "cells with a planted graph as a file that every verb takes"
    )


_INNER = tuple(dict.fromkeys(name for scheme in SCHEMES for name in SCHEMES[scheme].options))
OWN_PAIRS.register("spike")(spiked_pairs)
SCHEMES.register("spike")(
    Scheme(
        summary="SOURCE, pairs of the real cells of another source with a known graph planted into them",
        cells=_cells,
        options=_OWN,
        passed_on=_INNER,
    )
)
for _name, _option in {
    "spike_seed": Option(metavar="N", kind="whole", summary="seed of the planted graph (default 0)"),
    "spike_graph": Option(metavar="NAME", summary=f"its family: {', '.join(DENSE_FAMILIES)} (default scale_free)"),
    "spike_degree": Option(metavar="X", summary="neighbours of a gene in it (default 2)"),
    "spike_weight": Option(metavar="X", summary=f"largest weight, in log fold changes (default {WEIGHTS[1]:g})"),
    "spike_dose": Option(metavar="X", summary=f"largest log fold change of a perturbed gene (default {DOSE:g})"),
}.items():
    OPTIONS.register(_name)(_option)
