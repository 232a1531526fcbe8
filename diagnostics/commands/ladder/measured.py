"""How often the verdict was right where the cause was planted: ``measured.json``, for the page and the docs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gpcp.core.intervals import Interval, binomial_interval

FILE = Path(__file__).with_name("measured.json")

CAUSES = ("none", "bug", "learning rate", "architecture", "pairing", "measurement", "too little data", "no signal")
"""Columns of the confusion matrix."""

KINDS: Mapping[str, str] = {
    "healthy": "healthy",
    "bug": "bug",
    "learning rate": "wrong learning rate",
    "architecture": "architecture without the path",
    "pairing": "random pairs over types",
    "dropout": "60 to 90 % of the counts lost",
    "few cells": "30 to 60 cells",
    "no signal": "no edges",
    "normalisation": "depth not taken away, or twice",
}
"""Its rows: what was planted, by the name of the kind."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was counted.

    Parameters
    ----------
    confusion : mapping of str to mapping of str to int
        Kind, cause that was named, how often.
    cause : mapping of str to str
        The right one of each kind.
    n_again, n_same : int
        Situations that were asked again with another seed, and how many of them got the same verdict.
    command : str
        That counts them.
    """

    confusion: Mapping[str, Mapping[str, int]]
    cause: Mapping[str, str]
    n_again: int
    n_same: int
    command: str

    @classmethod
    def read(cls, path: Path = FILE) -> "Measured":
        """What is in a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], command: str) -> "Measured":
        """Count rows with ``name``, ``kind``, ``cause``, ``named`` and ``again``."""
        first = [row for row in rows if not row["again"]]
        named = {row["name"]: row["named"] for row in first}
        again = [row for row in rows if row["again"] and row["name"] in named]
        found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for row in first:
            found[row["kind"]][row["named"]] += 1
        return cls(
            confusion={kind: dict(counts) for kind, counts in found.items()},
            cause={row["kind"]: row["cause"] for row in first},
            n_again=len(again),
            n_same=sum(row["named"] == named[row["name"]] for row in again),
            command=command,
        )

    def right(self, kind: str) -> tuple[int, int]:
        """How many of a kind were put down to their cause, and of how many."""
        counts = self.confusion[kind]
        return counts.get(self.cause[kind], 0), sum(counts.values())

    @property
    def faulty(self) -> tuple[int, int]:
        """The same of all kinds with a cause: all but the healthy ones."""
        pairs = [self.right(kind) for kind in KINDS if kind != "healthy"]
        return sum(one for one, _ in pairs), sum(n for _, n in pairs)

    def rates(self) -> list[tuple[str, str, str]]:
        """What is promised, how often it was so, and the exact 95 % interval; without what was not counted."""
        of = {
            "a planted cause is named": self.faulty,
            "healthy is called ready": self.right("healthy"),
            "another seed gives the same verdict": (self.n_same, self.n_again),
        }
        return [
            (name, f"{n} of {most}", _percent(binomial_interval(n, most))) for name, (n, most) in of.items() if most
        ]

    def matrix(self) -> list[list[str]]:
        """A row for each kind: its name, how often each cause was named, and the interval of the right one."""
        return [
            [name, *(str(self.confusion[kind].get(cause, "") or "") for cause in CAUSES), self._interval(kind)]
            for kind, name in KINDS.items()
        ]

    def _interval(self, kind: str) -> str:
        return _percent(binomial_interval(*self.right(kind)))

    def markdown(self) -> str:
        """The table of rates and the confusion matrix, as the documentation has them."""
        rates = _table(["", "measured", "95 % interval"], self.rates())
        return "\n".join([*rates, "", *_table(head_of_matrix(), self.matrix())])


def head_of_matrix() -> list[str]:
    """Of the columns of :meth:`Measured.matrix`."""
    return ["planted", *("ready" if cause == "none" else cause for cause in CAUSES), "95 % interval"]


def _percent(interval: Interval) -> str:
    return f"{interval.low:.0%} .. {interval.high:.0%}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
