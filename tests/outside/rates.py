"""How often each check is right and wrong on outsiders' trainings, of the lines that ``tests.outside.judge`` writes.

``python -m tests.outside.rates FOLDER`` reads ``healthy.jsonl``, ``unseen_healthy.jsonl``, ``bugs.jsonl``,
``unseen_bugs.jsonl`` and ``data_faults.jsonl`` there, and writes what ``gpcp diagnose --explain`` shows.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diagnostics.checks.explained import MEASURED
from gpcp.core.files import write_text

HEALTHY, HURT = ("healthy", "unseen_healthy"), ("bugs", "unseen_bugs", "data_faults")
ASKED = ("pass", "fail", "inconclusive")


def rates(healthy: Iterable[Mapping[str, Any]], hurt: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of every check.

    Parameters
    ----------
    healthy, hurt : iterable of mapping
        Lines of ``judge``: of recipes that are right, and of bugs and faults of data.

    Returns
    -------
    dict
        ``n_healthy`` and ``n_hurt``; under ``checks`` by code ``asked`` and ``failed`` of the healthy, and of the
        others ``first``, in how many it was the first diagnosis, and ``right``, how many of these have its cause.
    """
    asked: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    first: Counter[str] = Counter()
    right: Counter[str] = Counter()
    n_healthy = n_hurt = 0
    for line in healthy:
        n_healthy += 1
        for code, outcome in line.get("outcomes", {}).items():
            asked[code] += outcome in ASKED
            failed[code] += outcome == "fail"
    for line in hurt:
        n_hurt += 1
        if line.get("diagnosis"):
            code = line["diagnosis"].split()[0]
            first[code] += 1
            right[code] += line["found"] in line["cause"].split("/")
    checks = {
        code: {"asked": asked[code], "failed": failed[code], "first": first[code], "right": right[code]}
        for code in sorted({*asked, *first})
        if code.startswith("GP") and asked[code] + first[code]
    }
    return {"n_healthy": n_healthy, "n_hurt": n_hurt, "checks": checks}


def _lines(folder: Path, kinds: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(one) for kind in kinds for one in (folder / f"{kind}.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    where = Path(sys.argv[1])
    found = rates(_lines(where, HEALTHY), _lines(where, HURT))
    write_text(MEASURED, json.dumps(found, indent=1) + "\n")
