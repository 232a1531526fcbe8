"""Swap in real cells: the same model and the same training, another source of pairs, and no known graph.

python examples/02_swap_in_real_cells.py                    700 cells of blood that scanpy ships (10x's PBMC 68k)
python examples/02_swap_in_real_cells.py FILE CELL_TYPE     an AnnData file of yours, and its column of cell types

About 13 seconds on one core.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from diagnostics import (
    NOT_CAUSAL,
    PairLinearPredictor,
    TypeMeanPredictor,
    all_cells,
    choose_panel,
    labelled_losses,
    levels_of,
    losses_of,
)
from gpcp import (
    FitConfig,
    GenePerturbationTransformer,
    H5adCells,
    ModelPredictor,
    OnlyGenes,
    Paired,
    concatenate,
    fit,
    preset,
    split_cells,
)

N_GENES, N_STEPS = 12, 200


def shipped() -> Path:
    """The file that comes with scanpy; its genes go by their symbols."""
    scanpy = find_spec("scanpy")
    if scanpy is None or scanpy.origin is None:
        sys.exit("name a file of cells, or install scanpy, which ships one: pip install scanpy")
    return Path(scanpy.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"


def main(path: str | None = None, cell_type: str = "bulk_labels") -> None:
    print(__doc__)
    # Cells become pairs: two of the same type, as if the second were the first one perturbed.
    if path is None:
        cells = H5adCells(shipped(), layer="auto", gene_id="names", cell_type=cell_type)
    else:
        cells = H5adCells(path, layer="auto", gene_id="auto", missing_id="drop", cell_type=cell_type)
    print(cells.provenance)
    split = split_cells(cells, held_out_share=0.2, seed=0)
    panel = choose_panel(split.training, N_GENES)
    training, held_out_cells = OnlyGenes(split.training, panel.feature_id), OnlyGenes(split.held_out, panel.feature_id)
    pairs = Paired(training)
    # Held-out cells are few: pair them anew, with other perturbed genes, again and again.
    passes = (Paired(held_out_cells).pairs(batch_size=1000, seed=seed) for seed in range(20))
    held_out = concatenate(batch for one_pass in passes for batch in one_pass)

    model = GenePerturbationTransformer(preset("default", N_GENES))
    fit(model, pairs, FitConfig(n_steps=N_STEPS))
    loss = losses_of(ModelPredictor(model, pairs.vocab), held_out).loss

    # Without a known world there is no Bayes risk; the best linear predictors take its place, and can be beaten.
    sample = concatenate(batch for seed in range(20) for batch in pairs.pairs(batch_size=1000, seed=seed))
    levels = levels_of(sample, held_out, ridge_on=sample)
    print(f"input-free baseline ({levels.baseline_name})   {levels.baseline:.4f}")
    knows_types = TypeMeanPredictor.fit(all_cells(training))
    mean_of_type = labelled_losses(knows_types, held_out, all_cells(held_out_cells))
    print(f"the mean of the cell's type        {mean_of_type.loss:.4f}")
    print(f"ridge on the model's input          {levels.reference:.4f}")
    linear = PairLinearPredictor.fit(all_cells(training))
    print(f"the cells' means and covariances   {losses_of(linear, held_out).loss:.4f}")
    print(f"the transformer, {N_STEPS} steps         {loss:.4f}")
    print(f"What such a model recovers of a graph: {NOT_CAUSAL}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
