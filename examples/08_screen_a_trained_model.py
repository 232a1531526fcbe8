"""What would every gene's perturbation do? A screen with a trained model, beside the exact answer of the known world.

About ten seconds. Any predictor can be screened; the exact one is asked in the same way as the model.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import torch

from gpcp import (
    FitConfig,
    GenePerturbationTransformer,
    cells_to_screen,
    fit,
    predict_screen,
    preset,
    screened,
    trained_predictor,
)
from simulators import BayesPredictor, SimulatedCells, SimulatedPairs, world


def main() -> None:
    print(__doc__)
    torch.set_num_threads(1)  # the model is small
    scm = world("scale_free/10").scm
    pairs = SimulatedPairs(scm=scm, regime="interventional", n_pairs=20_000)
    genes = pairs.vocab.feature_id
    wanted = screened([*((gene,) for gene in genes), genes[:2]], to=2.0)  # every gene alone, and one pair of genes

    with TemporaryDirectory() as name:
        folder = Path(name)
        model = GenePerturbationTransformer(preset("mixing", len(genes)))
        fit(model, pairs, FitConfig(n_steps=400), checkpoint=folder / "checkpoint.pt")
        predictor = trained_predictor(folder / "checkpoint.pt")
        cells = cells_to_screen(SimulatedCells(scm=scm, n_cells=1_000), predictor.vocab, n_cells=200)

        predict_screen(predictor, cells, wanted, folder / "model.h5ad", form="summary")
        exact = BayesPredictor(scm=scm, regime="interventional")
        predict_screen(exact, cells, wanted, folder / "exact.h5ad", form="summary")
        model_screen, exact_screen = (anndata.read_h5ad(folder / f"{one}.h5ad") for one in ("model", "exact"))

    model_rows, exact_rows = np.asarray(model_screen.X), np.asarray(exact_screen.X)
    left, total = 0.0, 0.0
    for row, perturbation in enumerate(model_screen.obs_names):
        others = ~np.isin(model_screen.var_names, perturbation.split("+"))
        truth, error = exact_rows[row, others], model_rows[row, others] - exact_rows[row, others]
        left, total = left + np.square(error).sum(), total + np.square(truth).sum()
        most = int(np.abs(truth).argmax())
        gene = model_screen.var_names[others][most]
        print(
            f"{perturbation} moves {gene} by {truth[most]:+.2f}; the model is off by {np.abs(error).max():.2f} at most"
        )
    assert left < 0.05 * total, left / total


if __name__ == "__main__":
    main()
