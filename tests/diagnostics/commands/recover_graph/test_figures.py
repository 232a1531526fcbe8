"""Figures are drawn whole, from what runs leave, without a display and without a global state."""

import sys
from pathlib import Path

import pytest

from diagnostics.commands.recover_graph.figures import MOST_SEEDS, draw_all
from tests.diagnostics.commands.recover_graph.run_arrays import arrays


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.filterwarnings("error")
def test_every_figure_is_a_png_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Libraries that other tests use may have imported it.
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    runs = [arrays("counterfactual", 0), arrays("matched", 0, symmetric=True), arrays("matched", 1, symmetric=True)]
    paths = draw_all(runs, tmp_path)
    assert {path.name for path in paths} == {
        "loss.png",
        "precision_recall.png",
        "matrices_counterfactual.png",
        "matrices_matched.png",
        "graph_counterfactual.png",
        "graph_matched.png",
    }
    assert all(is_png(path) for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert "matplotlib.pyplot" not in sys.modules


def test_many_seeds_and_unknown_bayes_risks_fit(tmp_path: Path) -> None:
    runs = [arrays("matched", seed, symmetric=True, bayes=False) for seed in range(MOST_SEEDS + 3)]
    assert all(is_png(path) for path in draw_all(runs, tmp_path))
