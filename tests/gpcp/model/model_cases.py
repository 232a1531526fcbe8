"""Every combination of the model's parts, and random batches for them, in float64."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from gpcp.model.attention import NORMS
from gpcp.model.batch import ModelBatch
from gpcp.model.config import CROSS_ATTENTION, PRESETS, ModelConfig, preset
from gpcp.model.embedding import VALUE_EMBEDDINGS
from gpcp.model.heads.registry import HEADS
from gpcp.model.mixing import MIXINGS, StaticMixing
from gpcp.model.queries import QUERY_FEATURES, QUERY_FORMS
from gpcp.model.transformer import GenePerturbationTransformer

N_GENES = 7


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """A preset, or any parts that fit each other, small."""
    if draw(st.integers(0, 4)) == 0:
        return preset(draw(st.sampled_from(list(PRESETS))), N_GENES)
    head = draw(st.sampled_from(list(HEADS)))
    own = HEADS[head][0] == "own"
    cross_attention = draw(st.sampled_from(CROSS_ATTENTION))
    return ModelConfig(
        n_genes=N_GENES,
        width=8,
        n_heads=draw(st.sampled_from([1, 2])),
        n_encoder_blocks=0 if cross_attention == "none" else draw(st.integers(0, 2)),
        n_decoder_blocks=draw(st.integers(1, 2)),
        n_rounds=draw(st.integers(1, 2)),
        value_embedding=draw(st.sampled_from(list(VALUE_EMBEDDINGS))),
        query_form="all_genes" if own else draw(st.sampled_from(list(QUERY_FORMS))),
        query_features=draw(st.sampled_from(list(QUERY_FEATURES))),
        query_attention=draw(st.booleans()),
        query_mixing=draw(st.sampled_from(list(MIXINGS))),
        cross_attention=cross_attention,  # pyright: ignore[reportArgumentType]
        head=head,
        norm=draw(st.sampled_from(list(NORMS))),
        qk_norm=draw(st.booleans()),
        skip=draw(st.booleans()),
        standardise=draw(st.booleans()),
    )


@st.composite
def models(draw: st.DrawFn) -> GenePerturbationTransformer:
    """A model in float64 and evaluation mode, with units of its own where it has them."""
    model = GenePerturbationTransformer(draw(configs()), seed=draw(st.integers(0, 3))).double().eval()
    generator = torch.Generator().manual_seed(draw(st.integers(0, 3)))
    with torch.no_grad():
        model.centre_G.copy_(torch.randn(N_GENES, generator=generator))
        model.spread_G.copy_(torch.rand(N_GENES, generator=generator) + 0.5)
        for part in model.modules():
            if isinstance(part, StaticMixing):
                # They begin at 0, at which nothing could be seen of them.
                part.weight_HGG.copy_(torch.randn(part.weight_HGG.shape, generator=generator))
    return model


@st.composite
def batches(draw: st.DrawFn, *, min_pairs: int = 1) -> ModelBatch:
    """Pairs with any masks; tokens in any order, the same for all pairs or not."""
    n_pairs = draw(st.integers(min_pairs, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    shared = draw(st.booleans())
    token_BL = torch.stack([torch.randperm(N_GENES, generator=generator) for _ in range(1 if shared else n_pairs)])
    p_measured, p_perturbed = draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.sampled_from([0.0, 0.4, 1.0]))
    shape = (n_pairs, N_GENES)
    measured_BL = torch.rand(shape, generator=generator) < p_measured
    return ModelBatch(
        token_BL=token_BL,
        before_BL=torch.randn(shape, generator=generator, dtype=torch.float64),
        target_BL=torch.randn(shape, generator=generator, dtype=torch.float64),
        measured_BL=measured_BL,
        perturbed_BL=measured_BL & (torch.rand(shape, generator=generator) < p_perturbed),
    )


def fields_of(batch: ModelBatch) -> dict[str, Tensor]:
    """Every field by its name."""
    names = ("token_BL", "before_BL", "target_BL", "measured_BL", "perturbed_BL")
    return {name: getattr(batch, name) for name in names}


def changed(batch: ModelBatch, **fields: Tensor) -> ModelBatch:
    """The batch with some fields replaced."""
    return ModelBatch(**{**fields_of(batch), **fields})


def columns(batch: ModelBatch, place_L: Tensor) -> ModelBatch:
    """The batch with its places in another order, or only some of them."""
    return ModelBatch(**{name: value_BL[:, place_L] for name, value_BL in fields_of(batch).items()})
