"""Output heads: from the decoder's tokens to the expression of each gene, or to a distribution of it.

A head is registered with ``HEADS.register(name)((reads, factory))``, where ``factory(n_genes, width)`` gives a module
that meets :class:`Head` or :class:`DistributionHead`. ``reads`` says which queries it can answer from: ``"own"`` needs
one query for every gene, at the gene's own position, and answers each gene from its own; ``"pooled"`` takes any set of
them. Masked positions must not change the answer at others.

A head of yours runs the contract of ours: register it, and see that ``broken_promises(name)`` of
:mod:`diagnostics.architecture.head_contract` is empty.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from gpcp.core.registry import Registry
from gpcp.model.heads.distribution import Gaussian, GaussianMixture, Mixture
from gpcp.model.heads.point import Bilinear, Linear, Mlp, PerGene, PerGeneMlp, Pooled, PooledScalar

Reads = Literal["own", "pooled"]


@runtime_checkable
class Head(Protocol):
    """What every head is, besides a module."""

    @property
    def rank(self) -> int:
        """Dimension of the affine span of its answers, (B, G), over all decoded queries, at fixed generic weights.

        Counted at the most queries: where fewer come than it can use, the span is smaller.
        """
        ...

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expected expression, float (B, L), in the dtype of what is decoded.

        Parameters
        ----------
        decoded_BQD : float, (B, Q, D)
        attend_BQ : bool, (B, Q)
            Which of them are queries and not padding.
        token_BL : int64, (B, L) or (1, L)
            Gene of each position whose expression is wanted.
        """
        ...


@runtime_checkable
class DistributionHead(Head, Protocol):
    """A head that predicts a distribution. Its ``forward`` gives the mean, so that it is a head like every other."""

    def distribution(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Mixture:
        """What ``forward`` gives the mean of, at every position."""
        ...


HeadFactory = Callable[[int, int], nn.Module]
HEADS: Registry[tuple[Reads, HeadFactory]] = Registry("head")
"""Output layers by name: which part of the decoded queries each reads, and what makes one of a width and genes."""

HEADS.register("linear")(("own", Linear))
HEADS.register("mlp")(("own", Mlp))
HEADS.register("per_gene")(("own", PerGene))
HEADS.register("per_gene_mlp")(("own", PerGeneMlp))
HEADS.register("bilinear")(("own", Bilinear))
HEADS.register("pooled")(("pooled", Pooled))
HEADS.register("pooled_scalar")(("pooled", PooledScalar))
HEADS.register("gaussian")(("own", Gaussian))
HEADS.register("mixture")(("own", GaussianMixture))


def gives_distribution(name: str) -> bool:
    """Whether the head of that name answers with a distribution, and can be trained by likelihood.

    Raises
    ------
    InputError
        There is no such head.
    """
    _, factory = HEADS[name]
    made: Any = factory if isinstance(factory, type) else factory(1, 1)
    return hasattr(made, "distribution")
