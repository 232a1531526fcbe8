"""Methods on the same pairs: their rows, what is missing or too slow, and how times grow."""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from diagnostics.commands.benchmark import recovery
from diagnostics.commands.benchmark.apart import apart
from diagnostics.commands.benchmark.readers import READERS, Given, Reader
from diagnostics.commands.benchmark.recovery import Row, growth, table
from diagnostics.graphs.scores import auprc_of, target_graph
from gpcp.core.pairs import concatenate
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.commands.verbs import calling

main = calling("benchmark")


def row(method: str, n_genes: int, cpu_s: float | None) -> Row:
    return Row(
        mechanism="linear",
        n_genes=n_genes,
        method=method,
        auprc=0.5,
        cpu_s=cpu_s,
        peak_mib=None,
        note="" if cpu_s else "no",
    )


def test_exponents_are_those_of_powers_and_need_two_sizes() -> None:
    timed = [row("cubic", n_genes, 1e-3 * n_genes**3) for n_genes in (10, 20, 50)]
    found = growth([*timed, row("once", 10, 1.0), row("failed", 10, 1.0), row("failed", 20, None)])
    assert [(one.method, one.sizes) for one in found] == [("cubic", (10, 20, 50))]
    assert math.isclose(found[0].exponent, 3, rel_tol=1e-9)
    shown = table([*timed, row("failed", 20, None)], found)
    assert "3.00" in shown
    assert "failed" in shown


@pytest.mark.parametrize("method", ["ridge", "classical"])
def test_readers_of_ours_recover_a_linear_graph(method: str) -> None:
    made = world("chain/6", seed=0)
    pairs = concatenate(
        SimulatedPairs(scm=made.scm, regime="interventional", n_pairs=3000).pairs(batch_size=3000, seed=0)
    )
    score_GG = READERS[method].read(Given(world=made, regime="interventional", pairs=pairs, seed=0))
    assert score_GG.shape == (6, 6)
    assert auprc_of(score_GG, target_graph(made.graph, "direct")) > 0.9


def test_our_model_reads_the_pairs_that_it_is_given() -> None:
    made = world("chain/4", seed=0)
    pairs = concatenate(
        SimulatedPairs(scm=made.scm, regime="interventional", n_pairs=500).pairs(batch_size=500, seed=0)
    )
    given = Given(world=made, regime="interventional", pairs=pairs, seed=0, n_steps=3)
    first_GG, again_GG = (READERS["mixing"].read(given) for _ in range(2))
    np.testing.assert_array_equal(first_GG, again_GG)
    np.testing.assert_array_equal(np.diag(first_GG), 0)


def exact() -> tuple[float, float]:
    print("dropped")
    return 0.25, 1.5


def wrong() -> tuple[float, float]:
    raise ValueError("no\nanswer")


def endless() -> tuple[float, float]:
    while True:
        pass


@pytest.mark.slow
def test_work_apart_comes_back_or_says_why_not(capfd: pytest.CaptureFixture[str]) -> None:
    ended = apart(exact, limit_s=60)
    assert (ended.value, ended.cpu_s, ended.note) == (0.25, 1.5, "")
    assert capfd.readouterr().out == ""
    assert apart(wrong, limit_s=60).note == "ValueError: no answer"
    late = apart(endless, limit_s=5)
    assert (late.value, late.note) == (None, "ended after 5 CPU s, the limit")


def test_what_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def never(_: Given) -> np.ndarray:
        raise AssertionError

    absent = Reader(read=never, about="nothing", module="no_such_module.part", package="no-such-package")
    monkeypatch.setattr("diagnostics.commands.benchmark.readers.READERS", {"absent": absent})
    assert main(["recovery", "--n-genes", "5", "--mechanism", "linear"]) == 0
    shown = capsys.readouterr().out
    assert "not installed: pip install no-such-package" in shown


@pytest.mark.slow
def test_the_table_and_the_file_hold_every_method_and_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recovery.json"
    # Under a limit of CPU time the clock of a process has steps of 4 ms: the smallest work takes several.
    few = ["--n-pairs", "3000", "--steps", "2", "--methods", "mixing", "ridge", "--mechanism", "tanh"]
    assert main(["recovery", "--n-genes", "20", "40", *few, "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(
        text in shown for text in ("tanh, 20 genes", "tanh, 40 genes", "mixing", "ridge", "numpy", "to the power")
    )
    document = json.loads(path.read_text(encoding="utf-8"))
    assert [(one["method"], one["n_genes"]) for one in document["rows"]] == [
        ("mixing", 20),
        ("ridge", 20),
        ("mixing", 40),
        ("ridge", 40),
    ]
    assert all(0 <= one["auprc"] <= 1 and one["cpu_s"] > 0 for one in document["rows"])
    assert {one["method"] for one in document["growth"]} == {"mixing", "ridge"}
    assert document["versions"]["numpy"] == np.__version__


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name, reader in READERS.items() if reader.module and name != "dagma_mlp"])
def test_packages_that_are_installed_give_scores(method: str) -> None:
    if find_spec(READERS[method].module.split(".")[0]) is None:
        pytest.skip(f"{READERS[method].package} is not installed")
    value, cpu_s = recovery.read_one("chain/5/linear", method, regime="interventional", n_pairs=500, seed=0, steps=None)
    assert 0 < value <= 1
    assert cpu_s > 0


@pytest.mark.parametrize(
    ("wrong_words", "named"),
    [
        (["--methods", "ridg"], "ridge"),
        (["--mechanism", "hil"], "hill"),
        (["--family", "scale-free"], "scale_free"),
        (["--regime", "interventionl"], "interventional"),
        (["--n-genes", "2"], "at least 3"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_bad_words_name_what_was_meant(wrong_words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recovery", *wrong_words]) == 2
    assert named in capsys.readouterr().err
