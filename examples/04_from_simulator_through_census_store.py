"""From a simulator through a Census store: the graph planted in a world is still there after the real loader.

About 40 seconds on one core.
"""

import tempfile
from pathlib import Path

import numpy as np

from diagnostics import GraphScore, all_cells, implied_partial, partial_within, score_graph
from gpcp import (
    CellBatch,
    CellSource,
    CensusCells,
    FitConfig,
    GenePerturbationTransformer,
    ModelPredictor,
    OnlyGenes,
    Paired,
    fit,
    preset,
)
from simulators import GeneGraph, embedded_census

N_CELLS, N_GENES, N_STEPS = 8_000, 200, 250
POPULATION = ("cell_type", "dataset")


def main() -> None:
    print(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        # Cells of a known world among background genes, sequenced by three assays, written in the Census's shape.
        made = embedded_census(Path(folder) / "census", name="scale_free/12", seed=2, n_cells=N_CELLS, n_genes=N_GENES)
        planted, panel = made.world.graph, made.world.graph.vocab.feature_id
        print(f"{N_CELLS} cells, {N_GENES} genes; {planted.n_edges} edges planted among {planted.n_genes} of the genes")

        # The same cells by two ways: as the simulator makes them, and as the Census's own loader reads them.
        sources: dict[str, CellSource] = {
            "simulator": OnlyGenes(made.cells, panel),
            "store": CensusCells(uri=made.summary.path, genes=panel),
        }
        for name, source in sources.items():
            cells = all_cells(source)
            # Matched cells show no directions: what can be recovered is the moral graph, up to an AUPRC of 1.
            of_model = score(learnt(source, cells), planted)
            print(f"{name}: AUPRC of the moral graph (chance {of_model.base_rate:.2f})")
            print(f"    the cells' partial correlations    {score(within_populations(cells), planted).auprc:.3f}")
            print(f"    the same with datasets mixed       {score(partial_within(cells), planted).auprc:.3f}")
            print(f"    the law that a transformer learnt  {of_model.auprc:.3f}")


def within_populations(cells: CellBatch) -> np.ndarray:
    """Partial correlations within cell type and dataset.

    Datasets that measure other genes divide by other totals, which shifts all genes of a cell together: mixed, they
    make edges of their own.
    """
    names = np.strings.add(cells.covariates["cell_type"], cells.covariates["dataset"])
    populations = CellBatch(
        vocab=cells.vocab,
        expression_BG=cells.expression_BG,
        measured_BG=cells.measured_BG,
        cell_id_B=cells.cell_id_B,
        covariates={"cell_type": names},
    )
    return partial_within(populations)


def learnt(source: CellSource, cells: CellBatch) -> np.ndarray:
    """Partial correlations of the law that a transformer has learnt from pairs of these cells."""
    # The source is the one argument that changes; the two cells of a pair share cell type and dataset.
    model = GenePerturbationTransformer(preset("default", len(source.vocab)))
    fit(model, Paired(source, match_on=POPULATION), FitConfig(n_steps=N_STEPS))
    one = (cells.covariates["cell_type"] == "type_0") & (cells.covariates["dataset"] == "dataset_0")
    return implied_partial(ModelPredictor(model, source.vocab), cells.expression_BG[one], rng=np.random.default_rng(0))


def score(partial_GG: np.ndarray, planted: GeneGraph) -> GraphScore:
    return score_graph(partial_GG, planted, "moral", threshold=0.1, rng=np.random.default_rng(0))


if __name__ == "__main__":
    main()
