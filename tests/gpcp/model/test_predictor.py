"""A transformer's slopes are the differences of its own answers, whatever is measured and perturbed."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import GivesSlopes, Perturbation
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from tests.gpcp.model.model_cases import N_GENES, models

VOCAB = GeneVocab(feature_id=tuple(f"ENSG{token:011d}" for token in range(N_GENES)))


@given(model=models(), seed=st.integers(0, 999))
def test_slopes_are_small_differences_of_answers(model: GenePerturbationTransformer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictor = ModelPredictor(model, VOCAB, batch_size=2)
    assert isinstance(predictor, GivesSlopes)
    control_BG = rng.normal(size=(3, N_GENES)).astype(np.float32)
    control_BG[rng.random(control_BG.shape) < 0.2] = np.nan
    perturbed_BG = (rng.random(control_BG.shape) < 0.5) & np.isfinite(control_BG)
    value_BG = np.where(perturbed_BG, rng.normal(size=control_BG.shape), 0).astype(np.float32)
    gene_B = rng.integers(N_GENES, size=3)
    slope_BG = predictor.slopes(control_BG, Perturbation(perturbed_BG=perturbed_BG, target_BG=value_BG), gene_B)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not slope_BG[~perturbed_BG].any()
    rows = np.arange(3)
    counts_B = np.isfinite(control_BG[rows, gene_B]) & ~perturbed_BG[rows, gene_B]
    assert not slope_BG[~counts_B].any()
    for gene in range(N_GENES):
        # Answers are float32: with this step their differences are good to some 1e-4 of their size.
        step_BG = np.where(perturbed_BG & (np.arange(N_GENES) == gene), np.float32(2**-9), np.float32(0))
        sides = [
            predictor.predict(control_BG, Perturbation(perturbed_BG=perturbed_BG, target_BG=value_BG + sign * step_BG))
            for sign in (np.float32(1), np.float32(-1))
        ]
        found_B = (sides[0] - sides[1]).astype(np.float64)[rows, gene_B] * counts_B / 2**-8
        size = 1 + np.abs(sides[0]).max() + np.abs(slope_BG).max()
        np.testing.assert_allclose(slope_BG[:, gene], found_B, atol=2e-3 * size)


def test_asking_leaves_the_model_as_it_was() -> None:
    from gpcp.model.config import preset

    model = GenePerturbationTransformer(preset("default", N_GENES))
    predictor = ModelPredictor(model, VOCAB)
    perturbed_BG = np.eye(N_GENES, dtype=np.bool_)
    asked = Perturbation(perturbed_BG=perturbed_BG, target_BG=perturbed_BG.astype(np.float32))
    control_BG = np.zeros((N_GENES, N_GENES), dtype=np.float32)
    with torch.no_grad():
        slope_BG = predictor.slopes(control_BG, asked, np.roll(np.arange(N_GENES), 1))
    assert model.training
    assert slope_BG[perturbed_BG].any()
