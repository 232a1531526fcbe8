"""The pairing buffer: cells that wait for a partner, in a queue for each key, of which a new cell takes the best.

A queue fills up to ``best_of`` cells. From then on each new cell is paired with the best of those that it may meet: the
highest Jaccard index of expressed genes, of equals the oldest; with ``best_of=1`` simply the oldest, so that nothing
but the order of the cells decides. Nothing here reads a cell or draws a random number.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.pairing.jaccard import n_bits
from gpcp.pairing.matching import NOBODY
from gpcp.pairing.rules import KeyedCells


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BufferLimits:
    """How many cells wait, and how long.

    Parameters
    ----------
    best_of : int
        Cells that are held for each key before any leaves; at least 1.
    max_age : int, optional
        Cells read, after which a cell that waits is paired with the best there is, or else with the next that it may
        meet; at least 1.
    max_held : int, optional
        Cells that wait at once, at most; at least 2.

    Raises
    ------
    InputError
        A number is lower than that.
    """

    best_of: int = 1
    max_age: int | None = None
    max_held: int | None = None

    def __post_init__(self) -> None:
        for name, number, least in (
            ("best_of", self.best_of, 1),
            ("max_age", self.max_age, 1),
            ("max_held", self.max_held, 2),
        ):
            if number is not None and number < least:
                raise InputError(f"{name} is {number}: it must be at least {least}")


@final
class _Rows:
    """Rows of cells that wait, the oldest first."""

    __slots__ = ("_held", "n")

    def __init__(self, rows: NDArray[np.int64], room: int) -> None:
        self.n = len(rows)
        self._held: NDArray[np.int64] = np.empty(max(room, self.n), dtype=np.int64)
        self._held[: self.n] = rows

    @property
    def rows(self) -> NDArray[np.int64]:
        return self._held[: self.n]

    def append(self, row: int) -> None:
        if self.n == len(self._held):
            self._held = np.concatenate([self._held, np.empty_like(self._held)])
        self._held[self.n] = row
        self.n += 1

    def remove(self, row: int) -> None:
        place = int(self._held[: self.n].searchsorted(row))
        self._held[place : self.n - 1] = self._held[place + 1 : self.n]
        self.n -= 1


@final
class PairingBuffer:
    """The buffer over some cells: rows in the order in which they came, those that waited before first.

    Parameters
    ----------
    cells : KeyedCells
        With their expressed genes, unless ``best_of`` is 1.
    limits : BufferLimits
    number_B : int64, (B,)
        Which cell of the pass each is, ascending.
    n_held : int
        The first so many rows wait already.
    n_due : int
        The first so many of these have waited ``max_age`` without a partner.

    Attributes
    ----------
    most_held : int
        Cells that waited at once, at most.
    n_held : int
        Cells that wait.
    """

    def __init__(
        self, cells: KeyedCells, limits: BufferLimits, number_B: NDArray[np.int64], *, n_held: int = 0, n_due: int = 0
    ) -> None:
        self._cells, self._limits = cells, limits
        self._constrained = bool(cells.rule.differ_on) or not cells.all_share
        self._mixed = len(cells.measured_SW) > 1
        self._n_B = n_bits(cells.word_BW).astype(np.int32)
        self._number: list[int] = number_B.tolist()
        self._key: list[list[int]] = cells.level_keys.tolist()
        self._queue: dict[int, _Rows] = {}
        self._queues_at: list[dict[int, list[_Rows]]] = [{} for _ in self._key[:-1]]
        self._overdue: dict[int, list[int]] = {}
        self._waits = bytearray(len(cells))
        self._oldest, self._due = 0, n_due
        self._pairs: list[tuple[int, int]] = []
        self._now: list[int] = []
        self.n_held = self.most_held = n_held
        self._waits[:n_held] = bytes([1]) * n_held
        by_key = np.argsort(cells.full_B[:n_held], kind="stable")
        for rows in np.split(by_key, np.flatnonzero(np.diff(cells.full_B[by_key])) + 1) if n_held else []:
            self._open(int(rows[0]), rows)
        for row in range(n_due):
            self._overdue.setdefault(self._key[0][row], []).append(row)

    @property
    def pair_PT(self) -> NDArray[np.int64]:
        """Rows of each pair made, the older cell first, in the order in which pairs were made; int64 (P, T)."""
        return np.array(self._pairs, dtype=np.int64).reshape(-1, 2)

    @property
    def age_P(self) -> NDArray[np.int64]:
        """Cells read from the older cell of each pair until it was made, int64 (P,)."""
        number_B = np.array(self._number, dtype=np.int64)
        return np.array(self._now, dtype=np.int64) - number_B[self.pair_PT[:, 0]]

    @property
    def left(self) -> NDArray[np.int64]:
        """Rows that wait, ascending."""
        return np.flatnonzero(np.frombuffer(self._waits, dtype=np.uint8)).astype(np.int64)

    @property
    def n_due(self) -> int:
        """How many of those that wait have waited ``max_age``: the first so many."""
        return sum(len(rows) for rows in self._overdue.values())

    def arrive(self, begin: int) -> None:
        """Let the rows from ``begin`` on come, one after the other."""
        full, best_of = self._key[-1], self._limits.best_of
        max_age, max_held = self._limits.max_age, self._limits.max_held
        for row in range(begin, len(full)):
            partner = self._overdue_for(row) if self._overdue else NOBODY
            if partner == NOBODY:
                queue = self._queue.get(full[row])
                if queue is not None and queue.n >= best_of:
                    partner = self._best(row, queue.rows)
            if partner == NOBODY:
                self._put(row)
            else:
                self._take(partner)
                self._pair(partner, row, row)
            if max_age is not None:
                self._age(row, max_age)
            if max_held is not None and self.n_held > max_held:
                self._press(row)
            self.most_held = max(self.most_held, self.n_held)

    def flush(self) -> None:
        """Pair all that wait as far as they may meet: the oldest first, those of the fullest key before others."""
        last = len(self._number) - 1
        for level in reversed(range(len(self._key))):
            for row in self.left.tolist():
                if self._waits[row]:
                    self._leave_with(self._best_at(level, row), row, last)

    def _open(self, row: int, rows: NDArray[np.int64]) -> None:
        """A queue for the key of a row."""
        queue = self._queue[self._key[-1][row]] = _Rows(rows, min(self._limits.best_of, 1024))
        for keys, queues in zip(self._key, self._queues_at, strict=False):
            queues.setdefault(keys[row], []).append(queue)

    def _put(self, row: int) -> None:
        queue = self._queue.get(self._key[-1][row])
        if queue is None:
            self._open(row, np.array([row]))
        else:
            queue.append(row)
        self._waits[row] = 1
        self.n_held += 1

    def _take(self, row: int) -> None:
        self._queue[self._key[-1][row]].remove(row)
        self._waits[row] = 0
        self.n_held -= 1
        if row < self._due:
            hard = self._key[0][row]
            self._overdue[hard].remove(row)
            if not self._overdue[hard]:
                del self._overdue[hard]

    def _pair(self, one: int, other: int, now: int) -> None:
        self._pairs.append((one, other) if one < other else (other, one))
        self._now.append(self._number[now])

    def _leave_with(self, partner: int, row: int, now: int) -> bool:
        """Pair two that wait, if there is a partner; whether there is."""
        if partner == NOBODY:
            return False
        self._take(partner)
        self._take(row)
        self._pair(partner, row, now)
        return True

    def _best(self, row: int, rows: NDArray[np.int64]) -> int:
        """The best partner among rows of the same key, the oldest first."""
        cells = self._cells
        if self._constrained:
            rows = rows[cells.allowed(rows, row)]
        if not len(rows):
            return NOBODY
        if self._limits.best_of == 1:
            return int(rows[0])
        rows = rows[: self._limits.best_of]
        # gpcp.pairing.jaccard.jaccard with the numbers of expressed genes at hand: this is where the time goes.
        word_W, held_BW = cells.word_BW[row], cells.word_BW.take(rows, axis=0)
        both_B = np.bitwise_count(held_BW & word_W).sum(axis=1, dtype=np.int32)
        if self._mixed and (cells.set_B.take(rows) != cells.set_B[row]).any():
            measured_W, measured_BW = cells.measured_SW[cells.set_B[row]], cells.measured_SW[cells.set_B[rows]]
            either_B = n_bits(held_BW & measured_W) + n_bits(measured_BW & word_W) - both_B
        else:
            either_B = self._n_B.take(rows) + self._n_B[row] - both_B
        return int(rows[(both_B / np.maximum(either_B, 1)).argmax()])

    def _best_at(self, level: int, row: int) -> int:
        """The best partner of one that waits among those that share its key of a level."""
        if level == len(self._key) - 1:
            rows = self._queue[self._key[-1][row]].rows
        else:
            queues = self._queues_at[level][self._key[level][row]]
            rows = np.sort(np.concatenate([queue.rows for queue in queues]))
        return self._best(row, rows[rows != row])

    def _relaxed(self, row: int) -> int:
        """The best partner of one that waits at the fullest key at which there is one."""
        for level in reversed(range(len(self._key))):
            partner = self._best_at(level, row)
            if partner != NOBODY:
                return partner
        return NOBODY

    def _overdue_for(self, row: int) -> int:
        """The oldest of those that have waited too long that a newly come cell may meet."""
        rows = np.array(self._overdue.get(self._key[0][row], []), dtype=np.int64)
        if len(rows) and self._constrained:
            rows = rows[self._cells.allowed(rows, row)]
        return int(rows[0]) if len(rows) else NOBODY

    def _age(self, now: int, max_age: int) -> None:
        """Pair those that have waited ``max_age``, or write them down."""
        while self._due <= now:
            row = self._due
            if self._waits[row] and self._number[now] - self._number[row] < max_age:
                return
            # Not yet due while it is paired: it stands on no list.
            if self._waits[row] and not self._leave_with(self._relaxed(row), row, now):
                self._overdue.setdefault(self._key[0][row], []).append(row)
            self._due += 1

    def _press(self, now: int) -> None:
        """Pair the oldest that waits, or give it up."""
        while not self._waits[self._oldest]:
            self._oldest += 1
        row = self._oldest
        # An overdue cell has no partner among those that wait.
        if row < self._due or not self._leave_with(self._relaxed(row), row, now):
            self._take(row)
