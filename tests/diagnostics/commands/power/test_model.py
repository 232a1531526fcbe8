"""A model on spiked screens: it is given the dose alone, learns on the same cells, and its column is shown."""

import json
from pathlib import Path

import numpy as np
import pytest

from diagnostics import Budget, GraphDesign, ModelReadOut, graph_recovery
from diagnostics.commands.power.model import SpikedScreenPairs
from gpcp.core.pairs import concatenate
from simulators.spike_ins.planted_graph import planted_graph
from simulators.spike_ins.screen import SpikeDesign, SpikedScreen, spiked_screen
from tests.diagnostics.audit.power.test_analysis import normal_cells
from tests.diagnostics.commands.verbs import calling

main = calling("power")


def screen() -> SpikedScreen:
    cells = normal_cells(200, 8)
    return spiked_screen(cells, planted_graph(cells.vocab), SpikeDesign(n_targets=3, cells_per_target=20, dose=-2.0))


def test_a_pass_gives_every_perturbed_cell_once_with_the_dose_and_no_value_of_it():
    made = screen()
    source = SpikedScreenPairs(screen=made)
    pairs = concatenate(source.pairs(batch_size=7, seed=3))
    assert len(pairs) == source.n_pairs == 80
    perturbed_N = np.flatnonzero(made.target_N >= 0)
    after_N = pairs.after_id_B[pairs.perturbed_BG.any(axis=1)]
    assert sorted(after_N) == sorted(perturbed_N)
    assert (made.target_N[pairs.before_id_B] < 0).all()
    np.testing.assert_allclose(pairs.delta_BG[pairs.perturbed_BG], -2.0, rtol=1e-5)
    np.testing.assert_array_equal(
        pairs.after_BG[pairs.scored_BG], made.cells.value_NG[pairs.after_id_B][pairs.scored_BG]
    )
    again = concatenate(source.pairs(batch_size=64, seed=3))
    np.testing.assert_array_equal(again.after_BG, pairs.after_BG)


def test_a_model_that_can_learns_what_a_t_test_finds():
    design = GraphDesign(doses=(2.0,), n_cells=(150,), n_targets=4, n_repeats=2, n_genes=8)
    read_out = ModelReadOut(model="mixing", budget=Budget(n_steps=120, batch_size=64))
    found = graph_recovery(normal_cells(300, 10), design, more={"model": read_out})
    assert found.auprc["model"][2.0, 150].value > found.chance + 0.3


@pytest.mark.slow
def test_the_column_of_a_model_is_shown_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [
        "--source",
        "synthetic:scale_free/12",
        "--library-size",
        "500",
        "--n-cells",
        "120",
        "--resamplings",
        "10",
    ]
    arguments += ["--model", "mixing", "--steps", "2", "--graph-genes", "6", "--workers", "1", "--out", str(tmp_path)]
    assert main([*arguments, "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "model: mixing, 2 steps" in shown
    content = json.loads((tmp_path / "results.json").read_text())
    assert {row["read_out"] for row in content["graph"]["curves"]} == {"welch", "ridge", "model"}
    assert "model" in (tmp_path / "graph_curves.csv").read_text()
    assert "model: mixing" in (tmp_path / "report.html").read_text()
    n_lines = len((tmp_path / "finished.jsonl").read_text().splitlines())
    assert main([*arguments, "--quiet"]) == 0
    assert len((tmp_path / "finished.jsonl").read_text().splitlines()) == n_lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "mixing", "--no-graph"], "--no-graph"),
        (["--steps", "5"], "--model"),
        (["--model", "mixin"], "mixing"),
        (["--model", "mixing", "--learning-rate", "0"], "--learning-rate"),
    ],
)
def test_bad_use_is_one_line(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = ["--source", "synthetic:scale_free/12", "--library-size", "500", "--n-cells", "60", "--resamplings", "10"]
    assert main([*source, *arguments, "--out", str(tmp_path), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
