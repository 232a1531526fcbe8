"""``gpcp audit`` as its users meet it: as a process, on files, and when asked for nonsense."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from diagnostics.audit.verdicts import NEITHER_THRESHOLD
from gpcp.pairing.rules import KEYS
from gpcp.panels.panel import ORDERS
from tests.diagnostics.commands.verbs import calling

main = calling("audit")

N_CELLS, N_GENES = 600, 12
GENES = [f"ENSG{i:011d}" for i in range(N_GENES)]


def cells_file(folder: Path, value_BG: NDArray[np.floating], **columns: NDArray[np.generic]) -> str:
    """An AnnData file of two types of cells."""
    obs = pd.DataFrame({"kind": np.tile(["a", "b"], len(value_BG) // 2), **columns})
    obs.index = obs.index.map("cell{}".format)
    path = folder / "cells.h5ad"
    ad.AnnData(value_BG.astype(np.float32), obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(path)
    return str(path)


def going_together() -> NDArray[np.floating]:
    """Log values of genes that share one cause, the first three of them hardly ever expressed."""
    rng = np.random.default_rng(0)
    value_BG = 3 + rng.normal(size=(N_CELLS, 1)) + 0.5 * rng.normal(size=(N_CELLS, N_GENES))
    value_BG[:, :3] = rng.random((N_CELLS, 3)) < 0.1
    return np.maximum(value_BG, 0)


def unrelated() -> NDArray[np.floating]:
    """Log values of independent genes."""
    return np.maximum(np.random.default_rng(1).normal(3.0, 0.5, size=(N_CELLS, N_GENES)), 0)


def audited(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command in this process, and read what it wrote."""
    values = ["--values", "log"] if ".h5ad" in " ".join(arguments) else []
    code = main([*arguments, *values, "--out", str(folder / "out"), "--quiet"])
    return code, json.loads((folder / "out" / "audit.json").read_text())


@pytest.mark.slow
def test_the_command_as_a_process(tmp_path: Path, repo: Path):
    source = f"h5ad:{cells_file(tmp_path, going_together())}"
    command = [sys.executable, "-m", "diagnostics", "audit", "--source", source, "--cell-type-key", "kind"]
    command += ["--values", "log", "--n-genes", "6", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audit.txt", "audit.json", "audit.png"}
    shown = (tmp_path / "out" / "audit.txt").read_text()
    assert shown in done.stdout
    for words in ("author's setting", "chosen panel", "regression to the mean", "expressed in neither", "can teach"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert re.search(r"^ +\d+ s  chosen panel: linear gain$", done.stderr, re.MULTILINE)
    assert (tmp_path / "out" / "audit.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_written_is_whole_and_adds_up(tmp_path: Path):
    code, found = audited(
        tmp_path, "--source", cells_file(tmp_path, going_together()), "--cell-type-key", "kind", "--n-genes", "6"
    )
    assert code == 0
    author, chosen = found["panels"]
    assert author["feature_id"] == GENES
    assert len(chosen["feature_id"]) == 6
    assert not set(GENES[:3]) & set(chosen["feature_id"])
    for panel in found["panels"]:
        assert panel["n_pairs"] == N_CELLS // 2
        assert sum(part["value"] for part in panel["parts"]["share_of"].values()) == pytest.approx(1)
        entries = panel["entries"]
        assert sum(entries[name]["value"] for name in ("both", "one", "neither")) == pytest.approx(1)
        assert ("not applicable" in panel["noise"]["summary"]) == (panel["noise"]["half_depth"] is None)
    assert author["entries"]["neither"]["value"] > chosen["entries"]["neither"]["value"]


def test_pairs_that_cannot_teach_end_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, found = audited(tmp_path, "--source", cells_file(tmp_path, unrelated()), "--cell-type-key", "kind")
    assert code == 1
    (panel,) = found["panels"]
    assert not panel["can_teach"]
    assert panel["name"] == "all genes"
    shown = capsys.readouterr().out
    assert "nothing linear to learn was seen" in " ".join(shown.split())


def test_silent_genes_and_datasets_are_named_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rng = np.random.default_rng(2)
    study = rng.integers(3, size=N_CELLS)
    value_BG = going_together() + 2.0 * rng.normal(size=(3, N_GENES))[study]
    # Rare, but in every dataset: a gene that a dataset never shows counts as unmeasured there.
    value_BG[:, :8] = rng.random((N_CELLS, 8)) < 0.05
    path = cells_file(tmp_path, np.maximum(value_BG, 0), study=study.astype(str))
    audited(tmp_path, "--source", path, "--cell-type-key", "kind", "--dataset-key", "study", "--n-genes", "4")
    shown = " ".join(capsys.readouterr().out.split())
    assert "are 0 in both cells" in shown
    assert "choose expressed genes: gpcp select-genes" in shown
    assert "match on dataset" in shown


def test_matching_and_a_panel_that_is_named(tmp_path: Path):
    panel = tmp_path / "panel.txt"
    panel.write_text("\n".join(GENES[5:9]))
    study = np.random.default_rng(3).integers(2, size=N_CELLS).astype(str)
    code, found = audited(
        tmp_path,
        *("--source", cells_file(tmp_path, going_together(), study=study), "--cell-type-key", "kind"),
        *("--dataset-key", "study", "--panel", str(panel)),
        *("--match-on", "cell_type", "--differ-on", "dataset", "--best-of", "4", "--n-perturbed", "1-2"),
    )
    assert code == 0
    author, chosen = found["panels"]
    assert chosen["feature_id"] == GENES[5:9]
    assert author["paired"]["differ_on"] == []
    assert chosen["paired"] == {
        "match_on": ["cell_type"],
        "differ_on": ["dataset"],
        "prefer_on": [],
        "best_of": 4,
        "n_perturbed": [1, 2],
    }


def test_the_seed_decides_every_digit(tmp_path: Path):
    source = ("--source", "synthetic:scale_free/8", "--n-cells", "600", "--library-size", "300")
    _, first = audited(tmp_path / "a", *source, "--seed", "3")
    _, again = audited(tmp_path / "b", *source, "--seed", "3")
    _, other = audited(tmp_path / "c", *source, "--seed", "4")
    assert first["panels"] == again["panels"]
    assert first["panels"] != other["panels"]
    assert first["panels"][0]["noise"]["full_depth"]["value"] > 0


def test_a_world_in_its_own_units_has_neither_depth_nor_noise(tmp_path: Path):
    _, found = audited(tmp_path, "--source", "synthetic:scale_free/8", "--n-cells", "2000")
    (panel,) = found["panels"]
    assert "depth" not in panel["parts"]["share_of"]
    assert panel["noise"]["half_depth"] is None
    assert panel["parts"]["before_alone"]["value"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        ([], "--source is missing"),
        (["--source", "synthetik:chain/4"], "nearest: synthetic"),
        (["--source", "synthetic:chian/4"], "nearest: chain"),
        (["--source", "synthetic:chain/4", "--dropout", "0.1"], "--library-size"),
        (["--source", "synthetic:chain/4", "--cell-type-key", "kind"], "--cell-type-key is for h5ad"),
        (["--source", "synthetic:chain/4", "--dropout", "2"], "--dropout"),
        (["--source", "synthetic:chain/4", "--match-on", "cell_typ"], "nearest: cell_type"),
        (["--source", "synthetic:chain/4", "--match-on", "disease", "--differ-on", "disease"], "disease"),
        (["--source", "synthetic:chain/4", "--n-cells", "500", "--differ-on", "disease"], "disease"),
        (["--source", "synthetic:chain/4", "--by", "varience"], "nearest: variance"),
        (["--source", "synthetic:chain/4", "--panel", "p.json", "--n-genes", "3"], "give one of them"),
        (["--source", "synthetic:chain/4", "--panel", "nowhere.json"], "nowhere.json"),
        (["--source", "synthetic:chain/4", "--n-cells", "500", "--n-genes", "9"], "n_genes is 9"),
        (["--source", "synthetic:chain/4", "--n-cells", "50"], "an audit needs 40"),
        (["--source", "synthetic:chain/4", "--n-cells", "0"], ">= 1"),
        (["--source", "synthetic:chain/4", "--n-cells", "500", "--n-perturbed", "3-2"], "runs backwards"),
        (["--sorce", "synthetic:chain/4"], "Did you mean --source"),
        (["--source", "h5ad:nowhere.h5ad"], "nowhere.h5ad"),
    ],
)
def test_bad_use_is_one_line(arguments: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("gpcp audit: error: ")
    assert summary in captured.err
    assert not out.exists(), "nothing is written before everything is measured"


def test_a_file_where_the_folder_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = tmp_path / "taken"
    place.write_text("mine")
    assert main(["--source", "synthetic:chain/4", "--out", str(place)]) == 2
    assert "taken is a file" in capsys.readouterr().err
    assert place.read_text() == "mine"


def test_help_states_the_thresholds_and_what_there_is(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines()) <= 100
    assert f"{NEITHER_THRESHOLD:.0%} of the scored ones" in " ".join(shown.split())
    assert "gpcp audit --source" in shown
    assert {*KEYS, *ORDERS, "synthetic", "census", "h5ad"} <= set(re.findall(r"[a-z0-9_]+", shown))


@pytest.mark.slow
def test_real_cells(shared_data: Path, tmp_path: Path):
    code, found = audited(
        tmp_path,
        *("--source", f"h5ad:{shared_data / 'cells' / 'pbmc68k_reduced.h5ad'}", "--cell-type-key", "bulk_labels"),
        *("--gene-table", str(shared_data / "cells" / "genes_homo_sapiens.csv.gz"), "--n-genes", "40"),
    )
    assert code == 0
    author, chosen = found["panels"]
    assert "protein-coding" in author["panel_summary"]
    # Partners of one type and no other choice: before and after are as good as independent.
    shares = chosen["parts"]["share_of"]
    assert shares["regression to the mean"]["value"] == pytest.approx(shares["remains"]["value"], abs=0.06)
    assert chosen["partners"]["key_buys"]["low"] > 0.3
