"""Training by likelihood learns the spread, leaves what is not scored alone, and is refused where there is none."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate, rebatched
from gpcp.core.random import stream
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.config import ModelConfig
from gpcp.model.heads.distribution import Mixture
from gpcp.model.heads.registry import HEADS, gives_distribution
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit, mean_loss
from gpcp.training.loss import PAIR_WEIGHTS, PairWeight, masked_nll
from tests.gpcp.model.heads.test_distribution import mixtures
from tests.gpcp.model.model_cases import N_GENES, batches, changed, columns

DISTRIBUTIONS = [name for name in HEADS if gives_distribution(name)]
VOCAB = GeneVocab(feature_id=("ENSG00000000001", "ENSG00000000002", "ENSG00000000003"))
CONFIG = FitConfig(
    n_steps=12, batch_size=16, warmup_steps=2, evaluate_every=3, checkpoint_every=5, accelerator="cpu",
    objective="likelihood",
)  # fmt: skip
SD = 0.5


class NoisyChain:
    """Gene 0 is perturbed and gene 1 follows it with noise of SD .5; gene 2 is unmeasured in half of the pairs."""

    def __init__(self, n_pairs: int) -> None:
        self.n_pairs = n_pairs
        self.vocab = VOCAB

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        rng = stream(seed, "noisy chain")
        before_BG, after_BG = (rng.standard_normal((self.n_pairs, 3)).astype(np.float32) for _ in range(2))
        after_BG[:, 1] = after_BG[:, 0] + SD * rng.standard_normal(self.n_pairs)
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


def small(head: str) -> GenePerturbationTransformer:
    return GenePerturbationTransformer(ModelConfig(n_genes=3, width=8, n_heads=2, head=head))


@given(
    said=mixtures(), weight=st.sampled_from(PAIR_WEIGHTS), seed=st.integers(0, 99), p=st.sampled_from([0.0, 0.5, 1.0])
)
def test_the_closed_form_and_what_is_not_scored(said: Mixture, weight: PairWeight, seed: int, p: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = said.mean_BL.shape
    after_BL = torch.randn(shape, generator=generator, dtype=torch.float64)
    scored_BL = torch.rand(shape, generator=generator) < p
    nll_BL = -said.log_density(after_BL)
    if weight == "entry":
        expected = float(nll_BL[scored_BL].mean()) if scored_BL.any() else 0.0
    else:
        means = [float(one_L[kept_L].mean()) for one_L, kept_L in zip(nll_BL, scored_BL, strict=True) if kept_L.any()]
        expected = float(np.mean(means)) if means else 0.0
    assert float(masked_nll(said, after_BL, scored_BL, weight)) == pytest.approx(expected, rel=1e-10, abs=1e-12)

    # NaN where nothing is scored, in what is said and in what is stored: neither the value nor a gradient moves.
    poisoned = [torch.where(scored_BL[..., None], one_BLM, math.nan).requires_grad_() for one_BLM in said.parameters]
    usual = [one_BLM.clone().requires_grad_() for one_BLM in said.parameters]
    outcomes = []
    for parameters, values_BL in ((usual, after_BL), (poisoned, torch.where(scored_BL, after_BL, math.nan))):
        logit_BLM, mean_BLM, log_sd_BLM = parameters
        one = Mixture(logit_BLM=logit_BLM, mean_BLM=mean_BLM, log_sd_BLM=log_sd_BLM)
        loss = masked_nll(one, values_BL, scored_BL, weight)
        outcomes.append((float(loss.detach()), torch.autograd.grad(loss, parameters)))
    assert outcomes[0][0] == outcomes[1][0]
    for usual_BLM, poisoned_BLM in zip(outcomes[0][1], outcomes[1][1], strict=True):
        assert torch.equal(usual_BLM, poisoned_BLM)
        assert (poisoned_BLM[~scored_BL] == 0).all()


@pytest.mark.parametrize("head", DISTRIBUTIONS)
@given(batch=batches(), seed=st.integers(0, 99))
def test_the_model_s_distribution_has_its_answer_as_mean_whatever_the_order(
    head: str, batch: ModelBatch, seed: int
) -> None:
    model = GenePerturbationTransformer(ModelConfig(n_genes=N_GENES, width=8, n_heads=2, head=head), seed=seed).double()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        model.centre_G.copy_(torch.randn(N_GENES, generator=generator))
        model.spread_G.copy_(torch.rand(N_GENES, generator=generator) + 0.5)
        said, answer_BL = model.distribution(batch), model(batch)
        order_L = torch.randperm(N_GENES, generator=generator)
        moved = model.distribution(columns(batch, order_L))
        hidden = changed(batch, before_BL=torch.where(batch.measured_BL, batch.before_BL, math.nan))
        without = model.distribution(hidden)
    measured_BL = batch.measured_BL
    torch.testing.assert_close(said.mean_BL[measured_BL], answer_BL[measured_BL], rtol=1e-10, atol=1e-10)
    assert (said.variance_BL > 0).all()
    kept_BL = measured_BL[:, order_L]
    torch.testing.assert_close(moved.variance_BL[kept_BL], said.variance_BL[:, order_L][kept_BL], rtol=1e-9, atol=1e-12)
    for one_BLM, other_BLM in zip(said.parameters, without.parameters, strict=True):
        torch.testing.assert_close(one_BLM[measured_BL], other_BLM[measured_BL], rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("head", DISTRIBUTIONS)
def test_it_learns_how_sure_it_can_be(head: str) -> None:
    config = replace(CONFIG, n_steps=150, batch_size=64, warmup_steps=15)
    model = small(head)
    held_out = concatenate(NoisyChain(500).pairs(batch_size=500, seed=99))
    start = mean_loss(model, held_out)
    result = fit(model, NoisyChain(150 * 64), config, held_out=held_out)
    batch, _ = model_batch(held_out)
    with torch.no_grad():
        sd_BL = model.distribution(batch).variance_BL.sqrt()
    # Gene 1 has the SD .5 of its noise, gene 2, where it is measured, its own of 1. What 9,600 pairs and 150 steps
    # leave of both is a tenth; .5 and 1 lie far apart.
    assert float(sd_BL[:, 1].mean()) == pytest.approx(SD, rel=0.15)
    assert float(sd_BL[:, 2][batch.measured_BL[:, 2]].mean()) == pytest.approx(1.0, rel=0.15)
    # The reported loss is the mean's squared error: at best .25 x 2/3 + 1 x 1/3 = .5.
    losses = [row.held_out_loss for row in result.history]
    assert losses[-1] == pytest.approx(mean_loss(model, held_out), rel=1e-6)
    assert mean_loss(model, held_out) < min(0.6, start)


@pytest.mark.parametrize("head", DISTRIBUTIONS)
@pytest.mark.parametrize(("fields", "n_pairs"), [({"batch_size": 1}, 12), ({"precision": "bf16-mixed"}, 200)])
def test_a_batch_of_one_and_half_precision(head: str, fields: dict[str, object], n_pairs: int) -> None:
    result = fit(small(head), NoisyChain(n_pairs), replace(CONFIG, **fields))  # pyright: ignore[reportArgumentType]
    assert result.stopped == "finished"
    assert all(math.isfinite(row.train_loss) for row in result.history)


def test_a_resumed_run_walks_the_identical_curve(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        del loss
        if step == 7:
            raise StopError

    whole, resumed = small("gaussian"), small("gaussian")
    expected = fit(whole, NoisyChain(100), CONFIG)
    with pytest.raises(StopError):
        fit(resumed, NoisyChain(100), CONFIG, checkpoint=tmp_path / "c.pt", on_step=stop)
    again = fit(small("gaussian"), NoisyChain(100), CONFIG, checkpoint=tmp_path / "c.pt")
    assert again.history == expected.history


def test_a_checkpoint_and_a_configuration_from_before_there_was_an_objective(tmp_path: Path) -> None:
    fields = FitConfig().to_json()
    del fields["objective"]
    assert FitConfig(**fields) == FitConfig()

    path = tmp_path / "c.pt"
    squared = replace(CONFIG, objective="squared")
    fit(small("linear"), NoisyChain(100), squared, checkpoint=path)
    state = torch.load(path, weights_only=True)
    del state["made_with"]["fit configuration"]["objective"]
    torch.save(state, path)
    assert fit(small("linear"), NoisyChain(100), squared, checkpoint=path).stopped == "finished"


def test_a_head_without_a_distribution_is_refused_before_training_with_advice() -> None:
    def never(step: int, loss: float) -> None:
        raise AssertionError(f"step {step} was trained, {loss}")

    model = small("linear")
    with pytest.raises(InputError, match="'linear' gives a mean alone: choose one of 'gaussian', 'mixture'"):
        fit(model, NoisyChain(100), CONFIG, on_step=never)
    batch, _ = model_batch(concatenate(NoisyChain(4).pairs(batch_size=4, seed=0)))
    with pytest.raises(InputError, match="choose one of 'gaussian', 'mixture' in ModelConfig"):
        model.distribution(batch)
    with pytest.raises(InputError, match="likelihood"):
        FitConfig(objective="likelyhood")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("head", DISTRIBUTIONS)
def test_by_squared_errors_the_mean_is_learnt_and_the_spread_stays(head: str) -> None:
    model = small(head)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, NoisyChain(400), replace(CONFIG, objective="squared"))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("out.log_sd") for name in moved)
    assert any(name.startswith("out.") for name in moved)
