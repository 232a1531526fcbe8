"""Figures are drawn whole, from what runs leave, without a display and without a global state."""

import sys
from pathlib import Path

import numpy as np
import pytest

from diagnostics.commands.recover_graph.figures import MOST_SEEDS, RunArrays, draw_all
from tests.diagnostics.records import example_record


def arrays(regime: str, seed: int, *, symmetric: bool = False, bayes: bool = True) -> RunArrays:
    rng = np.random.default_rng(seed)
    target_GG = rng.random((5, 5)) < 0.3
    target_GG[0, 1] = True
    np.fill_diagonal(target_GG, False)
    if symmetric:
        target_GG |= target_GG.T
    exact_GG = np.where(target_GG, 1.0, 0.0)
    levels = {"baseline": 1.2, "ridge": 0.9} | ({"bayes": 0.7} if bayes else {})
    return RunArrays(
        record=example_record(regime=regime, seed=seed, auprc=seed / 10, skill=None if not bayes else 0.9),
        recovered_GG=exact_GG + 0.1 * rng.normal(size=(5, 5)),
        exact_GG=exact_GG,
        target_GG=target_GG,
        step_K=np.array([10.0, 20.0]),
        train_loss_K=np.array([1.0, 0.8]),
        held_out_loss_K=np.array([1.1, np.nan]),
        levels=levels,
    )


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.filterwarnings("error")
def test_every_figure_is_a_png_and_is_named(tmp_path: Path) -> None:
    runs = [arrays("counterfactual", 0), arrays("matched", 0, symmetric=True), arrays("matched", 1, symmetric=True)]
    paths = draw_all(runs, tmp_path)
    assert {path.name for path in paths} == {
        "loss.png",
        "precision_recall.png",
        "matrices_counterfactual.png",
        "matrices_matched.png",
    }
    assert all(is_png(path) for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert "matplotlib.pyplot" not in sys.modules


def test_many_seeds_and_unknown_bayes_risks_fit(tmp_path: Path) -> None:
    runs = [arrays("matched", seed, symmetric=True, bayes=False) for seed in range(MOST_SEEDS + 3)]
    assert all(is_png(path) for path in draw_all(runs, tmp_path))
