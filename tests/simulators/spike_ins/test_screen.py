"""Spiked screens: what is planted is there, what is not stays real, the truth comes back from the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from gpcp.opening.cells import open_cells
from gpcp.opening.screens import open_screen
from simulators.graphs.families import simulated_vocab
from simulators.screens.files import write_screen
from simulators.spike_ins.files import KEY, planted_graph_of, spiked_anndata
from simulators.spike_ins.planted_graph import planted_graph
from simulators.spike_ins.real_cells import RealCells, log_tpm, real_cells
from simulators.spike_ins.screen import CONTROL, SpikeDesign, spiked_screen

VOCAB = simulated_vocab(15)
GRAPH = planted_graph(VOCAB, seed=1)
DESIGN = SpikeDesign(n_targets=3, cells_per_target=400)


def counted(n: int = 4000) -> RealCells:
    rng = generator("test real cells")
    count_NG = rng.negative_binomial(2, 0.1, size=(n, 15)).astype(np.int64) + 1
    total_N = count_NG.sum(axis=1).astype(np.float64) + 5_000
    return RealCells(
        vocab=VOCAB,
        value_NG=log_tpm(count_NG, total_N),
        measured_NG=np.ones((n, 15), dtype=np.bool_),
        cell_id_N=np.arange(n, dtype=np.int64),
        count_NG=count_NG,
        total_N=total_N,
    )


def logged(n: int = 4000) -> RealCells:
    whole = counted(n)
    measured_NG = np.ones((n, 15), dtype=np.bool_)
    measured_NG[::2, 7] = False
    return RealCells(
        vocab=VOCAB,
        value_NG=np.where(measured_NG, whole.value_NG, np.float32(0)),
        measured_NG=measured_NG,
        cell_id_N=whole.cell_id_N,
    )


def test_mean_counts_follow_the_planted_fold_changes():
    """Logarithms of ratios of mean counts within 5 standard errors, by the spread over cells."""
    screen = spiked_screen(counted(), GRAPH, DESIGN, seed=2)
    count_NG = screen.cells.count_NG
    assert count_NG is not None
    assert screen.rule == "counts"
    controls_NG = count_NG[screen.target_N < 0]
    for target in range(3):
        cells_NG = count_NG[screen.target_N == target]
        ratio_G = np.log(cells_NG.mean(axis=0) / controls_NG.mean(axis=0))
        error_G = np.sqrt(sum(one.var(axis=0) / len(one) / one.mean(axis=0) ** 2 for one in (cells_NG, controls_NG)))
        assert (np.abs(ratio_G - screen.effect_target_G[target]) < 5 * error_G).all()


def test_levels_are_multiplied_and_controls_and_unmeasured_genes_stay():
    real = logged()
    screen = spiked_screen(real, GRAPH, DESIGN, seed=2)
    assert screen.rule == "fold"
    controls = screen.target_N < 0
    np.testing.assert_array_equal(screen.cells.value_NG[controls], real.value_NG[controls])
    assert (screen.cells.value_NG[~real.measured_NG] == 0).all()
    effect_NG = screen.effect_target_G[screen.target_N[~controls]]
    wanted = np.log1p(np.expm1(real.value_NG[~controls].astype(np.float64)) * np.exp(effect_NG))
    np.testing.assert_allclose(screen.cells.value_NG[~controls], wanted, rtol=1e-5)


def test_guides_multiply_and_cells_escape():
    design = SpikeDesign(n_targets=3, cells_per_target=400, n_guides=3, guide_spread=0.5, escapers=0.25)
    screen = spiked_screen(counted(), GRAPH, design, seed=4)
    perturbed = screen.target_N >= 0
    assert (screen.strength_N[~perturbed] == 0).all()
    # Binomial of 1,200 cells: 5 standard deviations are .0625.
    assert abs((screen.strength_N[perturbed] == 0).mean() - 0.25) < 0.0625
    hit = screen.strength_N > 0
    assert ((screen.strength_N[hit] >= 0.5) & (screen.strength_N[hit] <= 1)).all()
    assert len(np.unique(screen.strength_N[hit])) == 9


def test_the_same_seed_gives_the_same_screen():
    first, again, other = (spiked_screen(counted(), GRAPH, DESIGN, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.cells.value_NG, again.cells.value_NG)
    assert first.targets == again.targets
    assert (first.target_N != other.target_N).any()


@pytest.mark.parametrize("real", [counted, logged])
def test_a_file_is_read_as_a_screen_and_holds_the_truth(real: Callable[[int], RealCells], tmp_path: Path):
    screen = spiked_screen(real(1500), GRAPH, DESIGN, seed=5)
    path = tmp_path / "spiked.h5ad"
    made = spiked_anndata(screen, source="test")
    write_screen(path, made)
    values = "log" if screen.cells.count_NG is None else "counts"
    read = open_screen(str(path), gene_id_key="names", nan="unmeasured", layer="X", values=values)
    assert set(read.label_N.tolist()) == {*screen.targets, CONTROL}
    assert read.applied.is_control_B.sum() == (screen.target_N < 0).sum()
    graph = planted_graph_of(made.uns)
    assert graph is not None
    np.testing.assert_array_equal(graph.weight_GG, GRAPH.weight_GG)
    np.testing.assert_array_equal(made.uns[KEY]["effect"], screen.effect_target_G)
    if screen.cells.count_NG is not None:
        back = real_cells(open_cells(f"h5ad:{path}", gene_id_key="names"))
        assert back.count_NG is not None
        np.testing.assert_array_equal(back.count_NG, screen.cells.count_NG)


def test_too_few_cells_or_genes_are_refused():
    with pytest.raises(InputError, match="lower one"):
        spiked_screen(counted(100), GRAPH, DESIGN)
    with pytest.raises(InputError, match="lower it"):
        spiked_screen(counted(), GRAPH, SpikeDesign(n_targets=16, cells_per_target=5))
    with pytest.raises(InputError, match="other genes"):
        spiked_screen(counted(100), planted_graph(simulated_vocab(9)), DESIGN)
    with pytest.raises(InputError, match="escapers"):
        SpikeDesign(escapers=2.0)
