"""A first real slice: cells of the tongue from the Census, a panel chosen from them, a cache on this disk, a training.

    python examples/05_real_census.py                     the release on S3; needs a network and 4 GB of memory
    python examples/05_real_census.py FOLDER TISSUE       a copy on this disk (simulators.census.embedded writes one)

What was read stays in ./census_slice: started again, it begins with the cache.
"""

import sys
from pathlib import Path

from diagnostics import levels_of, losses_of
from gpcp import (
    CENSUS_VERSION,
    CensusCells,
    FitConfig,
    GenePerturbationTransformer,
    ModelPredictor,
    Paired,
    Prefetched,
    UnreachableError,
    annotation_of_census,
    cached,
    choose_genes,
    concatenate,
    fit,
    gene_statistics,
    load_panel,
    preset,
    save_panel,
    split_cells,
)

N_GENES, N_STEPS = 64, 200
SLICE = Path("census_slice")
MATCH_ON = ("cell_type", "dataset")


def main(place: str = CENSUS_VERSION, tissue: str = "tongue") -> None:
    print(__doc__)
    uri, version = (place, None) if Path(place).is_dir() else (None, place)
    try:
        # 1. The query: 38,754 cells in release 2025-11-08. A category that does not exist is refused here.
        cells = CensusCells(uri=uri, census_version=version, tissue_general=tissue)
    except UnreachableError as error:
        print(f"skipped: {error}")
        return
    print(cells.provenance)

    # 2. A first pass over all genes; those that are often measured and expressed become the panel, kept as a file.
    SLICE.mkdir(exist_ok=True)
    panel_file = SLICE / "panel.json"
    if not panel_file.exists():
        notes = annotation_of_census(uri=uri, census_version=version)
        statistics = gene_statistics(cells)
        panel = choose_genes(
            statistics, n_genes=N_GENES, among=notes.of_biotype(), about=notes, provenance=cells.provenance
        )
        save_panel(panel_file, panel)
    panel = load_panel(panel_file)
    print(panel)

    # 3. One pass in the store's own order writes the panel to this disk. Ended early, it goes on where it was.
    cache = cached(cells, SLICE / "cache", genes=panel.feature_id)
    print(f"cache: {cache.n_cells:,} cells, {len(cache.vocab)} genes")

    # 4. Pairs of cells of one type and dataset: held-out cells never meet those of the training.
    split = split_cells(cache, held_out_share=0.1, seed=0)
    print(split.summary)
    pairs = Paired(split.training, match_on=MATCH_ON)
    held_out = concatenate(Paired(split.held_out, match_on=MATCH_ON).pairs(batch_size=1000, seed=0))

    # 5. The training, which reads ahead; then its loss beside those of an input-free baseline and a linear model.
    model = GenePerturbationTransformer(preset("default", len(cache.vocab)))
    fit(model, Prefetched(pairs), FitConfig(n_steps=N_STEPS))
    sample = concatenate(pairs.pairs(batch_size=1000, seed=0))
    levels = levels_of(sample, held_out, ridge_on=sample)
    print(f"input-free baseline ({levels.baseline_name})   {levels.baseline:.4f}")
    print(f"ridge on the model's input          {levels.reference:.4f}")
    print(
        f"the transformer, {N_STEPS} steps         {losses_of(ModelPredictor(model, cache.vocab), held_out).loss:.4f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
