"""What was done to cells, apart from the genes that are measured: perturbations by name, and which each cell got.

A perturbation is known before the cell is measured: its target, its kind and perhaps its dose; never the value that the
target was measured at afterwards, which carries that cell's depth and dropout. In pairs of unrelated cells and in
simulated interventions, where a value is set, the values themselves are given instead: ``PairBatch.given_BG``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeVar, final, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab

_Number = TypeVar("_Number", np.int64, np.float32)

Kind = Literal["set", "shifted", "knocked down", "activated", "knocked out", "compound", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""How a perturbation acts: a gene is set to a value or shifted by one, silenced (CRISPRi), activated (CRISPRa), knocked
out, or the cell is given a compound; or it is not known."""

CONTROL = "control"
"""What a cell to which nothing was done is called in results."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationVocab:
    """The perturbations of a source; a perturbation's token is its position.

    Parameters
    ----------
    target : tuple of str
        What each acts on, as the source calls it: a gene's symbol or id, measured or not, a drug, a guide.
    kind : tuple of str
        Of :data:`KINDS`, one each. A target may occur with several kinds.
    gene : tuple of int
        The token of the gene that the target is, in the vocabulary of the cells; -1 where it is none of these.

    Raises
    ------
    InputError
        The three differ in length, a name is empty, a kind is unknown, or a perturbation occurs twice.
    """

    target: tuple[str, ...]
    kind: tuple[Kind, ...]
    gene: tuple[int, ...]
    _token_of: Mapping[tuple[str, str], int] = field(
        default_factory=dict[tuple[str, str], int], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not len(self.target) == len(self.kind) == len(self.gene):
            n = (len(self.target), len(self.kind), len(self.gene))
            raise InputError(f"PerturbationVocab has {n[0]} targets, {n[1]} kinds and {n[2]} genes: give one of each")
        token_of: dict[tuple[str, str], int] = {}
        for token, (target, kind) in enumerate(zip(self.target, self.kind, strict=True)):
            if not target or target != target.strip():
                raise InputError(f"PerturbationVocab.target[{token}] is {target!r}: not a name")
            if kind not in KINDS:
                raise InputError(f"PerturbationVocab.kind[{token}] is {kind!r}; {nearest(kind, KINDS)}")
            if (target, kind) in token_of:
                raise InputError(f"PerturbationVocab has {target!r} {kind} twice: each perturbation may occur once")
            token_of[target, kind] = token
        object.__setattr__(self, "_token_of", token_of)

    @classmethod
    def of_genes(cls, vocab: GeneVocab, kind: Kind = "set") -> "PerturbationVocab":
        """Every gene of a vocabulary, with its own token."""
        n_genes = len(vocab)
        return cls(target=vocab.feature_id, kind=(kind,) * n_genes, gene=tuple(range(n_genes)))

    def __len__(self) -> int:
        return len(self.target)

    def token(self, target: str, kind: Kind | None = None) -> int:
        """Token of a perturbation; ``kind`` may be left out where the target has one alone.

        Raises
        ------
        InputError
            It is not in the vocabulary (the message names the nearest), or the target has several kinds.
        """
        if kind is not None and (target, kind) in self._token_of:
            return self._token_of[target, kind]
        found = [token for token, name in enumerate(self.target) if name == target]
        if kind is None and len(found) == 1:
            return found[0]
        if not found:
            raise InputError(
                f"perturbation {target!r} is not among the {len(self)} of the source; {nearest(target, self.target)}"
            )
        kinds = ", ".join(self.kind[token] for token in found)
        raise InputError(f"perturbation {target!r} is {kinds} in the source{'' if kind is None else f', not {kind}'}")

    def only_genes(self, token_G: NDArray[np.integer]) -> "PerturbationVocab":
        """The same perturbations where some genes are kept alone: a target that is left out is no gene."""
        at = {int(token): place for place, token in enumerate(token_G)}
        return replace(self, gene=tuple(at.get(gene, -1) for gene in self.gene))


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AppliedPerturbations:
    """Which perturbations each of some cells got, packed to the largest number that one got.

    Parameters
    ----------
    vocab : PerturbationVocab
    token_BA : int64, (B, A)
        Tokens, in rising order, each once; -1, at the end, where a cell got fewer than ``A``. All -1 is a control.
    dose_BA : float32, (B, A)
        Of each, in units of the source's own; NaN where it is not given, and where there is no perturbation.

    Raises
    ------
    InputError
        Wrong shape, dtype or order, or a token outside the vocabulary.
    """

    vocab: PerturbationVocab
    token_BA: NDArray[np.int64]
    dose_BA: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = self.token_BA.shape
        if len(shape) != 2:
            raise InputError(f"AppliedPerturbations.token_BA has shape {shape}, expected (cells, perturbations)")
        check_array("AppliedPerturbations", "token_BA", self.token_BA, shape, np.int64)
        check_array("AppliedPerturbations", "dose_BA", self.dose_BA, shape, np.float32)
        if self.token_BA.size and not -1 <= self.token_BA.min() <= self.token_BA.max() < len(self.vocab):
            raise InputError(f"AppliedPerturbations.token_BA must lie in -1 .. {len(self.vocab) - 1}")
        first_BA, next_BA = self.token_BA[:, :-1], self.token_BA[:, 1:]
        if not ((next_BA == -1) | ((first_BA >= 0) & (next_BA > first_BA))).all():
            raise InputError("AppliedPerturbations.token_BA must rise in each cell, each token once, and -1 at the end")
        if np.isinf(self.dose_BA).any() or not np.isnan(self.dose_BA[self.token_BA < 0]).all():
            raise InputError("AppliedPerturbations.dose_BA must be finite, or NaN where no dose is given")
        object.__setattr__(self, "token_BA", read_only(self.token_BA))
        object.__setattr__(self, "dose_BA", read_only(self.dose_BA))

    @classmethod
    def of(
        cls,
        vocab: PerturbationVocab,
        token_B: Sequence[Sequence[int]],
        dose_B: Sequence[Sequence[float]] | None = None,
    ) -> "AppliedPerturbations":
        """The perturbations of some cells as lists, in any order; doses beside them, where they are given."""
        n_most = max((len(tokens) for tokens in token_B), default=0)
        token_BA = np.full((len(token_B), n_most), -1, dtype=np.int64)
        dose_BA = np.full((len(token_B), n_most), np.nan, dtype=np.float32)
        for row, tokens in enumerate(token_B):
            order = np.argsort(np.asarray(tokens, dtype=np.int64), kind="stable")
            token_BA[row, : len(tokens)] = np.asarray(tokens, dtype=np.int64)[order]
            if dose_B is not None:
                dose_BA[row, : len(tokens)] = np.asarray(dose_B[row], dtype=np.float32)[order]
        return cls(vocab=vocab, token_BA=token_BA, dose_BA=dose_BA)

    def __len__(self) -> int:
        return len(self.token_BA)

    @property
    def is_control_B(self) -> NDArray[np.bool_]:
        """True where nothing was done to the cell, (B,)."""
        return np.logical_and.reduce(self.token_BA < 0, axis=1)

    def rows(self, which: slice | NDArray[np.integer]) -> "AppliedPerturbations":
        """Those of some cells."""
        return AppliedPerturbations(vocab=self.vocab, token_BA=self.token_BA[which], dose_BA=self.dose_BA[which])

    def only_genes(self, token_G: NDArray[np.integer]) -> "AppliedPerturbations":
        """The same of cells of which some genes are kept."""
        return replace(self, vocab=self.vocab.only_genes(token_G))

    def within(self, vocab: PerturbationVocab) -> "AppliedPerturbations":
        """The same perturbations as tokens of another vocabulary.

        Raises
        ------
        InputError
            One of them is not in it; the message names the nearest.
        """
        if vocab == self.vocab:
            return self
        new: dict[int, int] = {}
        for token in {token for tokens in self.tokens() for token in tokens}:
            new[token] = vocab.token(self.vocab.target[token], self.vocab.kind[token])
        token_B = [[new[token] for token in tokens] for tokens in self.tokens()]
        doses: list[list[float]] = self.dose_BA.tolist()
        dose_B = [some[: len(tokens)] for tokens, some in zip(token_B, doses, strict=True)]
        return AppliedPerturbations.of(vocab, token_B, dose_B)

    def targets_BG(self, n_genes: int) -> NDArray[np.bool_]:
        """True where a gene of the cells' vocabulary is a target, (B, G)."""
        found_BG = np.zeros((len(self), n_genes + 1), dtype=np.bool_)
        # Tokens of -1 look up the last entry, which is -1 too: it stands for no gene, and is dropped.
        gene = np.array([*self.vocab.gene, -1], dtype=np.int64)
        np.put_along_axis(found_BG, gene[self.token_BA], values=True, axis=1)
        return found_BG[:, :n_genes]

    def labels(self) -> tuple[str, ...]:
        """Each cell's perturbations as one text, joined by ``+``; :data:`CONTROL` where there is none."""
        return tuple("+".join(self.vocab.target[token] for token in tokens) or CONTROL for tokens in self.tokens())

    def tokens(self) -> list[list[int]]:
        """Each cell's tokens; none of a control."""
        every: list[list[int]] = self.token_BA.tolist()
        return [[token for token in tokens if token >= 0] for tokens in every]


@runtime_checkable
class HasPerturbations(Protocol):
    """A source of pairs whose perturbations have names of their own."""

    @property
    def perturbations(self) -> PerturbationVocab | None:
        """All that a pass may give; None where values at genes are given instead."""
        ...


def perturbations_of(source: object) -> PerturbationVocab | None:
    """The perturbations of a source; None where it gives the values of perturbed genes instead."""
    return source.perturbations if isinstance(source, HasPerturbations) else None


def concatenate_applied(parts: Iterable[AppliedPerturbations | None]) -> AppliedPerturbations | None:
    """All rows of some as one; None where none of them has any.

    Raises
    ------
    InputError
        Some have perturbations of their own and some have not, or their vocabularies differ.
    """
    every = list(parts)
    some = [part for part in every if part is not None]
    if not some:
        return None
    if len(some) < len(every) or any(part.vocab != some[0].vocab for part in some):
        raise InputError("batches of different perturbations cannot be concatenated")
    n_most = max(part.token_BA.shape[1] for part in some)
    return AppliedPerturbations(
        vocab=some[0].vocab,
        token_BA=np.concatenate([_padded(part.token_BA, n_most, -1) for part in some]),
        dose_BA=np.concatenate([_padded(part.dose_BA, n_most, np.nan) for part in some]),
    )


def _padded(value_BA: NDArray[_Number], n_most: int, filling: float) -> NDArray[_Number]:
    return np.pad(value_BA, ((0, 0), (0, n_most - value_BA.shape[1])), constant_values=filling)
