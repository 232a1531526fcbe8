"""Arguments that nobody would type, drawn from the verbs' own options: an exit code of 0, 1 or 2, and no traceback."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from diagnostics.__main__ import app, main
from tests.verification.faults.tiny_commands import tiny

pytestmark = pytest.mark.slow

N_SETS, N_PARTS = 300, 6
NOT_ASKED = ("--scheduler", "--workers", "--faults", "--healthy", "--graph-genes")
"""They wait for a network, start processes, or make a verb long."""

PATHS = ["", "/dev/null/x", "/proc/x", "x" * 300, ".", "f.json", "a/b.png", "a/b.csv"]
BAD = ["", " ", "-", "--", "=", "a=b", "x", "é☃", "*", "../..", "x" * 300, "nan", "1e400", "\u0661"]
NAMES = [
    "default",
    "seed",
    "mlp",
    "matched",
    "interventional",
    "exact",
    "data",
    "GP203",
    "variance",
    "auto",
    "X",
    "width=8",
]
PLACES = ["chain/4", "synthetic:chain/3", "synthetic:chain", "synthetic:", "h5ad:nowhere.h5ad", "cells.h5ad", "cache:x"]
PLACES += [
    "nowhere://x",
    "file.py:factory",
    "a.b:c",
    "learning_rate=1..2",
    "dropout=0..x",
    "cell_type",
    "position_leak",
]
WHOLE = ["-1", "0", "1", "2", "3", "5", "007", "1.5", "1e3", "99999999999999999999"]
REAL = ["-1", "0", "0.5", "1", "1e-3", "inf", "-inf", "1e-400"]
RANGES = ["1", "1-2", "2-3", "2-1", "1-99", "1-3-5", "1-", "x-y"]


_T = TypeVar("_T")


def one_of(rng: np.random.Generator, some: Sequence[_T]) -> _T:
    return some[int(rng.integers(len(some)))]


def values(rng: np.random.Generator, hint: str) -> list[str]:
    """What may follow an option whose value is of this type."""
    if "bool" in hint:
        return one_of(rng, [[], [], [], ["x"]])
    if "tuple[int, int]" in hint:
        return [one_of(rng, RANGES)]
    kinds = {"Path": PATHS, "int": [*WHOLE, *WHOLE, *BAD], "float": [*REAL, *REAL, *BAD]}
    pool = next((pool for kind, pool in kinds.items() if kind in hint), [*NAMES, *PLACES, *BAD])
    pool = [*pool, *RANGES] if "tuple[int" in hint else pool
    return [one_of(rng, pool) for _ in range(one_of(rng, [1, 1, 2]) if "tuple" in hint else 1)]


def options(verb: str) -> list[tuple[str, str]]:
    """Every option of a verb with the type of its value, as the command itself parses them."""
    of: Any = app()
    for word in verb.split():
        of = of[word]
    asked = [(one.name, str(one.hint)) for one in of.assemble_argument_collection()]
    return [(name, hint) for name, hint in asked if name != "*" and name not in NOT_ASKED]


def arguments(number: int, out: Path) -> list[str]:
    """The set of this number: a verb that would be small, with up to three options of any value behind.

    Options are many and good values few: one set in 25 has none behind, so that every part holds a good one.
    """
    rng = np.random.default_rng(number)
    # It takes ten seconds.
    rare = "benchmark input" if number % 100 == 0 else None
    verb = rare or one_of(rng, [verb for verb in tiny(out) if verb != "benchmark input"])
    small = tiny(out)[verb]
    known = options(verb)
    n_drawn = min(len(known), one_of(rng, [1, 1, 2, 3]))
    drawn = [known[int(place)] for place in rng.permutation(len(known))[:n_drawn]]
    if number % 25 == 0:
        return small
    return [*small, *(word for name, hint in drawn for word in (name, *values(rng, hint)))]


@pytest.mark.parametrize("part", range(N_PARTS))
def test_no_arguments_end_in_a_traceback(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    codes: set[int] = set()
    for number in range(part, N_SETS, N_PARTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        asked = arguments(number, folder / "out")
        code = main(asked)
        shown = capsys.readouterr().err
        assert code in (0, 1, 2), asked
        assert "Traceback" not in shown, (asked, shown)
        assert code != 2 or "error: " in shown, (asked, shown)
        codes.add(code)
    assert codes >= {0, 2}, "some are good and some are not"
