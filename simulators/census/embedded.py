"""A small Census of a known world, written to this disk.

The world's genes are few among background genes that nothing acts on and that vary little. TPM are shares of a whole:
when a gene that makes up much of it goes up, all others go down together, which to a partial correlation is an edge
between any two. Against a steady background, the planted graph is the only one there is to find.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.progress import OnProgress, no_progress
from gpcp.core.random import generator
from simulators.assay import Assay, check_range
from simulators.census.export import ExportSummary, export_census
from simulators.graphs.families import simulated_vocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.scm import build_scm
from simulators.sources import SimulatedCells
from simulators.worlds import World, world

ASSAYS: Final = ("10x 3' v3", "10x 5' v2", "Smart-seq2")
"""Assays of the datasets in turn; the last counts along the whole length of a transcript."""

DISEASES: Final = ("normal", "COVID-19")
"""Of the donors in turn. No effect of the disease is planted: a contrast of the two shows what chance makes."""

TISSUES: Final = ("blood", "lung")
WORLD_SHARE = 0.1
"""Share of a cell's transcripts that the world's genes have together, at latent value 0."""

BACKGROUND_RATE_SD = 2.0
"""Standard deviation of the log rates of the background genes: most are rare, a few are common."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmbeddedCensus:
    """A store and what it was made of.

    Parameters
    ----------
    world : World
        Whose graph was planted; its genes are the first of the store and measured in every dataset.
    cells : SimulatedCells
        The cells as they went in: those of the world's genes and the background, through the assay.
    summary : ExportSummary
    """

    world: World
    cells: SimulatedCells
    summary: ExportSummary


def embedded_census(
    path: str | Path,
    *,
    name: str = "scale_free/20",
    seed: int = 0,
    n_cells: int = 6_000,
    n_genes: int = 200,
    n_datasets: int = 3,
    n_cell_types: int = 2,
    n_donors: int = 4,
    p_unmeasured: float = 0.2,
    background_sd: float = 0.05,
    p_duplicate: float = 0.0,
    scale: float = 0.5,
    library_size: float = 20_000.0,
    overwrite: bool = False,
    on_progress: OnProgress = no_progress,
) -> EmbeddedCensus:
    """Write the store of a known world at ``path``.

    Parameters
    ----------
    path : str or Path
    name, seed
        As :func:`simulators.worlds.world`; the seed decides all else, too.
    n_cells, n_genes : int
        Genes of world and background together.
    n_datasets, n_cell_types, n_donors : int
        Donors are of one dataset each. Datasets take :data:`ASSAYS` in turn and lie in :data:`TISSUES`, donors have
        :data:`DISEASES` in turn.
    p_unmeasured : float
        Share of the background genes that a dataset does not measure, each dataset others.
    background_sd : float
        Standard deviation of the latent expression of background genes; that of the world's is 1, but in raw scaling.
        At 1, what the shares have in common hides part of the graph, at any depth.
    p_duplicate : float
        Share of the cells that are marked as copies, ``is_primary_data`` False.
    scale : float
        Change of a gene's log rate for each unit of latent expression, whose variance is 1 in the world.
    library_size : float
        Median number of counts of a cell.
    overwrite, on_progress
        As :func:`simulators.census.export.export_census`.

    Raises
    ------
    InputError
        There is no such world, a number lies outside its range, or there is something at ``path``.

    Notes
    -----
    Genes have lengths from 500 to 8,000 bases; an eighth of the background are ``lncRNA``, the other genes
    ``protein_coding``. What a mechanism draws besides the graph's weights is drawn anew for the larger graph, so of
    worlds that are not linear use ``cells.scm``.

    Datasets divide by the totals of other genes, which shifts all values of a cell together. So the planted graph is
    that of cells of one type *and* one dataset; cells matched on type alone show edges that datasets make.
    """
    known = world(name, seed=seed)
    cells = embedded_cells(
        known,
        n_cells=n_cells,
        n_genes=n_genes,
        n_datasets=n_datasets,
        n_cell_types=n_cell_types,
        p_unmeasured=p_unmeasured,
        background_sd=background_sd,
        scale=scale,
        library_size=library_size,
    )
    check_range("embedded_census", "n_donors", n_donors, low=1)
    check_range("embedded_census", "p_duplicate", p_duplicate, low=0.0, high=1.0)
    datasets = [f"dataset_{number}" for number in range(n_datasets)]
    rng = generator("genes of an embedded census", known.name, seed, n_genes)
    genes = cells.vocab.feature_id
    coding_G = (np.arange(n_genes) < known.graph.n_genes) | (rng.random(n_genes) > 1 / 8)
    length_G = np.exp(rng.uniform(np.log(500), np.log(8_000), size=n_genes)).astype(np.int64)
    summary = export_census(
        cells,
        path,
        labels={
            "assay": {dataset: ASSAYS[number % len(ASSAYS)] for number, dataset in enumerate(datasets)},
            "tissue": {dataset: TISSUES[number % len(TISSUES)] for number, dataset in enumerate(datasets)},
            "donor_id": lambda batch: np.char.add(batch.covariates["dataset"], _numbered("-donor_", batch, n_donors)),
            "disease": lambda batch: np.array(DISEASES)[batch.cell_id_B % n_donors % len(DISEASES)],
            "sex": lambda batch: np.array(("female", "male"))[batch.cell_id_B % n_donors // len(DISEASES) % 2],
        },
        is_primary=_first_of_copies(p_duplicate, seed),
        feature_name={gene: f"SIM{number}" for number, gene in enumerate(genes)},
        feature_type={gene: "lncRNA" for gene, coding in zip(genes, coding_G, strict=True) if not coding},
        feature_length=dict(zip(genes, length_G.tolist(), strict=True)),
        overwrite=overwrite,
        on_progress=on_progress,
    )
    return EmbeddedCensus(world=known, cells=cells, summary=summary)


def embedded_cells(
    known: World,
    *,
    n_cells: int,
    n_genes: int,
    n_datasets: int = 3,
    n_cell_types: int = 2,
    p_unmeasured: float = 0.2,
    background_sd: float = 0.05,
    scale: float = 0.5,
    library_size: float = 20_000.0,
) -> SimulatedCells:
    """The cells of :func:`embedded_census`, without a store; arguments and errors as there."""
    graph = with_isolated_genes(known.graph, n_genes)
    key = (known.name, known.seed, n_genes)
    scm = build_scm(
        graph,
        mechanism=known.scm.mechanism.name,
        noise=known.scm.noise.name,
        scaling=known.scm.scaling,
        rng=generator("embedded scm", *key),
    )
    check_range("embedded_census", "background_sd", background_sd, low=0.0, open_low=True)
    in_world_G = np.arange(n_genes) < known.graph.n_genes
    scm = replace(scm, spread_G=np.where(in_world_G, scm.spread_G, scm.noise_scale_G / background_sd))
    for what, count in (("n_datasets", n_datasets), ("n_cell_types", n_cell_types)):
        check_range("embedded_census", what, count, low=1)
    check_range("embedded_census", "p_unmeasured", p_unmeasured, low=0.0, high=1.0)
    rng = generator("embedded assay", *key)
    n_world = known.graph.n_genes
    n_background = n_genes - n_world
    rate_G = np.exp(BACKGROUND_RATE_SD * rng.standard_normal(n_genes))
    if n_background:
        rate_G[n_world:] *= (1 - WORLD_SHARE) / rate_G[n_world:].sum()
    # The world's genes are about as common as each other, so that none is lost for want of counts.
    rate_G[:n_world] = WORLD_SHARE / n_world * np.exp(0.3 * rng.standard_normal(n_world))
    measured_SG = np.ones((n_datasets, n_genes), dtype=np.bool_)
    n_unmeasured = round(p_unmeasured * n_background)
    off_SG = np.tile(np.arange(n_background) < n_unmeasured, (n_datasets, 1))
    measured_SG[:, n_world:] = ~rng.permuted(off_SG, axis=1)
    offset_type_G = rng.standard_normal((n_cell_types, n_genes))
    assay = Assay(
        vocab=graph.vocab,
        log_rate_G=np.log(rate_G),
        offset_cell_type_G=offset_type_G if n_cell_types > 1 else np.zeros((1, n_genes)),
        measured_SG=measured_SG,
        scale=scale,
        library_size=library_size,
    )
    return SimulatedCells(scm=scm, n_cells=n_cells, assay=assay, population=known.seed)


def with_isolated_genes(graph: GeneGraph, n_genes: int) -> GeneGraph:
    """A simulated graph with genes after its own that nothing acts on and that act on nothing.

    Raises
    ------
    InputError
        ``n_genes`` is below the graph's, or its genes are not those of
        :func:`simulators.graphs.families.simulated_vocab`.
    """
    if n_genes < graph.n_genes:
        raise InputError(
            f"n_genes is {n_genes}, but the world has {graph.n_genes}: the store holds these and background"
        )
    vocab = simulated_vocab(n_genes)
    if vocab.feature_id[: graph.n_genes] != graph.vocab.feature_id:
        raise InputError("the world's genes are a real network's: background genes are added to simulated ones only")
    return GeneGraph.of_edges(
        vocab=vocab, regulator_E=graph.regulator_E, target_E=graph.target_E, weight_E=graph.weight_E
    )


def _numbered(prefix: str, cells: CellBatch, n: int) -> NDArray[np.str_]:
    """The prefix and a number below ``n`` that the cell's id decides."""
    return np.array([f"{prefix}{number}" for number in range(n)])[cells.cell_id_B % n]


def _first_of_copies(p_duplicate: float, seed: int) -> Callable[[CellBatch], NDArray[np.bool_]]:
    """Marks a share of the cells as copies, by their ids alone."""
    # One number for each of many residues: cells that lie in the same batch have different ones.
    drawn = generator("copies of an embedded census", seed).random(9973)
    return lambda cells: drawn[cells.cell_id_B % len(drawn)] >= p_duplicate
