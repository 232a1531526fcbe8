"""What an audit found over its seeds: intervals of every score, and what truth, noise and nothing get."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from diagnostics.audit.metrics.answers import COPY, EMPIRICAL, EXACT, EXACT_MEAN
from gpcp.core.intervals import Interval, mean_interval, paired_difference

Record = Mapping[str, Any]

At = tuple[str, float]
"""Dial and dose."""

PLAIN: At = ("", 1.0)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One answer in one metric, at one dose of a dial, over seeds.

    Parameters
    ----------
    protocol, metric, answer, kind : str
    dial : str
        ``""`` for the design as it is.
    dose : float
    raw : Interval or None
        Student's, over seeds; None where no seed has a value.
    scaled : Interval or None
        On the benchmark's own scale: of cell-eval2 from its baseline to its replicate anchor, of scPertEval the dynamic
        range fraction, from its negative control to a perfect answer.
    bds : Interval or None
        scPertEval's bound discrimination score.
    """

    protocol: str
    metric: str
    answer: str
    kind: str
    dial: str
    dose: float
    raw: Interval | None
    scaled: Interval | None
    bds: Interval | None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One metric: what known answers get on the benchmark's own scale.

    Parameters
    ----------
    protocol, metric : str
    direction : int
        1 where a larger raw value is better, -1 where a smaller one is.
    law, mean, copy, empirical : Interval or None
        The exact law at the reference's size, the exact mean without spread, a copy of the reference, and the
        benchmark's own positive control.
    chance : Interval or None
        Other perturbations' cells.
    free : Interval or None
        The best of the answers without information, by its mean over seeds: as a submitter would choose.
    free_answer : str
        Which one.
    copying : Interval or None
        By how much the copy is better than the exact law, seed by seed.
    bds_law, bds_empirical : Interval or None
        Of scPertEval.
    """

    protocol: str
    metric: str
    direction: int
    law: Interval | None
    mean: Interval | None
    copy: Interval | None
    empirical: Interval | None
    chance: Interval | None
    free: Interval | None
    free_answer: str
    copying: Interval | None
    bds_law: Interval | None
    bds_empirical: Interval | None

    @property
    def law_or_copy(self) -> Interval | None:
        """The exact law's, or the copy's where no law is known; None where the scale has no meaning."""
        return self.copy if self.law is None else self.law

    @property
    def copying_pays(self) -> bool | None:
        """Whether a copy of the noise beats the truth beyond chance; None where that is not known."""
        return None if self.copying is None else self.copying.above(0)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsAudit:
    """Everything that an audit found.

    Parameters
    ----------
    entries : tuple of Entry
    verdicts : tuple of Verdict
        One for each metric, at the design as it is.
    seeds : tuple of int
    scorers, notes : tuple of str
        Packages and versions, and what was adapted.
    known : bool
        Whether the exact answer is known.
    shape : mapping
        Perturbations, genes and cells of the first run.
    """

    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...]
    seeds: tuple[int, ...]
    scorers: tuple[str, ...]
    notes: tuple[str, ...]
    known: bool
    shape: Mapping[str, int]

    def entry(self, metric: str, answer: str, dial: str = "", dose: float = 1.0) -> Entry | None:
        """An answer in a metric; None where it was not scored."""
        for one in self.entries:
            if (one.metric, one.answer, one.dial, one.dose) == (metric, answer, dial, dose):
                return one
        return None


_Cell = tuple[str, str, str, str, str, float]


def summary_of(records: Sequence[Record]) -> MetricsAudit:
    """Put the records of all cases together.

    Parameters
    ----------
    records : sequence of dict
        As :func:`~diagnostics.audit.metrics.audit.audit_case` gives them, at least one at the design as it is.
    """
    values: dict[_Cell, dict[str, dict[int, float]]] = {}
    direction_of: dict[tuple[str, str], int] = {}
    for record in records:
        for row in record["scores"]:
            at: At = (row["dial"], row["dose"]) if row["dial"] else (record["dial"], record["dose"])
            cell: _Cell = (row["protocol"], row["metric"], row["answer"], row["kind"], *at)
            direction_of[row["protocol"], row["metric"]] = row["direction"]
            for name in ("raw", "scaled", "bds"):
                if row.get(name) is not None:
                    values.setdefault(cell, {}).setdefault(name, {})[record["seed"]] = row[name]
    entries = tuple(
        Entry(
            protocol=cell[0],
            metric=cell[1],
            answer=cell[2],
            kind=cell[3],
            dial=cell[4],
            dose=cell[5],
            **{name: _interval(found.get(name)) for name in ("raw", "scaled", "bds")},
        )
        for cell, found in values.items()
    )
    plain = [record for record in records if not record["dial"]]
    first = (plain or records)[0]
    return MetricsAudit(
        entries=entries,
        verdicts=tuple(_verdict(at, direction, entries, values) for at, direction in direction_of.items()),
        seeds=tuple(sorted({record["seed"] for record in records})),
        scorers=tuple(dict.fromkeys(one for record in records for one in record["scorers"])),
        notes=tuple(dict.fromkeys(one for record in records for one in record["notes"])),
        known=all(record["known"] for record in records),
        shape=first["shape"],
    )


def _verdict(
    at: tuple[str, str],
    direction: int,
    entries: Iterable[Entry],
    values: Mapping[_Cell, Mapping[str, Mapping[int, float]]],
) -> Verdict:
    mine = [one for one in entries if (one.protocol, one.metric) == at and (one.dial, one.dose) == PLAIN]
    by_name = {one.answer: one for one in mine}
    free = [(one.scaled, one.answer) for one in mine if one.kind == "free" and one.scaled is not None]
    best, free_answer = max(free, key=lambda pair: pair[0].value, default=(None, ""))

    def scaled(name: str) -> Interval | None:
        return by_name[name].scaled if name in by_name else None

    def bds(name: str) -> Interval | None:
        return by_name[name].bds if name in by_name else None

    both = [
        values.get((*at, name, kind, *PLAIN), {}).get("scaled", {}) for name, kind in ((COPY, "copy"), (EXACT, "exact"))
    ]
    seeds = sorted(both[0].keys() & both[1].keys())
    copying = paired_difference([both[0][one] for one in seeds], [both[1][one] for one in seeds]) if seeds else None
    return Verdict(
        protocol=at[0],
        metric=at[1],
        direction=direction,
        law=scaled(EXACT),
        mean=scaled(EXACT_MEAN),
        copy=scaled(COPY),
        empirical=scaled(EMPIRICAL),
        chance=scaled("shuffled labels"),
        free=best,
        free_answer=free_answer,
        copying=copying,
        bds_law=bds(EXACT),
        bds_empirical=bds(EMPIRICAL),
    )


def _interval(by_seed: Mapping[int, float] | None) -> Interval | None:
    return mean_interval(list(by_seed.values())) if by_seed else None
