"""The source ``spike:``: pairs of another source's cells with a planted graph, split by cell; what it refuses."""

from typing import Any

import numpy as np
import pytest

import diagnostics.inputs.planted.spiked as spiked
from diagnostics.inputs.planted.untreated import untreated_cells
from gpcp.core.errors import InputError
from gpcp.core.pairs import concatenate
from gpcp.opening.cells import open_cells
from gpcp.opening.pairs import PairOptions, open_pairs, split_pairs
from simulators.spike_ins.pairs import SpikedPairs

PLACE = "spike:synthetic:scale_free/12"
CELLS: dict[str, Any] = {"library_size": 4000, "n_cells": 200}


def test_pairs_of_counted_cells_are_spiked_and_split_by_cell():
    named = open_pairs(PLACE, PairOptions(n_perturbed=(1, 2)), **CELLS)
    assert isinstance(named.pairs, SpikedPairs)
    assert named.pairs.rule == "fold"
    assert "edges planted" in named.name
    split = split_pairs(named, n_held_out=16, seed=0)
    training = concatenate(split.training.pairs(batch_size=64, seed=0))
    held_out = {*split.held_out.before_id_B.tolist(), *split.held_out.after_id_B.tolist()}
    assert not held_out & {*training.before_id_B.tolist(), *training.after_id_B.tolist()}
    assert training.perturbed_BG.sum(axis=1).max() <= 2
    assert isinstance(split.training, SpikedPairs)
    np.testing.assert_array_equal(split.training.graph.weight_GG, named.pairs.graph.weight_GG)


def test_cells_in_a_worlds_own_units_are_shifted():
    named = open_pairs(PLACE, PairOptions(), n_cells=100, spike_seed=3, spike_dose="0.5")
    assert isinstance(named.pairs, SpikedPairs)
    assert named.pairs.rule == "shift"
    assert named.pairs.dose == (0.5 / 3, 0.5)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(InputError, match="--spike-dose is 'much'"):
        open_pairs(PLACE, PairOptions(), spike_dose="much", **CELLS)
    with pytest.raises(InputError, match="regime"):
        open_pairs(PLACE, PairOptions(regime="matched"), **CELLS)
    with pytest.raises(InputError, match="spike-screen"):
        open_cells(PLACE)
    with pytest.raises(InputError, match="scale_free"):
        open_pairs(PLACE, PairOptions(), spike_graph="scale", **CELLS)


def test_cells_of_other_sources_are_all_untreated():
    cells, what = untreated_cells("synthetic:scale_free/12", **CELLS)
    assert len(cells.vocab) == 12
    assert what.startswith("all cells")
    assert spiked.DOSE > 0
