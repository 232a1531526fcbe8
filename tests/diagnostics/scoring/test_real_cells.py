from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.scoring.errors import errors_of
from diagnostics.scoring.matched_linear import PairLinearPredictor, TypeLinearPredictor, TypeMeanPredictor
from diagnostics.scoring.real_cells import all_cells, choose_panel, labelled_losses, labels_of
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import concatenate
from gpcp.pairing.paired import Paired
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.subsets import OnlyGenes, split_cells
from tests.diagnostics.gaussian_cells import HeldCells, batch_of


@given(
    types=st.lists(st.sampled_from(["a", "b", "c"]), min_size=4, max_size=40),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_by_cell_and_the_same_share_of_each_type(types: list[str], share: float, seed: int):
    source = HeldCells(held=batch_of(np.zeros((len(types), 2)), types))
    expected = {kind: min(round(share * n), n - 1) for kind, n in Counter(types).items()}
    if not sum(expected.values()):
        with pytest.raises(InputError, match="no cell would be held out"):
            split_cells(source, share, seed)
        return
    split = split_cells(source, share, seed)
    training, held_out = split.training.cell_id_N, split.held_out.cell_id_N
    assert sorted([*training, *held_out]) == (10 * np.arange(len(types))).tolist()
    kept = Counter(types[i // 10] for i in held_out.tolist())
    assert {kind: kept[kind] for kind in expected} == expected
    assert [*all_cells(split.training).cell_id_B] == [*training]
    reversed_source = HeldCells(held=source.held.rows(np.arange(len(types))[::-1]))
    assert split_cells(reversed_source, share, seed).held_out.cell_id_N.tolist() == held_out.tolist()


def test_another_seed_holds_out_others():
    source = HeldCells(held=batch_of(np.zeros((60, 2)), ["a"] * 60))
    assert len({tuple(split_cells(source, 0.3, seed).held_out.cell_id_N.tolist()) for seed in range(5)}) == 5


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, float("nan")])
def test_a_share_that_is_none(share: float):
    with pytest.raises(InputError, match="held_out_share is"):
        split_cells(HeldCells(held=batch_of(np.zeros((9, 2)), ["a"] * 9)), share, 0)


def test_cells_without_types_are_of_one():
    held = batch_of(np.zeros((10, 2)), ["a"] * 10)
    bare = CellBatch(
        vocab=held.vocab,
        expression_BG=held.expression_BG,
        measured_BG=held.measured_BG,
        cell_id_B=held.cell_id_B,
    )
    assert split_cells(HeldCells(held=bare), 0.5, 0).held_out.n_cells == 5


@given(st.integers(2, 6), st.integers(0, 99))
def test_the_panel_is_its_rule(n_genes: int, seed: int):
    rng = np.random.default_rng(seed)
    value = rng.exponential(size=(30, 12)) * rng.uniform(0.1, 3, 12) * (rng.random((30, 12)) < rng.uniform(0, 1, 12))
    value[:, 3] = 5.0
    measured = np.ones((30, 12), dtype=np.bool_)
    measured[7, 4] = False
    cells = CellBatch(
        vocab=GeneVocab(feature_id=tuple(f"g{i}" for i in range(12))),
        expression_BG=np.where(measured, value, 0).astype(np.float32),
        measured_BG=measured,
        cell_id_B=np.arange(30),
    )
    shown = cells.expression_BG.astype(np.float64)
    usable = [i for i in range(12) if i not in (3, 4) and (shown[:, i] > 0).mean() >= 0.2]
    expected = sorted(sorted(usable, key=lambda i: -shown[:, i].var())[:n_genes])
    if len(usable) < n_genes:
        with pytest.raises(InputError, match=f"n_genes is {n_genes}, but {len(usable)} of 12 genes"):
            choose_panel(HeldCells(held=cells), n_genes, min_expressed=0.2)
        return
    panel = choose_panel(HeldCells(held=cells), n_genes, min_expressed=0.2)
    assert panel.feature_id == tuple(f"g{i}" for i in expected)
    assert f"the {n_genes} with the largest variance where measured of the {len(usable)} that" in panel.chosen_by


def test_a_panel_of_one_gene_is_none():
    with pytest.raises(InputError, match="at least 2"):
        choose_panel(HeldCells(held=batch_of(np.zeros((9, 2)), ["a"] * 9)), 1)


def test_labels_come_to_the_pairs():
    rng = np.random.default_rng(0)
    cells = batch_of(rng.normal(size=(20, 3)), [f"t{i % 2}" for i in range(20)])
    pairs = concatenate(list(Paired(HeldCells(held=cells)).pairs(batch_size=4, seed=0)))
    labels = labels_of(pairs, cells)
    assert labels["cell_type"].tolist() == [f"t{i // 10 % 2}" for i in pairs.before_id_B.tolist()]
    predictor = TypeMeanPredictor.fit(cells)
    means = np.stack([predictor.mean_of[name] for name in labels["cell_type"].tolist()])
    # float32 predictions.
    assert labelled_losses(predictor, pairs, cells).loss == pytest.approx(errors_of(means, pairs).loss, rel=1e-6)
    with pytest.raises(InputError, match="is not among the 10 cells given"):
        labels_of(pairs, cells.rows(slice(10)))


def test_the_way_of_real_cells(shared_data: Path):
    source = H5adCells(
        shared_data / "cells" / "pbmc68k_reduced.h5ad",
        layer="auto",
        gene_id="auto",
        missing_id="drop",
        cell_type="bulk_labels",
    )
    split = split_cells(source, 0.2, 0)
    assert "142 of 700 cells held out, 20% of each of 10 cell types" in split.summary
    panel = choose_panel(split.training, 20)
    training, held_out = OnlyGenes(split.training, panel.feature_id), OnlyGenes(split.held_out, panel.feature_id)
    cells, known = all_cells(OnlyGenes(source, panel.feature_id)), all_cells(training)
    pairs = concatenate([batch for seed in range(30) for batch in Paired(held_out).pairs(batch_size=64, seed=seed)])
    assert not set(pairs.before_id_B.tolist()) & set(split.training.cell_id_N.tolist())
    fitted = TypeLinearPredictor.fit(known), PairLinearPredictor.fit(known), TypeMeanPredictor.fit(known)
    by_type, by_before, type_mean = (labelled_losses(predictor, pairs, cells) for predictor in fitted)
    # Knowing the type, then reading it off the cell before, then not using what is told: .47, .59, .78 when written.
    # 30 matchings of the same 142 cells are fewer than 2,000 independent pairs, hence a margin of 10 errors.
    assert by_type.below(by_before) > 10
    assert by_before.below(type_mean) > 10
