"""The command on real cells: a file whose covariance is known in, the data's own graph and honest losses out."""

import json
import os
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from diagnostics.commands.recover_graph.cells import TARGET, graph_of
from diagnostics.inputs.data import cells_data_of
from diagnostics.runs.experiment import Experiment
from gpcp.opening.cells import open_cells
from gpcp.opening.stamps import stamp_of
from gpcp.sources.cache.build import build_cache
from tests.diagnostics.commands.verbs import calling

main = calling("recover-graph")


def log_file(folder: Path) -> Path:
    """Log values of 300 cells of two types, in which genes 0-1, 2-3 and 4-5 go together."""
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=(300, 3)), 2, axis=1)
    values = np.abs(3 + shared + 0.5 * rng.normal(size=(300, 6)))
    values[::2, 0] += 1
    cells = ad.AnnData(
        values.astype(np.float32),
        obs=pd.DataFrame({"kind": ["a", "b"] * 150}, index=[f"cell{i}" for i in range(300)]),
        var=pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(6)]),
    )
    path = folder / "cells.h5ad"
    cells.write_h5ad(path)
    return path


def run_on(path: Path, seed: int = 0) -> Experiment:
    return Experiment(
        source=f"h5ad:{path}",
        options=(("cell_type_key", "kind"), ("values", "log")),
        stamp=stamp_of(f"h5ad:{path}"),
        n_genes=6,
        n_steps=10,
        batch_size=32,
        learning_rate=1e-2,
        n_held_out=200,
        seed=seed,
    )


def test_no_cell_is_on_both_sides_and_the_graph_comes_from_training_cells(tmp_path: Path) -> None:
    data = cells_data_of(run_on(log_file(tmp_path)))
    training = set(data.training_cells.cells.cell_id_B.tolist())
    assert len(training) == 240
    for pairs, inside in ((data.sample, True), (data.held_out, False)):
        for id_B in (pairs.before_id_B, pairs.after_id_B):
            assert {(cell in training) == inside for cell in id_B.tolist()} == {True}
    assert len(data.held_out) == 200
    graph = graph_of(data, 0)
    assert graph.n_cells == 240
    edges = {(int(i), int(j)) for i, j in np.argwhere(graph.edges_GG()) if i < j}
    assert edges == {(0, 1), (2, 3), (4, 5)}


@pytest.mark.slow
def test_the_command_reports_and_says_that_it_is_not_causal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    options = [
        "--cell-type-key",
        "kind",
        "--n-genes",
        "6",
        "--steps",
        "60",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--quiet",
    ]
    code = main(["--cells", str(log_file(tmp_path)), "--values", "log", *options, "--out", str(out)])
    shown = capsys.readouterr().out
    assert code in (0, 1)
    assert "not causes" in shown
    assert "not of cause" in shown
    assert "as log values, used as they are" in shown
    assert max(len(line) for line in shown.splitlines()[:-1]) <= 100
    (row,) = json.loads((out / "results.json").read_text())["regimes"]
    assert row["target"] == TARGET
    assert row["bayes_risk"] is None
    assert row["skill"] is None
    assert row["shd"] is None
    assert row["best_linear_loss"] <= row["ridge_loss"]
    assert row["best_linear_loss"] < row["baseline_loss"]
    assert row["loss"] < row["baseline_loss"], "60 steps on genes that go together in pairs teach something"


def test_a_changed_file_is_another_run(tmp_path: Path) -> None:
    path = log_file(tmp_path)
    before = run_on(path)
    assert run_on(path).key == before.key
    os.utime(path, ns=(1, 1))
    assert run_on(path).key == before.key
    with path.open("ab") as file:
        file.write(b"more")
    assert run_on(path).key != before.key


@pytest.mark.slow
def test_the_real_file_needs_no_option_but_its_cell_types(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_data / "cells" / "pbmc68k_reduced.h5ad"
    options = ["--cell-type-key", "bulk_labels", "--seeds", "1", "--steps", "5", "--workers", "1", "--quiet"]
    assert main(["--cells", str(path), *options, "--out", str(tmp_path)]) in (0, 1)
    shown = " ".join(capsys.readouterr().out.split())
    assert "layer 'raw' of 'pbmc68k_reduced.h5ad' as log values" in shown
    assert "gene ids from column 'ensembl_id'" in shown
    assert "65 of 765 genes without an Ensembl id dropped" in shown
    assert "pbmc68k_reduced.h5ad: 20 genes" in shown


def test_cells_of_any_source_come_through_the_same_door(tmp_path: Path) -> None:
    held = run_on(log_file(tmp_path))
    build_cache(open_cells(held.source, values="log", cell_type_key="kind"), tmp_path / "cache")
    cached = cells_data_of(replace(held, source=f"cache:{tmp_path / 'cache'}", options=()))
    direct = cells_data_of(held)
    assert cached.held_out.vocab == direct.held_out.vocab
    assert cached.training_cells.cells.cell_id_B.tolist() == direct.training_cells.cells.cell_id_B.tolist()
    assert np.array_equal(graph_of(cached, 0).partial_GG, graph_of(direct, 0).partial_GG)


def test_sequenced_cells_of_a_world_are_cells_like_others() -> None:
    run = Experiment(
        source="synthetic:scale_free/12",
        options=(("library_size", 5000), ("n_cells", 400)),
        n_genes=5,
        n_steps=10,
        batch_size=32,
        learning_rate=1e-2,
        n_held_out=100,
        seed=0,
    )
    data = cells_data_of(run)
    sizes = len(data.training_cells.cells), len(data.held_out_cells.cells), len(data.held_out)
    assert sizes == (320, 80, 100)
    assert len(data.vocab) == 5
    assert "the 5 with the largest variance" in data.summary[2]


def test_a_panel_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "panel.txt").write_text("ENSG00000000002\nENSG00000000003\nENSG00000000000\n")
    data = cells_data_of(replace(run_on(log_file(tmp_path)), genes=str(tmp_path / "panel.txt")))
    assert data.vocab.feature_id == ("ENSG00000000002", "ENSG00000000003", "ENSG00000000000")
    assert data.summary[2] == "the 3 genes of panel.txt"


@pytest.mark.slow
def test_a_cache_needs_no_option_and_sequenced_cells_are_read_through_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_cache(open_cells(f"h5ad:{log_file(tmp_path)}", values="log", cell_type_key="kind"), tmp_path / "cache")
    few = ["--n-genes", "5", "--steps", "2", "--seeds", "1", "--workers", "1", "--quiet"]
    sequenced = ["--source", "synthetic:scale_free/12", "--library-size", "5000", "--n-cells", "400"]
    for number, source in enumerate((["--source", f"cache:{tmp_path / 'cache'}"], sequenced)):
        assert main([*source, *few, "--out", str(tmp_path / str(number))]) in (0, 1)
        assert "not causes" in capsys.readouterr().out
    assert main([*sequenced, "--regime", "interventional", "--out", str(tmp_path / "none")]) == 2
    assert "--regime is for simulated worlds" in capsys.readouterr().err
    assert main([*sequenced, *few, "--genes", "panel.txt", "--out", str(tmp_path / "none")]) == 2
    assert "give one of them" in capsys.readouterr().err
