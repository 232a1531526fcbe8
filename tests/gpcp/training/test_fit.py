"""Training learns, resumes to the letter, stops early with the best weights, and refuses what does not fit."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate, rebatched
from gpcp.core.predictors import control_of, perturbation_of
from gpcp.core.random import stream
from gpcp.model.batch import model_batch
from gpcp.model.config import ModelConfig
from gpcp.model.predictor import ModelPredictor
from gpcp.model.torch_seed import torch_seed
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig, FitResult, Precision
from gpcp.training.fit import fit, mean_loss
from gpcp.training.objective import Objective
from gpcp.training.ranks import share_of

VOCAB = GeneVocab(feature_id=("ENSG00000000001", "ENSG00000000002", "ENSG00000000003"))
SMALL = ModelConfig(n_genes=3, width=8, n_heads=2, dropout=0.2)
SMALL_SURE = replace(SMALL, dropout=0.0)
CONFIG = FitConfig(n_steps=12, batch_size=16, warmup_steps=2, evaluate_every=3, checkpoint_every=5, accelerator="cpu")


class ChainPairs:
    """Gene 0 is perturbed and gene 1 follows it, after = 2 x its value; gene 2 stays, and is unmeasured at times."""

    def __init__(self, n_pairs: int) -> None:
        self.n_pairs = n_pairs
        self.vocab = VOCAB

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        rng = stream(seed, "chain")
        before_BG = rng.standard_normal((self.n_pairs, 3)).astype(np.float32)
        after_BG = before_BG.copy()
        after_BG[:, 0] = rng.standard_normal(self.n_pairs)
        after_BG[:, 1] = 2 * after_BG[:, 0]
        measured_BG = np.ones((self.n_pairs, 3), dtype=np.bool_)
        measured_BG[:, 2] = rng.random(self.n_pairs) < 0.5
        perturbed_BG = np.zeros((self.n_pairs, 3), dtype=np.bool_)
        perturbed_BG[:, 0] = True
        whole = PairBatch(
            vocab=VOCAB,
            before_BG=np.where(measured_BG, before_BG, np.float32(0)),
            after_BG=np.where(measured_BG, after_BG, np.float32(0)),
            measured_BG=measured_BG,
            perturbed_BG=perturbed_BG,
            before_id_B=np.arange(self.n_pairs),
            after_id_B=np.arange(self.n_pairs) + self.n_pairs,
        )
        yield from rebatched([whole], batch_size=batch_size)


def held_out() -> PairBatch:
    return concatenate(ChainPairs(200).pairs(batch_size=200, seed=999))


def flat(model: GenePerturbationTransformer) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def trained(config: FitConfig = CONFIG, **options: object) -> tuple[GenePerturbationTransformer, FitResult]:
    model = GenePerturbationTransformer(SMALL, seed=1)
    # 70 pairs a pass are 4.4 batches: 12 steps meet two ends of a pass, and a smaller batch before each.
    return model, fit(model, ChainPairs(70), config, held_out=held_out(), **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_learns_a_chain() -> None:
    model = GenePerturbationTransformer(replace(SMALL, dropout=0.0))
    config = replace(CONFIG, n_steps=300, evaluate_every=100)
    before = mean_loss(model, held_out())
    result = fit(model, ChainPairs(2000), config, held_out=held_out())
    # Gene 1 has variance 4 and the untouched gene changes by 0: knowing nothing scores about 3.
    assert before > 1.0
    assert result.stopped == "finished"
    assert result.history[-1].held_out_loss == mean_loss(model, held_out()) < 0.05


def test_the_history_and_torch_s_generator() -> None:
    state = torch.get_rng_state()
    seen: list[tuple[int, float]] = []
    _, result = trained(on_step=lambda step, loss: seen.append((step, loss)))
    assert torch.equal(torch.get_rng_state(), state)
    assert [row.step for row in result.history] == [3, 6, 9, 12]
    assert [step for step, _ in seen] == list(range(1, 13))
    for row, losses in zip(result.history, np.array([loss for _, loss in seen]).reshape(4, 3), strict=True):
        assert row.train_loss == pytest.approx(losses.mean())
    assert result.history[-1].learning_rate < result.history[0].learning_rate <= CONFIG.learning_rate


def test_the_same_seed_trains_the_same_model_and_another_seed_another() -> None:
    one, same_seed, other = (trained(replace(CONFIG, seed=seed))[0] for seed in (3, 3, 4))
    assert torch.equal(flat(one), flat(same_seed))
    assert not torch.equal(flat(one), flat(other))


@pytest.mark.parametrize("stop_at", [5, 7, 10, 12])
def test_a_resumed_run_walks_the_identical_curve(stop_at: int, tmp_path: Path) -> None:
    """Stopped anywhere, also between two checkpoints and in the middle of a pass, with dropout on."""
    whole_model, whole = trained()

    def interrupt(step: int, _: float) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=path, on_step=interrupt)
    resumed_steps: list[int] = []
    model, result = trained(checkpoint=path, on_step=lambda step, _: resumed_steps.append(step))
    assert resumed_steps == list(range(stop_at - stop_at % 5 + 1 if stop_at < 12 else 13, 13))
    assert result == whole
    assert torch.equal(flat(model), flat(whole_model))


def test_a_checkpoint_of_another_configuration_or_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    trained(checkpoint=path)
    with pytest.raises(InputError, match="was made with another fit configuration"):
        trained(replace(CONFIG, learning_rate=1e-3), checkpoint=path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="is no checkpoint of gpcp"):
        trained(checkpoint=path)
    assert path.read_bytes() == b"not a checkpoint"


def test_early_stopping_keeps_the_best_weights() -> None:
    # A rate that is too high wrecks the model after a while, so an early row has the best held-out loss.
    config = replace(CONFIG, n_steps=60, learning_rate=0.3, warmup_steps=40, patience=3, evaluate_every=2)
    model, result = trained(config)
    losses = [row.held_out_loss for row in result.history if row.held_out_loss is not None]
    best = losses.index(min(losses))
    assert result.stopped == "early"
    assert len(losses) == best + 1 + 3
    assert mean_loss(model, held_out()) == pytest.approx(min(losses))


def test_a_loss_that_is_not_finite_ends_training_and_is_said(tmp_path: Path) -> None:
    model = GenePerturbationTransformer(SMALL)
    with torch.no_grad():
        next(iter(model.out.parameters())).fill_(math.inf)
    result = fit(model, ChainPairs(70), CONFIG)
    assert result.stopped == "diverged"
    assert result.n_steps == 0
    result.save(tmp_path / "history.json")
    assert json.loads((tmp_path / "history.json").read_text())["history"][-1]["train_loss"] is None


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    trained(checkpoint=path)
    old = path.read_bytes()

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    path.rename(tmp_path / "kept.pt")
    with pytest.raises(OSError, match="disk full"):
        trained(checkpoint=path)
    assert not path.exists()
    assert (tmp_path / "kept.pt").read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["kept.pt"]


def test_what_does_not_fit_is_refused() -> None:
    model = GenePerturbationTransformer(SMALL)
    other = GeneVocab(feature_id=("ENSG00000000007", "ENSG00000000008", "ENSG00000000009"))
    strange = PairBatch(**{**{name: getattr(held_out(), name) for name in PairBatch.__slots__}, "vocab": other})
    with pytest.raises(InputError, match="different vocabularies"):
        fit(model, ChainPairs(9), CONFIG, held_out=strange)
    with pytest.raises(InputError, match="early stopping"):
        fit(model, ChainPairs(9), replace(CONFIG, patience=2))
    with pytest.raises(InputError, match="the model knows 4 genes, the source has 3"):
        fit(GenePerturbationTransformer(replace(SMALL, n_genes=4)), ChainPairs(9), CONFIG)
    with pytest.raises(InputError, match=r"FitConfig\.learning_rate is 0"):
        FitConfig(learning_rate=0.0)
    with pytest.raises(InputError, match=r"FitConfig\.pair_weight 'pairs' is unknown; nearest: pair"):
        FitConfig(pair_weight="pairs")  # type: ignore[arg-type]


def test_the_predictor_gives_the_model_s_answers_in_the_order_of_the_vocabulary() -> None:
    model, pairs = GenePerturbationTransformer(SMALL, seed=2), held_out()
    predictor = ModelPredictor(model, VOCAB, batch_size=64)
    answer_BG = predictor.predict(control_of(pairs), perturbation_of(pairs))
    assert answer_BG.dtype == np.float32
    assert (answer_BG[~pairs.measured_BG] == 0).all()
    error_BG = (answer_BG - pairs.after_BG) ** 2
    assert error_BG[pairs.scored_BG].mean() == pytest.approx(mean_loss(model, pairs), rel=1e-5)
    assert model.training
    one_by_one = np.concatenate(
        [
            predictor.predict(control_of(row), perturbation_of(row))
            for row in (pairs.rows(slice(at, at + 1)) for at in range(20))
        ]
    )
    np.testing.assert_allclose(one_by_one, answer_BG[:20], rtol=1e-4, atol=1e-5)


def test_the_predictor_refuses_another_number_of_genes() -> None:
    with pytest.raises(InputError, match="the model knows 4 genes, the vocabulary has 3"):
        ModelPredictor(GenePerturbationTransformer(replace(SMALL, n_genes=4)), VOCAB)


@pytest.mark.parametrize(
    ("precision", "dtype", "within"),
    # Of bfloat16 8 bits are left of a value: a hundredth, over a few steps.
    [("64-true", torch.float64, 1e-4), ("bf16-mixed", torch.float32, 0.05), ("bf16-true", torch.bfloat16, 0.1)],
)
def test_other_precisions_walk_about_the_same_curve(precision: Precision, dtype: torch.dtype, within: float) -> None:
    config = replace(CONFIG, learning_rate=3e-3)
    usual = fit(GenePerturbationTransformer(SMALL_SURE), ChainPairs(100), config, held_out=held_out())
    model = GenePerturbationTransformer(SMALL_SURE)
    found = fit(model, ChainPairs(100), replace(config, precision=precision), held_out=held_out())
    assert model.state_identity.weight.dtype == dtype
    for row, wanted in zip(found.history, usual.history, strict=True):
        assert row.train_loss == pytest.approx(wanted.train_loss, rel=within)
        assert row.held_out_loss == pytest.approx(wanted.held_out_loss, rel=within)
    assert found.history != usual.history


@pytest.mark.parametrize("n_ranks", [2, 8])
def test_a_batch_is_dealt_in_equal_parts(n_ranks: int) -> None:
    assert share_of(CONFIG, n_ranks) * n_ranks == CONFIG.batch_size
    with pytest.raises(InputError, match=f"multiple of {n_ranks}, such as {2 * n_ranks}"):
        share_of(replace(CONFIG, batch_size=n_ranks + 1), n_ranks)


def test_what_is_recomputed_is_not_kept_and_the_same() -> None:
    """With dropout too: what was dropped is dropped again."""
    kept, found = (replace(CONFIG, recompute=recompute) for recompute in (False, True))
    config = replace(SMALL, n_encoder_blocks=2, n_decoder_blocks=2)
    models = [GenePerturbationTransformer(config) for _ in range(2)]
    curves = [fit(model, ChainPairs(100), one).history for model, one in zip(models, (kept, found), strict=True)]
    assert curves[0] == curves[1]
    assert bytes_kept(config, kept) > 2 * bytes_kept(config, found)


def bytes_kept(config: ModelConfig, training: FitConfig) -> int:
    """Bytes that one step keeps for its backward pass."""
    objective = Objective(GenePerturbationTransformer(config).train(), training)
    n_bytes = 0

    def note(kept: torch.Tensor) -> torch.Tensor:
        nonlocal n_bytes
        n_bytes += kept.numel() * kept.element_size()
        return kept

    with torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept), torch_seed(0):
        objective(*objective.of(*model_batch(held_out())))
    return n_bytes
