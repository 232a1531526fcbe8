"""Pairing rules: what the cells of a pair must share, must differ in, and should share if possible.

Covariates, sets and keys are numbered in the order in which they are met. The numbers decide nothing: that is left
to the order of the cells.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import COVARIATES
from gpcp.core.errors import InputError, nearest
from gpcp.pairing.jaccard import n_bits, packed
from gpcp.sources.index import CellIndex, Which

MEASURED, DEPTH = "measured", "depth"
KEYS = (*COVARIATES, MEASURED, DEPTH)
"""What cells can share: a covariate, the set of genes measured, or the bin of the number of genes expressed."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PairRule:
    """What makes two cells a pair.

    Parameters
    ----------
    match_on : tuple of str
        Of :data:`KEYS`; the two share all of it.
    differ_on : tuple of str
        Of :data:`gpcp.core.cells.COVARIATES`; the two differ in each.
    prefer_on : tuple of str
        Of :data:`KEYS`; partners that share it are looked for first, and the last named is given up first.
    min_shared : int
        Genes that are measured in both, at least.

    Raises
    ------
    InputError
        A name is unknown or occurs twice, or ``min_shared`` is below 2.
    """

    match_on: tuple[str, ...]
    differ_on: tuple[str, ...] = ()
    prefer_on: tuple[str, ...] = ()
    min_shared: int = 2

    def __post_init__(self) -> None:
        for option, names, known in (
            ("match_on", self.match_on, KEYS),
            ("differ_on", self.differ_on, COVARIATES),
            ("prefer_on", self.prefer_on, KEYS),
        ):
            for name in names:
                if name not in known:
                    raise InputError(f"{option} names {name!r}, which is no covariate; {nearest(name, known)}")
        for other in ("differ_on", "prefer_on"):
            for name in getattr(self, other):
                if name in self.match_on:
                    raise InputError(f"{name!r} is in match_on and in {other}: every pair shares what is in match_on")
        names = (*self.match_on, *self.differ_on, *self.prefer_on)
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{name!r} is named twice in match_on, differ_on and prefer_on: once is enough")
        if self.min_shared < 2:
            raise InputError(
                f"min_shared is {self.min_shared}: it must be at least 2, one gene to perturb, one to score"
            )

    @property
    def needs_depth(self) -> bool:
        """Whether the number of expressed genes decides anything."""
        return DEPTH in self.match_on or DEPTH in self.prefer_on

    def check_covariates(self, index: CellIndex) -> None:
        """Refuse cells that do not say what they are to be paired by.

        Raises
        ------
        InputError
            The message names the option and what the source gives.
        """
        for option in ("match_on", "differ_on", "prefer_on"):
            for name in getattr(self, option):
                if name in COVARIATES and name not in index.covariates:
                    known = ", ".join(index.covariates) or "none"
                    raise InputError(
                        f"{option} names {name!r}, which the source does not give (it gives: {known}): name its "
                        "column when the source is made, or pair by what there is"
                    )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyedCells:
    """Some cells, as far as pairing them goes.

    Parameters
    ----------
    rule : PairRule
    level_keys : int64, (L, B)
        The number of each cell's key: row 0 of ``match_on`` alone, each next one with one more of ``prefer_on``.
    label_CB : int64, (C, B)
        The number of each cell's name of each covariate of ``differ_on``.
    set_B : int64, (B,)
        Each cell's row of ``measured_SW``.
    measured_SW : uint64, (S, W)
        Measured sets, as bits.
    word_BW : uint64, (B, W)
        Expressed genes, as bits; no column where nothing asks for them.
    """

    rule: PairRule
    level_keys: NDArray[np.int64]
    label_CB: NDArray[np.int64]
    set_B: NDArray[np.int64]
    measured_SW: NDArray[np.uint64]
    word_BW: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.set_B)

    @property
    def hard_B(self) -> NDArray[np.int64]:
        """The key of ``match_on``, int64 (B,)."""
        return self.level_keys[0]

    @property
    def full_B(self) -> NDArray[np.int64]:
        """The key of ``match_on`` and all of ``prefer_on``, int64 (B,)."""
        return self.level_keys[-1]

    @property
    def all_share(self) -> bool:
        """Whether any two cells share genes enough; False where that would take long to find out."""
        n_sets = len(self.measured_SW)
        if n_sets > 64:
            return False
        shared_SS = n_bits(self.measured_SW[:, None] & self.measured_SW[None])
        return bool((shared_SS >= self.rule.min_shared).all())

    @property
    def usable_B(self) -> NDArray[np.bool_]:
        """Whether a cell has genes enough to be in any pair, bool (B,)."""
        return (n_bits(self.measured_SW) >= self.rule.min_shared)[self.set_B]

    def rows(self, which: Which) -> "KeyedCells":
        """Some of the cells; the table of sets stays."""
        return KeyedCells(
            rule=self.rule,
            level_keys=self.level_keys[:, which],
            label_CB=self.label_CB[:, which],
            set_B=self.set_B[which],
            measured_SW=self.measured_SW,
            word_BW=self.word_BW[which],
        )

    def then(self, more: "KeyedCells") -> "KeyedCells":
        """These and then ``more``, which was keyed later by the same :class:`Keys`."""
        return KeyedCells(
            rule=self.rule,
            level_keys=np.concatenate([self.level_keys, more.level_keys], axis=1),
            label_CB=np.concatenate([self.label_CB, more.label_CB], axis=1),
            set_B=np.concatenate([self.set_B, more.set_B]),
            measured_SW=more.measured_SW,
            word_BW=np.concatenate([self.word_BW, more.word_BW]),
        )

    def allowed(self, first: NDArray[np.int64], second: NDArray[np.int64] | int) -> NDArray[np.bool_]:
        """Whether two rows of one key may be a pair: they differ, and share genes enough; as ``first``."""
        allowed = np.ones(first.shape, dtype=np.bool_)
        for label_B in self.label_CB:
            allowed &= label_B[first] != label_B[second]
        if len(self.measured_SW) > 1:
            shared = n_bits(self.measured_SW[self.set_B[first]] & self.measured_SW[self.set_B[second]])
            allowed &= shared >= self.rule.min_shared
        return allowed


@final
class Keys:
    """Numbers for what the blocks of one pass call their covariates, sets and keys: equal names, equal numbers.

    Parameters
    ----------
    rule : PairRule
    """

    __slots__ = ("_key_of", "_measured_SW", "_name_of", "_rule", "_set_of")

    def __init__(self, rule: PairRule) -> None:
        self._rule = rule
        self._name_of: dict[str, dict[str, int]] = {}
        self._key_of: list[dict[int, int]] = [{} for _ in (*rule.match_on, *rule.prefer_on)]
        self._set_of: dict[bytes, int] = {}
        self._measured_SW: NDArray[np.uint64] | None = None

    def of(self, index: CellIndex, word_BW: NDArray[np.uint64] | None = None) -> KeyedCells:
        """The cells of a block, keyed.

        Parameters
        ----------
        index : CellIndex
        word_BW : uint64, (B, W), optional
            Expressed genes as bits; needed for ``"depth"`` and for choosing partners by them.

        Raises
        ------
        InputError
            The cells lack a covariate that the rule names.
        """
        rule = self._rule
        rule.check_covariates(index)
        set_B, measured_SW = self._sets(index)
        depth_B = depth_of(n_bits(word_BW)) if word_BW is not None and rule.needs_depth else None
        key_B = np.zeros(len(index), dtype=np.int64)
        levels = [key_B]
        for place, name in enumerate((*rule.match_on, *rule.prefer_on)):
            if name == MEASURED:
                code_B = set_B
            elif name == DEPTH:
                assert depth_B is not None, "depth needs the expressed genes"
                code_B = depth_B
            else:
                code_B = self._codes(index, name)
            key_B = _numbered(key_B, code_B, self._key_of[place])
            # Up to the last of match_on it is one level that grows; then each name makes a level of its own.
            if place < len(rule.match_on):
                levels[0] = key_B
            else:
                levels.append(key_B)
        label_CB = [self._codes(index, name) for name in rule.differ_on]
        return KeyedCells(
            rule=rule,
            level_keys=np.stack(levels),
            label_CB=np.stack(label_CB) if label_CB else np.zeros((0, len(index)), dtype=np.int64),
            set_B=set_B,
            measured_SW=measured_SW,
            word_BW=np.zeros((len(index), 0), dtype=np.uint64) if word_BW is None else word_BW,
        )

    def _codes(self, index: CellIndex, name: str) -> NDArray[np.int64]:
        """The number of each cell's name of a covariate."""
        labels = index.labels(name)
        number_of = self._name_of.setdefault(name, {})
        numbers = [number_of.setdefault(text, len(number_of)) for text in labels.names.tolist()]
        return np.array(numbers, dtype=np.int64)[labels.code_B]

    def _sets(self, index: CellIndex) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The number of each cell's measured set, and the sets met so far."""
        used, place_B = np.unique(index.set_B, return_inverse=True)
        used_SW = packed(index.measured_SG[used])
        known = len(self._set_of)
        number_S = [self._set_of.setdefault(row.tobytes(), len(self._set_of)) for row in used_SW]
        if self._measured_SW is None:
            self._measured_SW = used_SW[:0]
        if len(self._set_of) > known:
            new = {number: row for number, row in zip(number_S, used_SW, strict=True) if number >= known}
            self._measured_SW = np.concatenate([self._measured_SW, np.stack([new[number] for number in sorted(new)])])
        return np.array(number_S, dtype=np.int64)[place_B.reshape(-1)], self._measured_SW


def depth_of(n_expressed_B: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bin of a number of expressed genes, two for each doubling: ``floor(2 * log2(1 + n))``, int64 (B,)."""
    return np.floor(2 * np.log2(1 + n_expressed_B)).astype(np.int64)


def _numbered(key_B: NDArray[np.int64], code_B: NDArray[np.int64], number_of: dict[int, int]) -> NDArray[np.int64]:
    """Numbers for the pairs of key and code, equal where both are."""
    # Keys and codes are counted from 0 and stay below 2**31, so that both fit one word.
    pairs, place_B = np.unique((key_B << 32) | code_B, return_inverse=True)
    numbers = [number_of.setdefault(pair, len(number_of)) for pair in pairs.tolist()]
    return np.array(numbers, dtype=np.int64)[place_B.reshape(-1)]
