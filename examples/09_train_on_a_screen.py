"""What is learnt from the names of perturbations alone? A known world as a screen's file, read as anyone's would be.

About ten seconds. Controls and perturbed cells are other cells: no answer beats the mean of each perturbation.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from gpcp import (
    AppliedPerturbations,
    FitConfig,
    GenePerturbationTransformer,
    H5adScreen,
    ModelPredictor,
    Perturbation,
    fit,
    preset,
)
from simulators import design_named, exact_mean, screen_anndata, simulated_screen, world


def main() -> None:
    print(__doc__)
    torch.set_num_threads(1)  # the model is small
    design = design_named("ideal", n_targets=6, cells_per_target=300, n_controls=300, values="log")
    simulated = simulated_screen(world("scale_free/10"), design)
    with TemporaryDirectory() as name:
        file = Path(name) / "screen.h5ad"
        screen_anndata(simulated).write_h5ad(file)
        screen = H5adScreen(file, layer="X", values="log")
    print(screen.provenance, "\n")

    training = screen.split(by="cells").training
    model = GenePerturbationTransformer(preset("mixing", len(screen.vocab), screen.perturbations))
    fit(model, training, FitConfig(learning_rate=3e-3).lasting(300))
    predictor = ModelPredictor(model, screen.vocab, perturbations=screen.perturbations)

    exact = exact_mean(simulated, n_cells=4_096)
    controls = next(screen.pairs(batch_size=200, seed=0)).before_BG
    print("target                 mean change of the other genes: exact   model   largest difference")
    for token, target in enumerate(screen.perturbations.target):
        named = AppliedPerturbations.of(screen.perturbations, [[token]] * len(controls))
        answer = predictor.predict(controls, Perturbation.named(named, len(screen.vocab))).mean(axis=0)
        row = exact.row(target, simulated.contexts[0], unit="log")
        usual = exact.row(exact.labels[0], simulated.contexts[0], unit="log")
        others = np.arange(len(screen.vocab)) != screen.perturbations.gene[token]
        size, found = (np.abs(one - usual)[others].mean() for one in (row, answer))
        print(f"{target:46} {size:12.3f} {found:7.3f} {np.abs(answer - row)[others].max():20.3f}")


if __name__ == "__main__":
    main()
