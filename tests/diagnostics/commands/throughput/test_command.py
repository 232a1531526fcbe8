"""``gpcp throughput`` as its users meet it: bad use, a small run, sources and models of their own."""

import json
from pathlib import Path

import pytest

from diagnostics.cli.options import pairs_asked
from diagnostics.commands.throughput.subject import device_named
from diagnostics.inputs.synthetic import synthetic
from gpcp.core.errors import InputError
from gpcp.pairing.paired import Paired
from gpcp.sources.cache.build import build_cache
from tests.diagnostics.commands.test_bad_use import cells_file
from tests.diagnostics.commands.verbs import calling, request_of
from tests.gpcp.held_pairs import content, reading_threads

main = calling("throughput")

SMALL = ["--batches", "4", "--rounds", "2", "--batch-size", "8", "--device", "cpu", "--quiet"]
WORLD = ["--source", "synthetic:chain/5", "--n-cells", "200"]

MODELS = """
import torch
from torch import nn

from diagnostics.checks.engine.subject import Subject


class Dense(nn.Module):
    def __init__(self, n_genes):
        super().__init__()
        self.n_genes = n_genes
        self.layer = nn.Linear(n_genes, n_genes)

    def forward(self, before_BG, target_BG, measured_BG, perturbed_BG):
        return self.layer(before_BG)


class Breaking(Dense):
    def forward(self, before_BG, target_BG, measured_BG, perturbed_BG):
        raise RuntimeError("shapes do not fit")


class Interrupted(Dense):
    n_calls = 0

    def forward(self, before_BG, target_BG, measured_BG, perturbed_BG):
        self.n_calls += 1
        if self.n_calls > 12:
            raise KeyboardInterrupt
        return self.layer(before_BG)


def whole(n_genes):
    return Subject(model=Dense(n_genes), training_step=count, name="mine")


def count(model, optimizer, pairs):
    return float(pairs.after_BG.sum())


def empty(n_genes):
    subject = Subject(model=Dense(n_genes))
    object.__setattr__(subject, "model", None)
    return subject
"""


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models_of_mine.py"
    path.write_text(MODELS, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        ([], "--source is missing"),
        (["--source", "synthetic:chian/5"], "nearest: chain"),
        (["--source", "sinthetic:chain/5"], "nearest: synthetic"),
        ([*WORLD, "--model", "sead"], "nearest: seed"),
        ([*WORLD, "--regime", "matches"], "nearest: matched"),
        ([*WORLD, "--match-on", "doner"], "nearest: donor"),
        ([*WORLD, "--match-on", "donor"], "--library-size"),
        ([*WORLD, "--library-size", "100", "--regime", "interventional"], "--regime is for a simulated world"),
        ([*WORLD, "--batches", "2"], "--batches is 2: it must be at least 3"),
        ([*WORLD, "--rounds", "1"], "--rounds is 1: it must be at least 2"),
        ([*WORLD, "--depth", "0"], ">= 1"),
        ([*WORLD, "--stall", "-1"], "--stall is -1.0"),
        ([*WORLD, "--device", "cuba"], "nearest: cuda"),
        ([*WORLD, "--batch-size", "64"], "a pass of 1 whole batches of 64 pairs"),
        ([*WORLD, "--json", "/"], "is a folder"),
        ([*WORLD, "--bathces", "9"], "Did you mean --batches"),
    ],
)
def test_bad_use_ends_in_one_line_and_writes_nothing(
    arguments: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gpcp throughput: error: ")
    assert captured.err.count("\n") == 1, captured.err
    assert summary in captured.err
    assert not out.exists()


def test_a_small_run_says_and_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, file = tmp_path / "out", tmp_path / "more" / "found.json"
    assert main([*WORLD, *SMALL, "--out", str(out), "--json", str(file)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    shown = captured.out
    for part in ("default on synthetic:chain/5", "prefetched training", "overlap efficiency", "The CPU", "To do"):
        assert part in shown
    assert (out / "report.txt").read_text(encoding="utf-8") in shown + "\n"
    assert (out / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in out.iterdir()) == ["report.txt", "results.json", "timeline.png"]
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found == json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert found["command"][:2] == ["gpcp", "throughput"]
    assert list(found["passes"]) == ["drain", "cached", "synchronous", "prefetched"]
    report = found["report"]
    assert report["n_batches"] == 4
    assert [row["row"] for row in report["rows"]] == list(found["passes"])
    for row, passes in found["passes"].items():
        assert len(passes) == 2
        assert all(len(one["got"]) == 4 and len(one["read_to"]) == (4 if row == "prefetched" else 0) for one in passes)
    # The figures follow from the times that stand beside them.
    gains = [
        plain["seconds_a_batch"] - ahead["seconds_a_batch"]
        for plain, ahead in zip(found["passes"]["synchronous"], found["passes"]["prefetched"], strict=True)
    ]
    assert report["gain"]["value"] == pytest.approx(sum(gains) / 2)
    assert report["helps"] == (report["gain"]["low"] > 0)


def test_progress_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    loud = [option for option in SMALL if option != "--quiet"]
    assert main([*WORLD, *loud, "--out", str(tmp_path)]) == 0
    lines = [line.partition(" s  ")[2] for line in capsys.readouterr().err.splitlines()]
    assert list(dict.fromkeys(line.partition(":")[0] for line in lines)) == ["warm-up", "round 1 of 2", "round 2 of 2"]


@pytest.mark.parametrize("factory", ["Dense", "whole"])
def test_models_of_ones_own_are_stepped_as_they_say(
    factory: str, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = [option for option in SMALL if option not in ("--device", "cpu")]
    assert main([*WORLD, "--model", f"{models}:{factory}", *options, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("mine on synthetic" if factory == "whole" else models)


@pytest.mark.parametrize(
    ("factory", "options", "summary"),
    [
        ("Breaking", [], "the training step could not be done\n"),
        ("Breaking", [], "RuntimeError: shapes do not fit"),
        ("whole", ["--device", "cpu"], "leave --device out"),
        ("empty", [], "without a model"),
    ],
)
def test_what_a_model_of_ones_own_lacks_is_said(
    factory: str, options: list[str], summary: str, models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main([*WORLD, "--model", f"{models}:{factory}", *options, "--out", str(out), "--quiet"]) == 2
    assert summary in capsys.readouterr().err
    assert not out.exists()


def test_an_interrupt_leaves_no_thread_and_writes_nothing(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main([*WORLD, "--model", f"{models}:Interrupted", *SMALL, "--out", str(out)]) == 130
    assert "interrupted; nothing has been written" in capsys.readouterr().err
    assert reading_threads() == []
    assert not out.exists()


def test_cells_of_a_file_are_paired_as_a_training_would_pair_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--source", cells_file(tmp_path), "--cell-type-key", "kind"]
    assert main([*options, *SMALL, "--batches", "3", "--batch-size", "4", "--out", str(tmp_path / "out")]) == 0
    assert "6 genes, pairs of the same cell_type" in capsys.readouterr().out


def test_a_cache_is_read_as_it_lies_and_not_from_a_copy(tmp_path: Path):
    cells = synthetic("chain/5", n_cells=80, library_size=500.0)
    cache = build_cache(cells, tmp_path / "cache")
    asked = request_of("throughput", "--source", f"cache:{tmp_path / 'cache'}", "--n-perturbed", "1-2")
    named = pairs_asked(asked.source, asked.pairs, max_cells=None, seed=0)
    pairs = named.pairs
    assert "planned" in named.name
    wanted = Paired(cache, n_perturbed=(1, 2)).pairs(batch_size=8, seed=3)
    assert content(pairs.pairs(batch_size=8, seed=3)) == content(wanted)


def test_devices_are_named():
    assert device_named("cpu").type == "cpu"
    with pytest.raises(InputError, match="nearest: auto"):
        device_named("aut")
