"""Genes as Ensembl ids, and the vocabulary that turns them into tokens and back.

A token is a position in the vocabulary. There are no special tokens: masks stand for padding and unmeasured genes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest

ENSEMBL_GENE = re.compile(r"^ENS[A-Z]*G\d{11}(_PAR_Y)?$")
"""Ensembl's stable gene id without its version: ``ENSG00000141510``, ``ENSMUSG00000059552``; genes that the Y
chromosome shares with X end in ``_PAR_Y`` there, as GENCODE writes them."""

PAR_Y = "_PAR_Y"

_VERSION = re.compile(r"\.\d+(?=(_PAR_Y)?$)")


def without_version(gene: str) -> str:
    """Drop Ensembl's version: ``ENSG00000141510.18`` becomes ``ENSG00000141510``; ``_PAR_Y`` stays."""
    return _VERSION.sub("", gene)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GeneVocab:
    """An ordered set of genes; a gene's token is its position.

    Parameters
    ----------
    feature_id : tuple of str
        Ensembl gene ids without version, each once.

    Raises
    ------
    InputError
        If it is empty, or an id is empty, carries a version, or occurs twice.
    """

    feature_id: tuple[str, ...]
    _token_of: dict[str, int] = field(default_factory=dict[str, int], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.feature_id:
            raise InputError("GeneVocab.feature_id is empty: a vocabulary needs at least one gene")
        for token, gene in enumerate(self.feature_id):
            if not gene or gene != gene.strip():
                raise InputError(f"GeneVocab.feature_id[{token}] is {gene!r}: not a gene id")
            if ENSEMBL_GENE.match(without_version(gene)) and gene != without_version(gene):
                raise InputError(
                    f"GeneVocab.feature_id[{token}] is {gene!r}, with a version: "
                    "drop it first with gpcp.core.genes.without_version"
                )
            if gene in self._token_of:
                raise InputError(
                    f"GeneVocab.feature_id holds {gene!r} at {self._token_of[gene]} and at {token}: "
                    "each gene may occur once"
                )
            self._token_of[gene] = token

    def __len__(self) -> int:
        return len(self.feature_id)

    def __contains__(self, gene: object) -> bool:
        return gene in self._token_of

    def token(self, gene: str) -> int:
        """Token of one gene.

        Raises
        ------
        InputError
            If the gene is not in the vocabulary; the message names the nearest ones.
        """
        try:
            return self._token_of[gene]
        except KeyError:
            raise InputError(
                f"gene {gene!r} is not among the {len(self)} genes of the vocabulary; {nearest(gene, self.feature_id)}"
            ) from None

    def tokens(self, genes: Iterable[str]) -> NDArray[np.int64]:
        """Tokens of several genes, in their order; see :meth:`token` for the error."""
        return np.array([self.token(gene) for gene in genes], dtype=np.int64)

    def genes(self, tokens: Sequence[int] | NDArray[np.integer]) -> tuple[str, ...]:
        """Ids of several tokens, in their order.

        Raises
        ------
        InputError
            If a token is outside ``0 .. len(vocab) - 1``.
        """
        for token in tokens:
            if not 0 <= int(token) < len(self):
                raise InputError(f"token {int(token)} is outside the vocabulary's 0 .. {len(self) - 1}")
        return tuple(self.feature_id[int(token)] for token in tokens)
