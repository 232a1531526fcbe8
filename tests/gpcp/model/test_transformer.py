"""What masks promise, over every combination of parts: what does not count can change nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gpcp.model.attention
from gpcp.model.attention import STATIC
from gpcp.model.batch import ModelBatch
from gpcp.model.config import PRESETS, ModelConfig, preset
from gpcp.model.queries import QUERY_FORMS
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss
from tests.gpcp.model.model_cases import N_GENES, batches, changed, columns, models

# Sums over tokens may be taken in another order; values are of the order of 1 in float64.
CLOSE = 1e-9


def assert_same(one_BL: torch.Tensor, other_BL: torch.Tensor, where_BL: torch.Tensor) -> None:
    torch.testing.assert_close(one_BL[where_BL], other_BL[where_BL], rtol=CLOSE, atol=CLOSE)


@given(model=models(), batch=batches(), junk=st.sampled_from([float("nan"), float("inf"), 1e30, -3.0]))
def test_what_stands_at_unmeasured_or_unperturbed_places_changes_no_output_and_no_gradient(
    model: GenePerturbationTransformer, batch: ModelBatch, junk: float
) -> None:
    dirty = changed(
        batch,
        before_BL=batch.before_BL.masked_fill(~batch.measured_BL, junk),
        target_BL=batch.target_BL.masked_fill(~batch.perturbed_BL, junk),
    )
    after_BL = torch.randn(batch.before_BL.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    outcomes = []
    for asked in (batch, dirty):
        model.zero_grad()
        prediction_BL = model(asked)
        masked_loss(prediction_BL, after_BL, batch.scored_BL).backward()
        gradients = [torch.zeros(()) if p.grad is None else p.grad.clone() for p in model.parameters()]
        outcomes.append((prediction_BL.detach(), gradients))
    (clean_BL, clean_gradients), (dirty_BL, dirty_gradients) = outcomes
    assert torch.equal(clean_BL, dirty_BL)
    assert all(torch.equal(one, other) for one, other in zip(clean_gradients, dirty_gradients, strict=True))


@given(model=models(), batch=batches(), data=st.data())
def test_an_unmeasured_gene_s_identity_changes_nothing_at_measured_places(
    model: GenePerturbationTransformer, batch: ModelBatch, data: st.DataObject
) -> None:
    stranger = data.draw(st.integers(0, N_GENES - 1))
    token_BL = batch.token_BL.expand(len(batch), -1)
    assert_same(
        model(batch),
        model(changed(batch, token_BL=torch.where(batch.measured_BL, token_BL, stranger))),
        batch.measured_BL,
    )


@given(model=models(), batch=batches(), seed=st.integers(0, 9))
def test_the_order_of_genes_does_not_matter(model: GenePerturbationTransformer, batch: ModelBatch, seed: int) -> None:
    order_L = torch.randperm(N_GENES, generator=torch.Generator().manual_seed(seed))
    permuted_BL = model(columns(batch, order_L))
    assert_same(model(batch)[:, order_L], permuted_BL, batch.measured_BL[:, order_L])


@given(model=models(), batch=batches(), n_padding=st.integers(1, 60))
@settings(max_examples=40)
def test_padding_does_not_matter(model: GenePerturbationTransformer, batch: ModelBatch, n_padding: int) -> None:
    # Up to 67 tokens: both ways of computing attention are met, the short one and the fused one.
    n_pairs = len(batch)
    padding = torch.zeros(n_pairs, n_padding)
    padded = ModelBatch(
        token_BL=torch.cat((batch.token_BL.expand(n_pairs, -1), padding.long()), dim=1),
        before_BL=torch.cat((batch.before_BL, padding.double() + 7), dim=1),
        target_BL=torch.cat((batch.target_BL, padding.double() - 7), dim=1),
        measured_BL=torch.cat((batch.measured_BL, padding.bool()), dim=1),
        perturbed_BL=torch.cat((batch.perturbed_BL, padding.bool()), dim=1),
    )
    assert_same(model(batch), model(padded)[:, :N_GENES], batch.measured_BL)


@given(model=models(), batch=batches(min_pairs=2), other=batches(min_pairs=4))
def test_the_rest_of_the_batch_does_not_matter(
    model: GenePerturbationTransformer, batch: ModelBatch, other: ModelBatch
) -> None:
    first = [row[:1] for row in (batch.before_BL, batch.target_BL, batch.measured_BL, batch.perturbed_BL)]
    rest = [row[:3] for row in (other.before_BL, other.target_BL, other.measured_BL, other.perturbed_BL)]
    before_BL, target_BL, measured_BL, perturbed_BL = (torch.cat(pair, dim=0) for pair in zip(first, rest, strict=True))
    token_BL = torch.cat((batch.token_BL[:1], other.token_BL.expand(len(other), -1)[:3]))
    mixed = ModelBatch(
        token_BL=token_BL,
        before_BL=before_BL,
        target_BL=target_BL,
        measured_BL=measured_BL,
        perturbed_BL=perturbed_BL,
    )
    assert_same(model(batch)[:1], model(mixed)[:1], batch.measured_BL[:1])


@given(model=models(), batch=batches())
def test_every_answer_and_every_gradient_is_finite(model: GenePerturbationTransformer, batch: ModelBatch) -> None:
    nothing = changed(
        batch,
        measured_BL=torch.zeros_like(batch.measured_BL),
        perturbed_BL=torch.zeros_like(batch.perturbed_BL),
    )
    for asked in (batch, nothing):
        model.zero_grad()
        prediction_BL = model(asked)
        prediction_BL.square().sum().backward()
        assert torch.isfinite(prediction_BL).all()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@given(model=models(), batch=batches())
def test_attention_maps_are_those_that_the_model_uses(model: GenePerturbationTransformer, batch: ModelBatch) -> None:
    maps = model.attention_maps(batch)
    for name, weight_BHQK in maps.items():
        if name.endswith(STATIC):
            # Static weights have any sign and size; what is masked has none.
            masked_BQ = ~QUERY_FORMS[model.config.query_form](batch).attend_BQ
            assert (weight_BHQK.transpose(1, 3)[masked_BQ] == 0).all(), name
            continue
        assert (weight_BHQK >= 0).all(), name
        total_BHQ = weight_BHQK.sum(dim=-1)
        # A query's weights add up to 1, or to 0 where nothing is there to attend to.
        assert (((total_BHQ - 1).abs() < 1e-9) | (total_BHQ == 0)).all(), name
        if name.endswith("to_state") or name.startswith("encoder"):
            unmeasured_BK = ~batch.measured_BL
            assert (weight_BHQK.transpose(1, 3)[unmeasured_BK] == 0).all(), name


@given(model=models(), batch=batches())
@settings(max_examples=30)
def test_the_two_ways_of_computing_attention_agree(model: GenePerturbationTransformer, batch: ModelBatch) -> None:
    plain_BL = model(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.model.attention, "_SHORT", 0)
        fused_BL = model(batch)
    assert_same(plain_BL, fused_BL, batch.measured_BL)


def full_batch(n_pairs: int = 3) -> ModelBatch:
    generator = torch.Generator().manual_seed(0)
    shape = (n_pairs, N_GENES)
    perturbed_BL = torch.zeros(shape, dtype=torch.bool)
    perturbed_BL[:, 2] = True
    return ModelBatch(
        token_BL=torch.arange(N_GENES)[None],
        before_BL=torch.randn(shape, generator=generator),
        target_BL=torch.randn(shape, generator=generator),
        measured_BL=torch.ones(shape, dtype=torch.bool),
        perturbed_BL=perturbed_BL,
    )


def test_the_default_answers_to_expression_to_dose_and_to_which_gene_is_perturbed() -> None:
    model, batch = GenePerturbationTransformer(preset("default", N_GENES)), full_batch()
    answer_BL = model(batch)
    other_dose_BL = model(changed(batch, target_BL=-batch.target_BL))
    other_gene_BL = model(changed(batch, perturbed_BL=batch.perturbed_BL.roll(1, dims=1)))
    before_BL = batch.before_BL.clone()
    before_BL[:, 0] += 1
    other_state_BL = model(changed(batch, before_BL=before_BL))
    unperturbed = [gene for gene in range(N_GENES) if gene not in (2, 3)]
    for other_BL in (other_dose_BL, other_gene_BL, other_state_BL):
        assert ((answer_BL - other_BL)[:, unperturbed].abs() > 1e-6).all()


@pytest.mark.parametrize("name", PRESETS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = GenePerturbationTransformer(preset(name, N_GENES)).double()
    model(full_batch().to(torch.device("cpu"), torch.float64)).square().sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not (p.grad.abs() > 1e-12).any()}
    assert not without


def test_the_seed_cannot_tell_one_gene_of_another() -> None:
    """With every gene a query and none attending to another, the change of one gene reaches that gene alone."""
    model, batch = GenePerturbationTransformer(preset("seed", N_GENES)).double(), full_batch()
    batch = batch.to(torch.device("cpu"), torch.float64)
    moved_BL = model(changed(batch, target_BL=batch.target_BL + 1)) - model(batch)
    assert (moved_BL[:, 2].abs() > 1e-9).all()
    assert (moved_BL[:, [gene for gene in range(N_GENES) if gene != 2]] == 0).all()


def test_the_seed_gives_all_genes_without_change_the_same_answer() -> None:
    """Embedding times a change of 0 is 0 whichever the gene: such queries have no identity."""
    model = GenePerturbationTransformer(preset("seed", N_GENES)).double()
    answer_BL = model(full_batch().to(torch.device("cpu"), torch.float64))
    unchanged_BL = answer_BL[:, [gene for gene in range(N_GENES) if gene != 2]]
    torch.testing.assert_close(unchanged_BL, unchanged_BL[:, :1].expand_as(unchanged_BL), rtol=CLOSE, atol=CLOSE)


def test_weights_come_from_the_seed_and_leave_torch_s_generator_alone() -> None:
    state = torch.get_rng_state()
    one, same_seed, other = (GenePerturbationTransformer(ModelConfig(n_genes=3), seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (one, same_seed, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_units_are_each_gene_s_own_mean_and_spread_over_measured_cells() -> None:
    model = GenePerturbationTransformer(ModelConfig(n_genes=3))
    batch = ModelBatch(
        token_BL=torch.tensor([[0, 1, 2]]),
        before_BL=torch.tensor([[1.0, 5.0, float("nan")], [3.0, 5.0, float("nan")]]),
        target_BL=torch.zeros(2, 3),
        measured_BL=torch.tensor([[True, True, False], [True, True, False]]),
        perturbed_BL=torch.zeros(2, 3, dtype=torch.bool),
    )
    model.learn_units(batch)
    assert model.centre_G.tolist() == [2.0, 5.0, 0.0]
    assert model.spread_G.tolist() == [1.0, 1.0, 1.0]
    assert torch.isfinite(model(batch)).all()
