"""Print how often the right cause is named: ``python -m tests.verification.causes.measured FIRST N``.

``N`` situations of each kind, in worlds of seeds from ``FIRST`` on. With ``--rows FILE`` each is written as it ends,
and those that are there already are not asked again; ``--write`` counts all of the file for the page and the docs.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from diagnostics.commands.ladder.measured import FILE, Measured
from gpcp.core.files import write_json
from tests.verification.causes.situations import confusion, seed_again, situations

Row = dict[str, str | int | bool]
"""``name``, ``kind``, planted ``cause``, ``named`` one, ``seed`` of the world, and whether it was asked ``again``."""


def measured(
    first: int, n_each: int, *, again: bool = False, kinds: Sequence[str] = (), rows: Path | None = None
) -> list[Row]:
    """Every situation with the cause that was named, a line each.

    Parameters
    ----------
    first, n_each : int
        As :func:`tests.verification.causes.situations.situations` takes them.
    again : bool
        Whether the command gets another seed than the world.
    kinds : sequence of str
        These alone.
    rows : Path, optional
        A file with a JSON object a line, added to.
    """
    known = {(row["name"], row["again"]): row for row in rows_of(rows)}
    found: list[Row] = []
    for one in situations(first, n_each):
        if kinds and one.kind not in kinds:
            continue
        row = known.get((one.name, again))
        if row is None:
            named = one.verdict(seed=seed_again(one.seed) if again else None).cause
            row = Row(name=one.name, kind=one.kind, cause=one.cause, named=named, seed=one.seed, again=again)
            if rows is not None:
                with rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
        print("right" if row["named"] == row["cause"] else "WRONG", row["name"], row["named"], flush=True)
        found.append(row)
    return found


def rows_of(path: Path | None) -> list[Row]:
    """The rows of a file; none where there is no file."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("n_each", type=int)
    parser.add_argument("--again", action="store_true", help="another seed of the command")
    parser.add_argument("--kinds", nargs="+", default=(), help="these alone, such as healthy")
    parser.add_argument("--rows", type=Path, help="a file that rows are added to")
    parser.add_argument("--write", metavar="COMMAND", help="count the rows for the package, as what COMMAND gives")
    return parser.parse_args()


if __name__ == "__main__":
    asked = _arguments()
    if asked.write:
        counted = Measured.of(rows_of(asked.rows), asked.write)
        write_json(FILE, asdict(counted))
        print(counted.markdown())
        raise SystemExit
    results = measured(asked.first, asked.n_each, again=asked.again, kinds=asked.kinds, rows=asked.rows)
    for kind, named in confusion((str(row["kind"]), str(row["named"])) for row in results).items():
        print(kind, dict(named))
    print(sum(row["cause"] == row["named"] for row in results), "of", len(results))
