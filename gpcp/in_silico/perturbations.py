"""What a screen asks of every cell: single genes and combinations of them, set to values or shifted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab, without_version
from gpcp.model.perturbation_table import PerturbationTable

TOGETHER = "+"
"""Between the genes of a combination, as in its name."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenPerturbation:
    """Genes that are changed at once.

    Parameters
    ----------
    genes : tuple of str
    values : tuple of float
        What each ends at, or what is added to it where the screen shifts.

    Raises
    ------
    InputError
        There is no gene, one occurs twice, or there are more or fewer values.
    """

    genes: tuple[str, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.genes:
            raise InputError("a perturbation of a screen names no gene: it needs at least one")
        twice = sorted({gene for gene in self.genes if self.genes.count(gene) > 1})
        if twice:
            raise InputError(f"the combination {self.name!r} holds {twice[0]!r} twice: name each gene once")
        if len(self.values) != len(self.genes):
            raise InputError(
                f"the perturbation {self.name!r} has {len(self.values)} values for {len(self.genes)} genes"
            )

    @property
    def name(self) -> str:
        """The genes, as the results name it."""
        return TOGETHER.join(self.genes)


def screened(sets: Iterable[Sequence[str]], to: float | Mapping[str, float]) -> list[ScreenPerturbation]:
    """Sets of genes with one value for all genes, or one for each gene."""
    return [
        ScreenPerturbation(
            genes=tuple(genes), values=tuple(to[gene] if isinstance(to, Mapping) else to for gene in genes)
        )
        for genes in sets
    ]


def combinations_named(texts: Iterable[str], vocab: GeneVocab) -> list[tuple[str, ...]]:
    """Sets of genes from texts such as ``A``, ``A+B`` or ``A+B,C+D``, each once, versions of ids dropped.

    Raises
    ------
    InputError
        A gene is not in the vocabulary (the message names the nearest), or occurs twice in a combination.
    """
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for word in words:
        genes = tuple(without_version(gene.strip()) for gene in word.split(TOGETHER))
        vocab.tokens(genes)
        ScreenPerturbation(genes=genes, values=(0.0,) * len(genes))
        found.setdefault(frozenset(genes), genes)
    return list(found.values())


def table_of(
    wanted: Sequence[ScreenPerturbation], vocab: GeneVocab, *, shifts: bool = False, least: float = -np.inf
) -> PerturbationTable:
    """The perturbations of a screen, as predictors take them.

    Raises
    ------
    InputError
        There is none, a gene is not in the vocabulary, or one is there twice.
    """
    if not wanted:
        raise InputError("the screen has no perturbation: name at least one gene")
    names = [frozenset(one.genes) for one in wanted]
    if len(set(names)) < len(names):
        twice = next(one.name for at, one in enumerate(wanted) if names.index(names[at]) < at)
        raise InputError(f"the screen has {twice!r} twice: name each combination once")
    return PerturbationTable(
        n=len(wanted),
        row_E=np.repeat(np.arange(len(wanted), dtype=np.int64), [len(one.genes) for one in wanted]),
        token_E=vocab.tokens(gene for one in wanted for gene in one.genes),
        value_E=np.array([value for one in wanted for value in one.values], dtype=np.float32),
        shifts=shifts,
        least=least,
    )
