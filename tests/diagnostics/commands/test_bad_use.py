"""Bad input ends in one line on standard error and exit code 2, before anything is trained or written."""

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from diagnostics.__main__ import main as run
from gpcp.model.config import PRESETS
from simulators.scm.constants import SCALINGS
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.regimes import REGIMES
from simulators.worlds import FAMILIES
from tests.diagnostics.commands.verbs import calling

main = calling("recover-graph")


def cells_file(folder: Path, *, counts: np.ndarray | None = None, ids: list[str] | None = None) -> str:
    """An AnnData file of 40 cells and 6 genes that is good but for what is changed."""
    rng = np.random.default_rng(0)
    matrix = rng.poisson(5.0, size=(40, 6)).astype(np.float32) if counts is None else counts
    genes = [f"ENSG{i:011d}" for i in range(6)] if ids is None else ids
    cells = ad.AnnData(
        matrix,
        obs=pd.DataFrame({"kind": ["a", "b"] * 20}, index=[f"cell{i}" for i in range(40)]),
        var=pd.DataFrame(index=genes),
    )
    path = folder / "cells.h5ad"
    cells.write_h5ad(path)
    return str(path)


def spoilt(value: float) -> np.ndarray:
    counts = np.random.default_rng(0).poisson(5.0, size=(40, 6)).astype(np.float32)
    counts[3, 2] = value
    return counts


def refusal(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, and give the one line that it must print."""
    out = folder / "out"
    code = main([*arguments, "--out", str(out), "--steps", "2", "--workers", "1"])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("gpcp recover-graph: error: ")
    assert not out.exists(), "nothing is written before everything is checked"
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        (["--world", "scale_fre/20"], "nearest: scale_free"),
        (["--world", "scale_free"], "scale_free/20"),
        (["--world", "scale_free/20/hil"], "nearest: hill"),
        (["--regime", "interventions"], "nearest: interventional"),
        (["--preset", "sead"], "nearest: seed"),
        (["--n-perturbed", "5-3"], "backwards"),
        (["--n-perturbed", "1-20"], "1 .. 19"),
        (["--n-perturbed", "x"], "not a whole number"),
        (["--learning-rate", "-1"], "learning_rate"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--dose-sd", "0"], "dose_sd"),
        (["--seeds", "-1"], "not a whole number"),
        (["--stepz", "3"], "Did you mean --steps"),
        (["--world", "network/20"], "network="),
        (["--world", "network/20", "--network", "nowhere.tsv"], "nowhere.tsv"),
        (["--cell-type-key", "kind"], "pairs of a world"),
        (["--cells", "nowhere.h5ad", "--cell-type-key", "kind"], "nowhere.h5ad"),
    ],
)
def test_an_option_that_is_no_good(
    arguments: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert summary in refusal(arguments, tmp_path, capsys)


def test_a_cyclic_network_names_its_cycle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "network.tsv"
    table.write_text("a\tb\nb\tc\nc\ta\n")
    line = refusal(["--world", "network/3", "--network", str(table)], tmp_path, capsys)
    assert "has a cycle" in line
    assert any(cycle in line for cycle in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"))


@pytest.mark.parametrize(
    ("changes", "arguments", "summary"),
    [
        ({}, ["--cell-type-key", "kidn"], "nearest: kind"),
        ({}, ["--cell-type-key", "kind", "--layer", "rwa"], "'rwa'"),
        ({}, ["--cell-type-key", "kind", "--gene-id-key", "ensembl"], "'ensembl'"),
        ({}, ["--cell-type-key", "kind", "--values", "raw"], "raw"),
        ({}, ["--cell-type-key", "kind", "--n-genes", "7"], "7"),
        ({}, ["--cell-type-key", "kind", "--world", "chain/4"], "--world"),
        ({}, [], "--cell-type-key"),
        ({"ids": list("abcdef")}, ["--cell-type-key", "kind"], "Ensembl"),
        ({"counts": spoilt(-1.0)}, ["--cell-type-key", "kind", "--layer", "X"], "ENSG00000000002 in cell 'cell3'"),
        ({"counts": spoilt(np.nan)}, ["--cell-type-key", "kind"], "unmeasured"),
    ],
)
def test_a_file_of_cells_that_is_no_good(
    changes: dict[str, object],
    arguments: list[str],
    summary: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = cells_file(tmp_path, **changes)  # pyright: ignore[reportArgumentType]
    assert summary in refusal(["--cells", path, "--n-genes", "5", *arguments], tmp_path, capsys)


def test_a_file_where_the_folder_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "taken"
    place.write_text("mine")
    assert main(["--out", str(place)]) == 2
    assert "taken is a file" in capsys.readouterr().err
    assert place.read_text() == "mine"
    assert main(["--json", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_answer_without_running(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([option]) == 0
    shown = capsys.readouterr().out
    assert ("Usage:" if option == "--help" else "gpcp") in shown
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_help_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = set(re.findall(r"[a-z_]+", capsys.readouterr().out))
    assert {*FAMILIES, *MECHANISMS, *SCALINGS, *REGIMES, *PRESETS} <= words
