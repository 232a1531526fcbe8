"""Gradients against differences of the same model's answers, attention against the maps themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from diagnostics.graphs.model_internals import attention_by_layer, attention_readout, gradient_readout
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.model.attention import STATIC
from gpcp.model.batch import model_batch
from gpcp.model.config import PRESETS, preset
from gpcp.model.transformer import GenePerturbationTransformer
from simulators.graphs.families import simulated_vocab

N_GENES = 5


def drawn(n_pairs: int, *, p_measured: float = 1.0, seed: int = 0) -> PairBatch:
    rng = np.random.default_rng(seed)
    shape = (n_pairs, N_GENES)
    measured_BG = rng.random(shape) < p_measured
    before_BG, after_BG = (np.where(measured_BG, rng.normal(size=shape), 0).astype(np.float32) for _ in range(2))
    return PairBatch(
        vocab=simulated_vocab(N_GENES),
        before_BG=before_BG,
        after_BG=after_BG,
        measured_BG=measured_BG,
        perturbed_BG=measured_BG & (rng.random(shape) < 0.4),
        before_id_B=np.arange(n_pairs),
        after_id_B=np.arange(n_pairs),
    )


def model_of(name: str = "default", **changes: float) -> GenePerturbationTransformer:
    return GenePerturbationTransformer(replace(preset(name, N_GENES), **changes), seed=3)


def differences(model: GenePerturbationTransformer, pairs: PairBatch, *, times_input: bool) -> NDArray[np.float64]:
    """The same read-out pair by pair, from predictions alone."""
    step = 1e-2
    sum_GG, n_GG = np.zeros((N_GENES, N_GENES)), np.eye(N_GENES)
    for pair in range(len(pairs)):
        row = pairs.rows(slice(pair, pair + 1))
        for i in np.flatnonzero(row.perturbed_BG[0]):
            upper, lower = (moved(row, int(i), by) for by in (step, -step))
            slope_G = (answer(model, upper) - answer(model, lower)) / (2 * step)
            change = float(row.delta_BG[0, i])
            for j in np.flatnonzero(row.scored_BG[0]):
                sum_GG[i, j] += abs(slope_G[j] * change) if times_input else slope_G[j]
                n_GG[i, j] += 1
    return sum_GG / n_GG


def moved(row: PairBatch, gene: int, by: float) -> PairBatch:
    after_BG = row.after_BG.copy()
    after_BG[0, gene] += by
    return replace(row, after_BG=after_BG)


@torch.no_grad()
def answer(model: GenePerturbationTransformer, row: PairBatch) -> NDArray[np.float64]:
    batch, _ = model_batch(row)
    answer_G = np.full(N_GENES, np.nan)
    answer_G[batch.token_BL[0].numpy()] = model.eval()(batch)[0].numpy()
    return answer_G


@pytest.mark.parametrize("p_measured", [1.0, 0.8])
@pytest.mark.parametrize("times_input", [False, True])
@pytest.mark.parametrize("name", PRESETS)
def test_gradients_are_slopes_of_the_predictions(name: str, times_input: bool, p_measured: float) -> None:
    model, pairs = model_of(name), drawn(60, p_measured=p_measured)
    effect_GG = gradient_readout(model, pairs, times_input=times_input, batch_size=17)
    # Central differences of float32 answers of size 3: rounding 3e-7 / 1e-2, curvature 1e-4, averaged over pairs.
    np.testing.assert_allclose(effect_GG, differences(model, pairs, times_input=times_input), atol=1e-3)
    # Weights between genes are begun near 0.
    least = {"seed": -1.0, "mixing": 1e-3}.get(name, 0.02)
    assert np.abs(effect_GG[~np.eye(N_GENES, dtype=np.bool_)]).max() > least
    np.testing.assert_array_equal(np.diag(effect_GG), 0)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_attention_between_queries_only_the_state_could_carry_a_change() -> None:
    """The seed with all genes as queries: a told gene moves no other gene's answer, and the gradient shows it."""
    effect_GG = gradient_readout(model_of("seed"), drawn(60))
    np.testing.assert_array_equal(effect_GG, 0)


@pytest.mark.parametrize("p_measured", [1.0, 0.8])
@pytest.mark.parametrize("name", PRESETS)
def test_attention_by_layer_is_the_mean_of_the_maps(name: str, p_measured: float) -> None:
    model, pairs = model_of(name), drawn(20, p_measured=p_measured, seed=1)
    layers = attention_by_layer(model, pairs, batch_size=11)
    assert layers
    for layer, effect_GG in layers.items():
        sum_GG, n_GG = np.zeros((N_GENES, N_GENES)), np.zeros((N_GENES, N_GENES))
        for pair in range(len(pairs)):
            batch, _ = model_batch(pairs.rows(slice(pair, pair + 1)))
            with torch.no_grad():
                weight_BHQK = model.eval().attention_maps(batch)[layer]
                weight_QK = (weight_BHQK.abs() if layer.endswith(STATIC) else weight_BHQK).mean(dim=1)[0].numpy()
            genes = batch.token_BL[0].numpy()[batch.measured_BL[0].numpy()]
            n_perturbed = genes[batch.perturbed_BL[0].numpy()[: len(genes)]]
            only_perturbed = model.config.query_form == "perturbed_genes"
            asking = n_perturbed if only_perturbed and not layer.startswith("encoder") else genes
            attended = n_perturbed if only_perturbed and layer.removesuffix(STATIC).endswith("among_queries") else genes
            for q, j in enumerate(asking):
                for k, i in enumerate(attended):
                    sum_GG[i, j] += weight_QK[q, k]
                    n_GG[i, j] += 1
        expected_GG = sum_GG / np.maximum(n_GG, 1)
        np.fill_diagonal(expected_GG, 0)
        np.testing.assert_allclose(effect_GG, expected_GG, atol=1e-5)
    np.testing.assert_allclose(attention_readout(model, pairs), np.mean(list(layers.values()), axis=0), atol=1e-5)


def test_read_outs_leave_the_mode_as_it_was_and_see_no_dropout() -> None:
    pairs = drawn(60)
    plain, dropping = model_of(), model_of(dropout=0.5)
    for model in (plain, dropping):
        model.train()
    np.testing.assert_array_equal(gradient_readout(dropping, pairs), gradient_readout(plain, pairs))
    np.testing.assert_array_equal(attention_readout(dropping, pairs), attention_readout(plain, pairs))
    assert dropping.training
    dropping.eval()
    gradient_readout(dropping, pairs)
    assert not dropping.training


def test_genes_that_no_pair_tells_are_named() -> None:
    pairs = drawn(60)
    perturbed_BG = pairs.perturbed_BG & (np.arange(N_GENES) != 2)
    with pytest.raises(InputError, match="no pair perturbs ENSSIMG00000000002 and scores ENSSIMG00000000000"):
        gradient_readout(model_of(), replace(pairs, perturbed_BG=perturbed_BG))


def test_a_model_without_attention_cannot_be_read_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    monkeypatch.setattr(model, "attention_maps", lambda batch: {})
    with pytest.raises(InputError, match="no attention layer"):
        attention_readout(model, drawn(10))
