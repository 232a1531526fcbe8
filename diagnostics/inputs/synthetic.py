"""The source ``synthetic:``: cells of a known world, in its own units or as UMI counts, and pairs of its regimes.

To import this module is to register it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.random import generator
from gpcp.opening.cells import OPTIONS, SCHEMES, Option, Scheme
from gpcp.opening.pairs import OWN_PAIRS, OpenedPairs, PairOptions
from gpcp.sources.subsets import OnlyGenes
from simulators.assay import build_assay
from simulators.exact.bayes import bayes, is_exact
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedCells, SimulatedPairs
from simulators.totals import TotalledCells
from simulators.worlds import world

N_CELLS = 40_000
_ASSAY_OPTIONS = ("n_cell_types", "n_datasets", "dropout", "p_unmeasured")


def synthetic(
    place: str,
    *,
    genes: tuple[str, ...] | None = None,
    n_cells: int = N_CELLS,
    world_seed: int = 0,
    network: str | None = None,
    library_size: float | None = None,
    **assay: Any,
) -> CellSource:
    """Cells of the world of a name, such as ``scale_free/20``.

    Parameters
    ----------
    place : str
        See :func:`simulators.worlds.world`.
    genes : tuple of str, optional
    n_cells, world_seed : int
    network : str, optional
        Regulator-target table of a world ``network/GENES``.
    library_size : float, optional
        With it the cells are sequenced: log1p(TPM) of so many counts; without it they are in the world's own units.
    **assay
        ``n_cell_types``, ``n_datasets``, ``dropout``, ``p_unmeasured`` of :func:`simulators.assay.build_assay`.

    Raises
    ------
    InputError
        The world is unknown, or something of an assay is given without ``library_size``.
    """
    made = world(place, seed=world_seed, network=network)
    if library_size is None:
        for name in assay:
            raise InputError(f"--{name.replace('_', '-')} is of sequenced cells: give --library-size too")
        cells: CellSource = SimulatedCells(scm=made.scm, n_cells=n_cells)
    else:
        rng = generator("assay of a named source", made.name, world_seed)
        report = build_assay(made.graph.vocab, rng=rng, library_size=library_size, **assay)
        cells = TotalledCells(counted=SimulatedCells(scm=made.scm, n_cells=n_cells, assay=report))
    return cells if genes is None else OnlyGenes(cells, genes)


def synthetic_pairs(
    place: str,
    pair_options: PairOptions,
    *,
    genes: Sequence[str] | str | None = None,
    n_cells: int = N_CELLS,
    world_seed: int = 0,
    network: str | None = None,
    **options: Any,
) -> OpenedPairs | None:
    """Pairs of the world of a name by a regime; None where its cells are sequenced, and then matched.

    Raises
    ------
    InputError
        The world or the regime is unknown, or something is asked that is for cells alone.
    """
    if "library_size" in options:
        return None
    for given, flag in ((pair_options.match_on, "--match-on"), (pair_options.differ_on, "--differ-on")):
        if given:
            raise InputError(f"{flag} is for cells that are matched: give --library-size too, or leave it out")
    if genes is not None:
        raise InputError("--genes is for sources of cells: give --library-size too, or leave it out")
    made = world(place, seed=world_seed, network=network)
    for name in options:
        raise InputError(f"--{name.replace('_', '-')} is of sequenced cells: give --library-size too")
    regime = regime_of(pair_options.regime or "interventional")
    pairs = SimulatedPairs(
        scm=made.scm, regime=regime, n_pairs=max(1, n_cells // 2), n_perturbed=pair_options.n_perturbed
    )
    # A simulated exact answer would cost more than it is worth.
    exact = partial(bayes, made.scm, regime) if is_exact(made.scm, regime) else None
    return OpenedPairs(pairs=pairs, exact=exact, name=f"synthetic:{place} ({regime} pairs)")


OWN_PAIRS.register("synthetic")(synthetic_pairs)
SCHEMES.register("synthetic")(
    Scheme(
        summary="WORLD, cells of a simulated world such as scale_free/20",
        cells=synthetic,
        options=("n_cells", "world_seed", "network", "library_size", *_ASSAY_OPTIONS),
    )
)
for _name, _option in {
    "n_cells": Option(metavar="N", kind="positive", summary=f"cells of the population (default {N_CELLS:,})"),
    "world_seed": Option(metavar="N", kind="whole", summary="seed of the world and of its assay (default 0)"),
    "network": Option(metavar="FILE", summary="regulator-target table of a world network/GENES"),
    "library_size": Option(
        metavar="N",
        kind="positive",
        summary="sequence the cells to a median of N counts (default: the world's own units)",
    ),
    "n_cell_types": Option(metavar="N", kind="positive", summary="cell types, with --library-size (default 1)"),
    "n_datasets": Option(metavar="N", kind="positive", summary="datasets, with --library-size (default 1)"),
    "dropout": Option(metavar="P", kind="share", summary="share of counts lost, with --library-size (default 0)"),
    "p_unmeasured": Option(
        metavar="P",
        kind="share",
        summary="share of genes that a dataset does not measure, with --library-size (default 0)",
    ),
}.items():
    OPTIONS.register(_name)(_option)
