"""A comparison on real cells: no exact answer, so a loss lies between the baseline and the best linear predictor."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diagnostics.commands.compare.compare import Entry, compared
from diagnostics.commands.compare.report import contents, draw, out_line, screen
from gpcp.core.files import to_json
from tests.diagnostics.commands.compare.test_compare import GOOD, LEVELS, entry, of_loss
from tests.diagnostics.commands.recover_graph.test_cells import log_file
from tests.diagnostics.commands.verbs import calling

main = calling("compare")

LEVELS_OF_CELLS = replace(LEVELS, exact=None, type_mean=of_loss(1.9), linear=of_loss(1.0))


def words(folder: Path, *more: str) -> list[str]:
    small = ["--seeds", "2", "--steps", "2", "--workers", "1", "--quiet", "--set", "width=8"]
    source = ["--source", f"h5ad:{log_file(folder)}", "--values", "log", "--cell-type-key", "kind"]
    return [*source, *small, "--out", str(folder / "out"), *more]


def test_heads_are_compared_on_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(words(tmp_path, "--heads", "linear", "mlp", "--n-genes", "5")) == 0
    shown = capsys.readouterr().out
    for part in ("of way", "best linear", "60 of 300 cells held out", "Not known here", "other cells"):
        assert part in shown
    assert "exact answer  " not in shown
    assert "Bayes" not in shown
    found: dict[str, Any] = json.loads((tmp_path / "out" / "compared.json").read_text(encoding="utf-8"))
    assert found["best_linear"] <= found["ridge"]
    assert found["best_linear"] < found["baseline"]
    assert {found[name] for name in ("bayes", "bayes_exact", "needed_rank", "rank_losses", "rank_bounds")} == {None}
    for one in found["compared"]:
        assert one["loses_information"] is one["skill"] is None
        way = found["baseline"] - found["best_linear"]
        assert one["share_of_linear"] == pytest.approx((found["baseline"] - one["loss"]) / way)
        assert one["rank"] == 5
    assert (tmp_path / "out" / "compared.png").exists()


@pytest.mark.parametrize(
    ("more", "summary"),
    [
        (["--regime", "interventional"], "--regime is for simulated worlds"),
        (["--regime", "mached"], "nearest: matched"),
        (["--n-genes", "5", "--genes", "panel.txt"], "give one of them"),
        (["--genes", "panel.txt"], "panel.txt"),
        (["--n-genes", "7"], "ask for fewer genes"),
        (["--n-genes", "6", "--n-perturbed", "6"], "within 1 .. 5"),
    ],
)
def test_what_does_not_go_with_cells_is_refused(
    more: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(words(tmp_path, *more)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert summary in error
    assert not (tmp_path / "out").exists()


def test_a_file_needs_its_cell_types_and_a_world_no_number_of_genes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--source", f"h5ad:{log_file(tmp_path)}", "--values", "log", "--out", str(tmp_path / "out")]) == 2
    assert "--cell-type-key" in capsys.readouterr().err
    assert main(["--source", "synthetic:chain/4", "--n-genes", "3", "--out", str(tmp_path / "out")]) == 2
    assert "--n-genes is for real cells" in capsys.readouterr().err


@pytest.mark.parametrize("rank", [1, 20])
def test_without_an_exact_answer_no_information_is_called_lost(rank: int, tmp_path: Path):
    scalar: Entry = entry("pooled_scalar", [1.55, 1.56, 1.53, 1.56], rank=rank)
    result = compared([GOOD, scalar], LEVELS_OF_CELLS, None)
    assert [one.loses_information for one in result.judged] == [None, None]
    worse = result.judged[1]
    assert worse.outcome == "worse"
    assert "whether information is lost is not known here" in worse.summary
    # (1.9 - 1.05) / (1.9 - 1.0).
    assert "0.944 of the way to the best linear predictor" in result.judged[0].summary
    shown = screen(result, LEVELS_OF_CELLS, None, part="head", about="cells", notes=())
    assert "mean of the type - x" in shown
    assert "needed" not in shown
    assert to_json(contents(result, LEVELS_OF_CELLS, None))["compared"][0]["loses_information"] is None
    draw(result, LEVELS_OF_CELLS, None, tmp_path / "x.png", title="cells")
    both = compared([GOOD, replace(scalar, name="mlp")], LEVELS_OF_CELLS, None)
    assert "Not known here" in str(out_line(both))
