"""What a model is made of: a frozen configuration, and the presets that the commands offer."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, final

from gpcp.core.errors import InputError, nearest
from gpcp.core.perturbations import KINDS, PerturbationVocab
from gpcp.core.registry import Registry
from gpcp.model.attention import NORMS
from gpcp.model.embedding import VALUE_EMBEDDINGS
from gpcp.model.heads.registry import HEADS
from gpcp.model.mixing import MIXINGS
from gpcp.model.queries import QUERY_FEATURES, QUERY_FORMS

CROSS_ATTENTION = ("every", "first", "none")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The parts of a :class:`gpcp.model.transformer.GenePerturbationTransformer`.

    Parameters
    ----------
    n_genes : int
        Genes of the vocabulary.
    width, n_heads : int
        Size of a token; heads of every attention, which divide it.
    n_encoder_blocks, n_decoder_blocks : int
    n_rounds : int
        How often the decoder's blocks are gone through, with the same weights each time.
    feed_forward_ratio : int
        Hidden size of the feed-forward sublayers, in widths.
    value_embedding, query_form, query_features, head, norm : str
        Names in their registries.
    query_attention : bool
        Whether queries attend to each other, without which one gene's change cannot reach another gene's answer
        where each gene answers for itself.
    query_mixing : str
        How queries meet, where they do: a name of :data:`gpcp.model.mixing.MIXINGS`.
    cross_attention : "every", "first" or "none"
        Whether every decoder block looks at the encoded state, or the first of each round only, or none: there is no
        encoder then, and queries carry the state of their own gene alone.
    qk_norm : bool
        Whether attention normalises its queries and keys.
    skip : bool
        Whether a learnt multiple of the gene's own expression before is added to its answer.
    standardise : bool
        Whether the model works in units of each gene's own mean and spread, learnt from its first batch.
    dropout : float
        Share of every sublayer's answer that training drops.
    perturbations : tuple of (int, int)
        Of each perturbation that the model reads by name, the token of its gene, or -1, and its kind as a position in
        :data:`gpcp.core.perturbations.KINDS`; :func:`made_for` takes them from a source. Empty for a model that is
        given values at genes.

    Raises
    ------
    InputError
        A name is unknown (the nearest are given), a number is out of range, or the parts do not fit.
    """

    n_genes: int
    width: int = 32
    n_heads: int = 4
    n_encoder_blocks: int = 1
    n_decoder_blocks: int = 2
    n_rounds: int = 2
    feed_forward_ratio: int = 2
    value_embedding: str = "identity_plus_mlp"
    query_form: str = "all_genes"
    query_features: str = "delta_and_state"
    query_attention: bool = True
    query_mixing: str = "softmax"
    cross_attention: Literal["every", "first", "none"] = "first"
    head: str = "per_gene_mlp"
    norm: str = "none"
    qk_norm: bool = True
    skip: bool = True
    standardise: bool = True
    dropout: float = 0.0
    perturbations: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        # JSON has lists.
        object.__setattr__(self, "perturbations", tuple((int(gene), int(kind)) for gene, kind in self.perturbations))
        for name in ("n_genes", "width", "n_heads", "n_decoder_blocks", "n_rounds", "feed_forward_ratio"):
            if getattr(self, name) < 1:
                raise InputError(f"ModelConfig.{name} is {getattr(self, name)}: it must be at least 1")
        if self.n_encoder_blocks < 0:
            raise InputError(f"ModelConfig.n_encoder_blocks is {self.n_encoder_blocks}: it must be 0 or more")
        if self.width % self.n_heads:
            raise InputError(f"ModelConfig.width is {self.width}: it must be a multiple of n_heads, {self.n_heads}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"ModelConfig.dropout is {self.dropout}: it must be in [0, 1)")
        for name, registry in (
            ("value_embedding", VALUE_EMBEDDINGS),
            ("query_form", QUERY_FORMS),
            ("query_features", QUERY_FEATURES),
            ("query_mixing", MIXINGS),
            ("head", HEADS),
            ("norm", NORMS),
        ):
            if getattr(self, name) not in registry:
                raise InputError(
                    f"ModelConfig.{name} {getattr(self, name)!r} is unknown; {nearest(getattr(self, name), registry)}"
                )
        if self.cross_attention not in CROSS_ATTENTION:
            raise InputError(
                f"ModelConfig.cross_attention {self.cross_attention!r} is unknown; "
                f"{nearest(self.cross_attention, CROSS_ATTENTION)}"
            )
        if self.cross_attention == "none" and self.n_encoder_blocks:
            raise InputError(
                f"ModelConfig.cross_attention is 'none' and n_encoder_blocks {self.n_encoder_blocks}: nothing would "
                "look at what the encoder gives; set n_encoder_blocks to 0"
            )
        if not all(-1 <= gene < self.n_genes and 0 <= kind < len(KINDS) for gene, kind in self.perturbations):
            raise InputError(f"ModelConfig.perturbations names genes outside 0 .. {self.n_genes - 1}, or unknown kinds")
        if self.perturbations and self.query_form == "perturbed_genes" and self.query_mixing != "softmax":
            raise InputError(
                "ModelConfig.query_form 'perturbed_genes' makes queries of perturbations that have names, for which "
                f"query_mixing {self.query_mixing!r} has no weights: choose 'softmax'"
            )
        reads, _ = HEADS[self.head]
        if reads == "own" and self.query_form != "all_genes":
            raise InputError(
                f"ModelConfig.head {self.head!r} needs a query for every gene, which query_form "
                f"{self.query_form!r} does not give: choose the head 'pooled' or the query form 'all_genes'"
            )

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types; ``ModelConfig(**fields)`` is the way back.

        Perturbations are left out where there are none.
        """
        known = asdict(self)
        known["perturbations"] = [list(one) for one in self.perturbations]
        return {name: value for name, value in known.items() if name != "perturbations" or value}


Preset = Callable[[int], ModelConfig]
PRESETS: Registry[Preset] = Registry("preset")
"""Configurations by name, each a function of the number of genes; :func:`preset` calls one."""


@PRESETS.register("default")
def default(n_genes: int) -> ModelConfig:
    """The author's idea, repaired: every gene is a query with an identity, and queries attend to each other."""
    return ModelConfig(n_genes=n_genes)


@PRESETS.register("mixing")
def mixing(n_genes: int) -> ModelConfig:
    """Learnt weights between genes in place of attention, in one block gone through four times; for many genes."""
    return ModelConfig(
        n_genes=n_genes,
        n_encoder_blocks=0,
        n_decoder_blocks=1,
        n_rounds=4,
        query_mixing="static",
        cross_attention="none",
    )


def _seed(n_genes: int, *, query_form: str, head: str) -> ModelConfig:
    return ModelConfig(
        n_genes=n_genes,
        n_decoder_blocks=1,
        n_rounds=1,
        value_embedding="product",
        query_form=query_form,
        query_features="delta",
        query_attention=False,
        cross_attention="every",
        head=head,
        norm="post",
        qk_norm=False,
        skip=False,
        standardise=False,
    )


@PRESETS.register("seed")
def seed(n_genes: int) -> ModelConfig:
    """The author's architecture to the letter, every gene a query: embedding x change, cross-attention, ``out``."""
    return _seed(n_genes, query_form="all_genes", head="linear")


@PRESETS.register("seed_perturbed")
def seed_perturbed(n_genes: int) -> ModelConfig:
    """The author's architecture to the letter, only perturbed genes queries: ``out`` over their mean."""
    return _seed(n_genes, query_form="perturbed_genes", head="pooled")


def made_for(config: ModelConfig, perturbations: PerturbationVocab | None) -> ModelConfig:
    """The same model for a source with these perturbations, or for one that gives values at genes."""
    if perturbations is None:
        return replace(config, perturbations=())
    kinds = (KINDS.index(kind) for kind in perturbations.kind)
    return replace(config, perturbations=tuple(zip(perturbations.gene, kinds, strict=True)))


def preset(name: str, n_genes: int, perturbations: PerturbationVocab | None = None) -> ModelConfig:
    """The configuration that a preset's name stands for, which reads the perturbations of a source by name, if any.

    Raises
    ------
    InputError
        There is no such preset; the message names the nearest.
    """
    return made_for(PRESETS[name](n_genes), perturbations)
