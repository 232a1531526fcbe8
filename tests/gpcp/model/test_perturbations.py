"""Models that read perturbations by name: no value after reaches them, padding and order change nothing, names do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import FixedPairs, PairBatch
from gpcp.core.perturbations import KINDS, AppliedPerturbations, PerturbationVocab
from gpcp.core.predictors import Perturbation, control_of, perturbation_of
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.config import PRESETS, ModelConfig, made_for, preset
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from gpcp.training.loss import masked_loss
from gpcp.training.trained import trained_predictor
from tests.gpcp.model.model_cases import N_GENES, batches, changed, columns, configs
from tests.strategies import screen_pairs

CLOSE = 1e-9
GENES = GeneVocab(feature_id=tuple(f"g{i}" for i in range(N_GENES)))
VOCAB = PerturbationVocab(
    target=("g1", "g1", "drug", "g4"),
    kind=("knocked down", "activated", "compound", "knocked down"),
    gene=(1, 1, -1, 4),
)


def reading_them(config: ModelConfig) -> ModelConfig:
    """The same model, reading perturbations by name; some parts of a model cannot."""
    if config.query_form == "perturbed_genes":
        config = replace(config, query_mixing="softmax")
    return made_for(config, VOCAB)


@st.composite
def screen_models(draw: st.DrawFn) -> GenePerturbationTransformer:
    """Any model, in float64, of which every parameter differs from 0."""
    model = GenePerturbationTransformer(reading_them(draw(configs()))).double().eval()
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@st.composite
def screen_batches(draw: st.DrawFn) -> ModelBatch:
    """Any masks, and up to three perturbations a cell."""
    batch = draw(batches())
    tokens = [draw(st.lists(st.integers(0, len(VOCAB) - 1), unique=True, max_size=3)) for _ in range(len(batch))]
    doses = [[draw(st.sampled_from([float("nan"), 0.0, 2.0])) for _ in some] for some in tokens]
    applied = AppliedPerturbations.of(VOCAB, tokens, doses)
    width = max(1, applied.token_BA.shape[1])
    token_BA = torch.full((len(batch), width), -1)
    dose_BA = torch.full((len(batch), width), torch.nan, dtype=torch.float64)
    if applied.token_BA.shape[1]:
        token_BA = torch.as_tensor(applied.token_BA.copy())
        dose_BA = torch.as_tensor(applied.dose_BA.copy()).double()
    return changed(batch, applied_BA=token_BA, dose_BA=dose_BA)


@given(screen_models(), screen_batches(), st.sampled_from([float("nan"), float("inf"), 7.0]))
def test_the_value_after_of_a_target_changes_no_output_and_no_gradient(
    model: GenePerturbationTransformer, batch: ModelBatch, junk: float
) -> None:
    after_BL = torch.randn(batch.before_BL.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for asked in (batch, replace(batch, target_BL=torch.full_like(batch.target_BL, junk))):
        model.zero_grad()
        prediction_BL = model(asked)
        masked_loss(prediction_BL, after_BL, batch.scored_BL).backward()
        gradients = [torch.zeros(()) if p.grad is None else p.grad.clone() for p in model.parameters()]
        found.append((prediction_BL.detach(), gradients))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.isfinite(one).all() for one in found[0][1])
    assert all(torch.equal(one, other) for one, other in zip(found[0][1], found[1][1], strict=True))


@given(screen_models(), screen_batches(), st.integers(0, 99))
def test_order_and_padding_of_perturbations_change_nothing(
    model: GenePerturbationTransformer, batch: ModelBatch, seed: int
) -> None:
    n_padding = 2
    order = torch.randperm(batch.applied_BA.shape[1] + n_padding, generator=torch.Generator().manual_seed(seed))
    padding = torch.full((len(batch), n_padding), -1)
    other = replace(
        batch,
        applied_BA=torch.cat((batch.applied_BA, padding), dim=1)[:, order],
        dose_BA=torch.cat((batch.dose_BA, torch.full_like(padding, 5, dtype=torch.float64)), dim=1)[:, order],
    )
    torch.testing.assert_close(model(other)[batch.measured_BL], model(batch)[batch.measured_BL], rtol=CLOSE, atol=CLOSE)


@given(screen_models(), screen_batches(), st.integers(0, 99))
def test_the_order_of_genes_and_the_other_pairs_change_nothing(
    model: GenePerturbationTransformer, batch: ModelBatch, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(N_GENES, generator=generator)
    applied = {"applied_BA": batch.applied_BA, "dose_BA": batch.dose_BA}
    moved = replace(columns(batch, order), **applied)
    measured_BL = moved.measured_BL
    torch.testing.assert_close(model(moved)[measured_BL], model(batch)[:, order][measured_BL], rtol=CLOSE, atol=CLOSE)
    row = torch.tensor([int(torch.randint(len(batch), (1,), generator=generator))])
    alone, measured = model(batch.rows(row)), batch.measured_BL[row]
    torch.testing.assert_close(alone[measured], model(batch)[row][measured], rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_answers_each_perturbation_and_each_dose_otherwise(name: str) -> None:
    model = GenePerturbationTransformer(preset(name, N_GENES, VOCAB), seed=1).double().eval()
    with torch.no_grad():
        # Of two kinds of one gene only the kind differs at first.
        assert model.perturbations is not None
        model.perturbations.kind.weight.mul_(10)
        # At first tokens differ little: what training never shows is to be read as its kind.
        model.perturbations.identity.weight.mul_(50)
        model.perturbations.of_gene.weight.mul_(50)
    cells = np.random.default_rng(0).normal(size=(1, N_GENES)).astype(np.float32).repeat(6, axis=0)
    named = AppliedPerturbations.of(
        VOCAB, [[], [0], [1], [2], [3], [3]], [[], [np.nan], [np.nan], [np.nan], [np.nan], [3.0]]
    )
    answer = ModelPredictor(model, GENES, perturbations=VOCAB).predict(cells, Perturbation.named(named, N_GENES))
    apart = np.abs(answer[:, None] - answer).max(axis=-1)
    assert (apart[~np.eye(6, dtype=np.bool_)] > 1e-4).all()
    # Not one shift for all genes: the perturbation meets each gene.
    assert ((answer[1:] - answer[0]).std(axis=1) > 1e-5).all()


def test_a_gene_that_was_never_perturbed_is_read_as_its_gene_and_kind() -> None:
    model = GenePerturbationTransformer(preset("mixing", N_GENES, VOCAB))
    tokens = model.perturbations
    assert tokens is not None
    with torch.no_grad():
        asked = torch.tensor([[0], [3]])
        token = tokens(asked, torch.full((2, 1), torch.nan), model.query_identity)[:, 0]
        of_gene = tokens.of_gene(model.query_identity.weight[[1, 4]])
        kind = tokens.kind.weight[KINDS.index("knocked down")]
    torch.testing.assert_close(token - of_gene, kind.expand(2, -1))


def screen(n_pairs: int = 64) -> PairBatch:
    """Cells of which each perturbation moves one gene by 2."""
    rng = np.random.default_rng(0)
    before, after = (rng.normal(scale=0.1, size=(n_pairs, N_GENES)).astype(np.float32) for _ in range(2))
    token = np.arange(n_pairs) % len(VOCAB)
    after[np.arange(n_pairs), np.array([2, 3, 5, 6])[token]] += 2
    applied = AppliedPerturbations.of(VOCAB, token[:, None].tolist())
    return PairBatch(
        vocab=GENES, before_BG=before, after_BG=after, measured_BG=np.ones_like(before, dtype=np.bool_),
        perturbed_BG=applied.targets_BG(N_GENES), before_id_B=np.arange(n_pairs), after_id_B=np.arange(n_pairs),
        applied=applied,
    )  # fmt: skip


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_learns_what_each_does_and_its_checkpoint_knows_the_names(name: str, tmp_path: Path) -> None:
    pairs = screen()
    model = GenePerturbationTransformer(preset(name, N_GENES, VOCAB))
    config = FitConfig(n_steps=150, batch_size=32, learning_rate=1e-2, warmup_steps=5)
    fit(model, FixedPairs(held=pairs), config, checkpoint=tmp_path / "model.pt")
    known = trained_predictor(tmp_path / "model.pt")
    assert known.perturbations == VOCAB
    one = AppliedPerturbations.of(PerturbationVocab(target=("drug",), kind=("compound",), gene=(-1,)), [[0]])
    answer = known.predict(control_of(pairs.rows(slice(0, 1))), Perturbation.named(one, N_GENES))
    assert int(answer[0].argmax()) == 5
    assert answer[0, 5] == pytest.approx(2, abs=0.3)
    other = PerturbationVocab(target=("drag",), kind=("compound",), gene=(-1,))
    with pytest.raises(InputError, match="perturbation 'drag' is not among the 4 of the source; nearest: drug"):
        known.predict(answer, Perturbation.named(AppliedPerturbations.of(other, [[0]]), N_GENES))


@given(screen_pairs(vocab=GENES, min_pairs=1))
def test_a_model_for_values_refuses_names_and_the_other_way_round(pairs: PairBatch) -> None:
    assert pairs.applied is not None
    with pytest.raises(InputError, match="the model reads values at genes"):
        GenePerturbationTransformer(preset("default", N_GENES))(model_batch(pairs)[0])
    with pytest.raises(InputError, match="made for other perturbations than the source gives"):
        fit(GenePerturbationTransformer(preset("default", N_GENES)), FixedPairs(held=pairs), FitConfig())
    values = replace(pairs, applied=None)
    model = GenePerturbationTransformer(preset("default", N_GENES, pairs.applied.vocab))
    with pytest.raises(InputError, match="the batch gives values at genes"):
        model(model_batch(values)[0])
    predictor = ModelPredictor(model, GENES, perturbations=pairs.applied.vocab)
    with pytest.raises(InputError, match="the batch gives values at genes"):
        predictor.predict(control_of(values), perturbation_of(values))


@pytest.mark.parametrize("name", list(PRESETS))
def test_what_training_never_showed_is_answered_as_the_mean_of_its_kind(name: str) -> None:
    known = screen(96)
    assert known.applied is not None
    unseen = ("new drug", "new gene")
    vocab = PerturbationVocab(target=("a", "b", "c", "d", *unseen), kind=("unknown",) * 6, gene=(-1, -1, -1, 1, -1, 3))
    tokens = [[token] for token in known.applied.token_BA[:, 0].tolist()]
    applied = AppliedPerturbations.of(vocab, tokens)
    pairs = replace(known, applied=applied, perturbed_BG=applied.targets_BG(N_GENES))
    model = GenePerturbationTransformer(preset(name, N_GENES, vocab))
    fit(model, FixedPairs(held=pairs), FitConfig(n_steps=150, batch_size=32, learning_rate=1e-2, warmup_steps=5))
    every = AppliedPerturbations.of(vocab, [[token] for token in range(len(vocab))])
    cells = np.zeros((len(vocab), N_GENES), dtype=np.float32)
    answer = ModelPredictor(model, GENES, perturbations=vocab).predict(cells, Perturbation.named(every, N_GENES))
    mean, size = answer[:4].mean(axis=0), np.linalg.norm(answer[:4] - answer[:4].mean(axis=0), axis=1).mean()
    assert np.linalg.norm(answer[4] - mean) < 0.75 * size
