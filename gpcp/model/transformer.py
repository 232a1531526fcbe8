"""``GenePerturbationTransformer``: an encoder over the state, a decoder whose queries carry the perturbation.

The order of genes in a batch changes nothing: tokens are a set, known by their identities and masks.
"""

from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from gpcp.core.errors import InputError
from gpcp.model.attention import Maps, MultiHeadAttention, Residual, feed_forward
from gpcp.model.batch import ModelBatch
from gpcp.model.config import ModelConfig
from gpcp.model.embedding import VALUE_EMBEDDINGS
from gpcp.model.heads.distribution import Mixture
from gpcp.model.heads.registry import HEADS, gives_distribution
from gpcp.model.mixing import query_mixing
from gpcp.model.perturbations import PerturbationTokens
from gpcp.model.queries import QUERY_FEATURES, QUERY_FORMS
from gpcp.model.torch_seed import torch_seed


@final
class EncoderBlock(nn.Module):
    """Self-attention between the genes of the state, then feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.among = _attention(config)
        self.feed_forward = _feed_forward(config)

    def forward(self, state_BLD: Tensor, attend_BL: Tensor | None, maps: Maps | None, name: str) -> Tensor:
        """The state after this block, (B, L, D)."""
        return self.feed_forward(self.among(state_BLD, None, attend_BL, maps, name))


@final
class DecoderBlock(nn.Module):
    """Self-attention between queries, cross-attention to the encoded state, feed-forward; the first two optional."""

    def __init__(self, config: ModelConfig, *, looks_at_state: bool) -> None:
        super().__init__()
        self.among = _among(config) if config.query_attention else None
        self.cross = _attention(config) if looks_at_state else None
        self.feed_forward = _feed_forward(config)

    def forward(
        self, query_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor, state_BLD: Tensor | None,
        attend_BL: Tensor | None, maps: Maps | None, name: str,
    ) -> Tensor:  # fmt: skip
        """The queries after this block, (B, Q, D)."""
        if self.among is not None:
            query_BQD = self.among(query_BQD, None, attend_BQ, maps, f"{name}.among_queries", gene_BQ)
        if self.cross is not None and state_BLD is not None:
            asked_BQD = query_BQD
            if len(query_BQD) != len(state_BLD):
                # Several perturbations of one cell share its state: their queries ask it as those of one long row.
                asked_BQD = query_BQD.reshape(len(state_BLD), -1, query_BQD.shape[-1])
            query_BQD = self.cross(asked_BQD, state_BLD, attend_BL, maps, f"{name}.to_state").view_as(query_BQD)
        return self.feed_forward(query_BQD)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodedState:
    """What queries look at: the state of some cells, in which no perturbation is.

    Parameters
    ----------
    state_BLD : float, (B, L, D), or None
        None where the model has no encoder and no query looks at the state.
    attend_BL : bool, (B, L), or None
        True where the token counts; None where all do.
    """

    state_BLD: Tensor | None
    attend_BL: Tensor | None


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Decoded:
    """What the head is asked with, and how its answer becomes expression: ``shift + spread x answer``."""

    query_BQD: Tensor
    attend_BQ: Tensor
    token_BL: Tensor
    shift_BL: Tensor
    spread_BL: Tensor

    @property
    def asked(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query_BQD, self.attend_BQ, self.token_BL


@final
class GenePerturbationTransformer(nn.Module):
    """Predicts expression after a perturbation from expression before and what is given of the perturbation.

    That is the values at perturbed genes, or, of a model whose configuration has ``perturbations``, which of them.

    Parameters
    ----------
    config : ModelConfig
    seed : int
        Decides the initial weights; torch's global generator is left as it was.

    Attributes
    ----------
    recomputes : bool
        Whether what happens within blocks is computed anew for gradients rather than kept.
    """

    def __init__(self, config: ModelConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.recomputes = False
        n_features, self._features = QUERY_FEATURES[config.query_features]
        self._query_form = QUERY_FORMS[config.query_form]
        embed = VALUE_EMBEDDINGS[config.value_embedding]
        _, head = HEADS[config.head]
        with torch_seed(seed):
            looks = config.cross_attention != "none"
            state_identity = nn.Embedding(config.n_genes, config.width) if looks else None
            self.query_identity = nn.Embedding(config.n_genes, config.width)
            # Where no query looks at the state there is none, and no parameter that nothing would reach.
            self.state_identity = self.query_identity if state_identity is None else state_identity
            state_value = embed(1, config.width) if looks else None
            self.query_value = embed(n_features, config.width)
            self.state_value = self.query_value if state_value is None else state_value
            self.encoder = nn.ModuleList(EncoderBlock(config) for _ in range(config.n_encoder_blocks))
            self.decoder = nn.ModuleList(
                DecoderBlock(config, looks_at_state=config.cross_attention == "every" or (looks and block == 0))
                for block in range(config.n_decoder_blocks)
            )
            self.out = head(config.n_genes, config.width)
            self.perturbations = _perturbations(config)
        self.skip_G = nn.Parameter(torch.zeros(config.n_genes)) if config.skip else None
        self.centre_G: Tensor
        self.spread_G: Tensor
        self.register_buffer("centre_G", torch.zeros(config.n_genes))
        self.register_buffer("spread_G", torch.ones(config.n_genes))

    def forward(self, batch: ModelBatch, maps: Maps | None = None, state: EncodedState | None = None) -> Tensor:
        """Expected expression after, float (B, L), at every position of the batch.

        Values at perturbed and at unmeasured positions are never scored. ``maps``, where given, is filled with
        every layer's attention weights. ``state``, where given, is that of fewer cells, each with as many
        perturbations in the batch, one cell after the other: :meth:`encoded` is then not done again for each.

        Raises
        ------
        InputError
            The batch gives perturbations by name to a model without any, or values to one that has them.
        """
        decoded = self._decoded(batch, maps, state)
        return decoded.shift_BL + decoded.spread_BL * self.out(*decoded.asked)

    @property
    def gives_distribution(self) -> bool:
        """Whether its head predicts a distribution."""
        return gives_distribution(self.config.head)

    def distribution(self, batch: ModelBatch) -> Mixture:
        """Distribution of expression after, in its own units, at every position; its mean is ``forward``'s answer.

        Raises
        ------
        InputError
            The head gives a mean alone.
        """
        if not self.gives_distribution:
            known = ", ".join(repr(name) for name in HEADS if gives_distribution(name))
            raise InputError(
                f"the head {self.config.head!r} gives a mean alone and no distribution: choose one of {known} in "
                "ModelConfig.head, or train by squared errors (FitConfig.objective 'squared')"
            )
        decoded = self._decoded(batch, None, None)
        head: Any = self.out
        mixture: Mixture = head.distribution(*decoded.asked)
        return mixture.in_units(decoded.spread_BL, decoded.shift_BL)

    def distribution_parameters(self, batch: ModelBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Of :meth:`distribution`, as bare tensors: what wrappers of several processes look through for gradients."""
        return self.distribution(batch).parameters

    def encoded(self, batch: ModelBatch, maps: Maps | None = None) -> EncodedState:
        """The state of the cells before, whatever their perturbations."""
        attend_BL = None if bool(batch.measured_BL.all()) else batch.measured_BL
        if self.config.cross_attention == "none":
            return EncodedState(state_BLD=None, attend_BL=attend_BL)
        state_BLD = self.state_value(self.state_identity(batch.token_BL), self._before(batch)[..., None])
        for block, layer in enumerate(self.encoder):
            state_BLD = self._through(layer, state_BLD, attend_BL, maps, f"encoder.{block}")
        return EncodedState(state_BLD=state_BLD, attend_BL=attend_BL)

    def _before(self, batch: ModelBatch) -> Tensor:
        """Expression before in the units of its gene, (B, L)."""
        # Values at unmeasured positions are dropped here, before any arithmetic: NaN x 0 is NaN, in a gradient too.
        centre_BL, spread_BL = self.centre_G[batch.token_BL], self.spread_G[batch.token_BL]
        return torch.where(batch.measured_BL, (batch.before_BL - centre_BL) / spread_BL, 0.0)

    def _decoded(self, batch: ModelBatch, maps: Maps | None, state: EncodedState | None) -> _Decoded:
        state = self.encoded(batch, maps) if state is None else state
        centre_BL, spread_BL = self.centre_G[batch.token_BL], self.spread_G[batch.token_BL]
        before_BL = self._before(batch)
        gene_BQ, query_BQD, attended_BQ = self._queries(batch, before_BL)
        attend_BQ = None if bool(attended_BQ.all()) else attended_BQ
        for turn in range(self.config.n_rounds):
            for block, layer in enumerate(self.decoder):
                name = f"decoder.{turn}.{block}"
                query_BQD = self._through(
                    layer, query_BQD, attend_BQ, gene_BQ, state.state_BLD, state.attend_BL, maps, name
                )

        shift_BL = centre_BL
        if self.skip_G is not None:
            shift_BL = centre_BL + spread_BL * (self.skip_G[batch.token_BL] * before_BL)
        return _Decoded(
            query_BQD=query_BQD,
            attend_BQ=attended_BQ,
            token_BL=batch.token_BL,
            shift_BL=shift_BL,
            spread_BL=spread_BL,
        )

    def _queries(self, batch: ModelBatch, before_BL: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gene of each query, the queries, and which are some: (B or 1, Q), (B, Q, D), (B, Q)."""
        self._check_given(batch)
        token_BAD, reading = None, None
        if self.perturbations is not None:
            token_BAD = self.perturbations(batch.applied_BA, batch.dose_BA, self.query_identity)
            reading = self.perturbations.reading
            if reading is None:
                return batch.applied_BA, token_BAD, batch.applied_BA >= 0
        queries, given_BL = self._query_form(batch), batch.given_BL
        centre_BL, spread_BL = self.centre_G[batch.token_BL], self.spread_G[batch.token_BL]
        target_BL = torch.where(given_BL, (batch.target_BL - centre_BL) / spread_BL, 0.0)
        features_BLF = self._features(before_BL, target_BL, given_BL.to(before_BL.dtype))
        features_BQF = torch.stack([queries.take(value_BL) for value_BL in features_BLF.unbind(-1)], dim=-1)
        gene_BQ = queries.take(batch.token_BL)
        identity_BQD = self.query_identity(gene_BQ)
        query_BQD = self.query_value(identity_BQD, features_BQF)
        if token_BAD is not None and reading is not None:
            query_BQD = query_BQD + reading(token_BAD, identity_BQD)
        return gene_BQ, query_BQD, queries.attend_BQ

    def _check_given(self, batch: ModelBatch) -> None:
        if (self.perturbations is not None) != bool(batch.applied_BA.shape[1]):
            raise InputError(
                "the model reads perturbations by name, and the batch gives values at genes: make the model without "
                "ModelConfig.perturbations"
                if self.perturbations is not None
                else "the batch gives perturbations by name, and the model reads values at genes: make it for the "
                "source, ModelConfig.perturbations (gpcp.model.config.made_for)"
            )

    def _through(self, layer: nn.Module, *args: object) -> Tensor:
        """What a block makes of its arguments."""
        if not self.recomputes:
            return layer(*args)
        through: Tensor = cast("Any", checkpoint).checkpoint(layer, *args, use_reentrant=False)
        return through

    def attention_maps(self, batch: ModelBatch) -> Maps:
        """Every layer's attention weights by its name, each (B, H, Q, K); weights of masked tokens are 0."""
        maps: Maps = {}
        self(batch, maps)
        return maps

    @torch.no_grad()
    def learn_units(self, batch: ModelBatch) -> None:
        """Take each gene's mean and standard deviation before as its units, where the configuration asks for it.

        A gene that is never measured, or never varies, keeps centre 0 (or its value) and spread 1.
        """
        if not self.config.standardise:
            return
        token_BL = batch.token_BL.expand(len(batch), -1)[batch.measured_BL]
        value = batch.before_BL[batch.measured_BL].to(self.centre_G.dtype)
        zero_G = torch.zeros_like(self.centre_G)
        n_G = zero_G.index_add(0, token_BL, torch.ones_like(value)).clamp(min=1)
        centre_G = zero_G.index_add(0, token_BL, value) / n_G
        variance_G = zero_G.index_add(0, token_BL, (value - centre_G[token_BL]) ** 2) / n_G
        self.centre_G.copy_(centre_G)
        self.spread_G.copy_(torch.where(variance_G > 1e-12, variance_G.sqrt(), torch.ones_like(variance_G)))


def _attention(config: ModelConfig) -> Residual:
    attention = MultiHeadAttention(config.width, config.n_heads, qk_norm=config.qk_norm)
    return Residual(attention, width=config.width, norm=config.norm, dropout=config.dropout)


def _among(config: ModelConfig) -> Residual:
    mixing = query_mixing(config.query_mixing, config.n_genes, config.width, config.n_heads, qk_norm=config.qk_norm)
    return Residual(mixing, width=config.width, norm=config.norm, dropout=config.dropout)


def _perturbations(config: ModelConfig) -> PerturbationTokens | None:
    if not config.perturbations:
        return None
    return PerturbationTokens(config.perturbations, config.width, are_queries=config.query_form == "perturbed_genes")


def _feed_forward(config: ModelConfig) -> Residual:
    layers = feed_forward(config.width, config.feed_forward_ratio)
    return Residual(layers, width=config.width, norm=config.norm, dropout=config.dropout)
