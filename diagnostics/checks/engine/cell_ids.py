"""Identities of the cells of pairs: pairs that share a cell are neither counted nor split as independent."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch, concatenate

FEWEST_APART = 200
"""Pairs that must be left on either side for a split by cell to be worth it."""

FEWEST_CELLS = 50
"""Different cells below which what their values have in common says little of other cells."""

Codes = NDArray[np.uint64]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CellNames:
    """How a cell is recognised.

    Parameters
    ----------
    by_id : bool
        By the source's ids; else by the stored values, since one id stood for several cells.
    """

    by_id: bool

    @classmethod
    def of(cls, pairs: PairBatch) -> "CellNames":
        """By id if every id that occurs twice has the same values wherever both were measured."""
        return cls(by_id=not contradicted(pairs).any())

    def codes(self, pairs: PairBatch) -> tuple[Codes, Codes]:
        """A number for the cell before and the cell after of each pair, uint64 (B,), (B,); one cell, one number."""
        if self.by_id:
            return _mixed(pairs.before_id_B), _mixed(pairs.after_id_B)
        return row_codes(pairs.before_BG), row_codes(pairs.after_BG)


def row_codes(value_BG: NDArray[np.generic]) -> Codes:
    """A number for each row's bytes, uint64 (B,)."""
    rows = np.ascontiguousarray(value_BG)
    digests = b"".join(blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, dtype=np.uint64)


def contradicted(pairs: PairBatch) -> NDArray[np.bool_]:
    """Cells whose id another cell with other values bears, bool (2 B,): those before, then those after."""
    id_N = np.concatenate((pairs.before_id_B, pairs.after_id_B))
    value_NG = np.concatenate((pairs.before_BG, pairs.after_BG))
    measured_NG = np.concatenate((pairs.measured_BG, pairs.measured_BG))
    order_N = np.argsort(id_N, kind="stable")
    first_N, next_N = order_N[:-1], order_N[1:]
    # Neighbours in the order of the ids are enough to find one contradiction wherever there is any.
    same = id_N[first_N] == id_N[next_N]
    first_N, next_N = first_N[same], next_N[same]
    differs = ((value_NG[first_N] != value_NG[next_N]) & measured_NG[first_N] & measured_NG[next_N]).any(axis=1)
    found_N = np.zeros(len(id_N), dtype=np.bool_)
    found_N[first_N[differs]] = found_N[next_N[differs]] = True
    return found_N


def _mixed(id_B: NDArray[np.int64]) -> Codes:
    """Ids through splitmix64's last step: every bit of a code is as good as random."""
    code_B = id_B.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    code_B = (code_B ^ (code_B >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code_B = (code_B ^ (code_B >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code_B ^ (code_B >> np.uint64(31))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """Who may be trained on and who is held out, where the source serves for both.

    Parameters
    ----------
    names : CellNames
    apart : bool
        Whether cells have to be distinguished: held-out pairs of another source, or of fresh cells, are left whole.
    shared : bool
        Whether both sides are of the same cells, which are too few to be split.
    """

    names: CellNames
    apart: bool
    shared: bool = False

    def training(self, pairs: PairBatch) -> PairBatch:
        """Those pairs both of whose cells may be trained on."""
        return self._of_side(pairs, 0)

    def held_out(self, pairs: PairBatch) -> PairBatch:
        """Those pairs neither of whose cells may be trained on."""
        return self._of_side(pairs, 1)

    def _of_side(self, pairs: PairBatch, side: int) -> PairBatch:
        if not self.apart:
            return pairs
        before_B, after_B = self.names.codes(pairs)
        own_B = ((before_B & np.uint64(1)) == side) & ((after_B & np.uint64(1)) == side)
        return pairs.rows(np.flatnonzero(own_B))


def names_of(probe: Probe) -> CellNames:
    """How the cells of a subject are recognised."""
    return probe.once("cell names", lambda probe: CellNames.of(concatenate([probe.sample, probe.held_out])))


def sides_of(probe: Probe) -> Sides:
    """Whether and how the cells of a subject are distinguished.

    One source that serves for both gives the same cells again, in other pairs: what was fitted on them is judged on
    others only if the cells themselves are split.
    """
    return probe.once("sides", _sides)


def different_cells(pairs: PairBatch, names: CellNames) -> PairBatch:
    """The first pair of each cell after: passes over few cells meet the same ones again in other pairs."""
    _, first_B = np.unique(names.codes(pairs)[1], return_index=True)
    return pairs.rows(np.sort(first_B))


def too_few_cells(probe: Probe) -> CheckResult | None:
    """The finding where training has too few different cells for a check of their values; None where it has enough."""
    n = len(np.unique(np.concatenate(names_of(probe).codes(probe.sample))))
    return None if n >= FEWEST_CELLS else open_for_few(n)


def open_for_few(n_cells: int) -> CheckResult:
    """The finding that too few cells decide nothing."""
    return CheckResult(
        outcome="inconclusive", message=f"{n_cells} different cells are too few to decide",
        next_step=f"give more cells: {FEWEST_CELLS} or more on each side", n=n_cells,
    )  # fmt: skip


def own_held_out(probe: Probe) -> bool:
    """Whether the subject has held-out pairs of another source than its training pairs."""
    return probe.subject.held_out is not None and probe.subject.held_out is not probe.subject.pairs


def _sides(probe: Probe) -> Sides:
    names = names_of(probe)
    whole = Sides(names=names, apart=False)
    if own_held_out(probe):
        return whole
    known = np.concatenate(names.codes(probe.sample))
    if not np.isin(np.concatenate(names.codes(probe.held_out)), known).any():
        return whole
    split = replace(whole, apart=True)
    few = min(len(split.training(probe.sample)), len(split.held_out(probe.held_out))) < FEWEST_APART
    return replace(whole, shared=True) if few else split
