"""Cells whose genes were shuffled apart: what is kept, what is lost, and how much of it an answer shows."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.evaluation.ablations import PERTURBATION, ablated
from diagnostics.audit.evaluation.data import split_of
from diagnostics.audit.exchange.answer import answered
from diagnostics.audit.exchange.program import Program
from diagnostics.audit.exchange.request import request_of
from diagnostics.audit.exchange.shuffled import CELL, cell_use, shuffled_cells
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen()
SPLIT = split_of(SCREEN, share=0.5, seed=0)

COPYING = """
import pathlib, shutil, sys

folder = pathlib.Path(sys.argv[-1])
shutil.copy(folder / "ask.h5ad", folder / "answer.h5ad")
"""


@given(seed=st.integers(0, 1000), n_groups=st.integers(1, 3), n_cells=st.integers(1, 12))
def test_each_gene_keeps_its_values_in_every_group(seed: int, n_groups: int, n_cells: int):
    rng = np.random.default_rng(seed)
    cell_BG = rng.normal(size=(n_groups * n_cells, 4)).astype(np.float32)
    label_B = np.repeat([f"t{i}" for i in range(n_groups)], n_cells).astype(object)
    context_B = np.full(len(label_B), "all", dtype=object)
    before_BG = cell_BG.copy()
    shuffled_BG = shuffled_cells(cell_BG, label_B, context_B, rng)
    np.testing.assert_array_equal(cell_BG, before_BG)
    for label in set(label_B.tolist()):
        row_B = label_B == label
        np.testing.assert_array_equal(np.sort(shuffled_BG[row_B], axis=0), np.sort(cell_BG[row_B], axis=0))


@given(seed=st.integers(0, 1000), slope=st.floats(-2, 2))
def test_a_linear_answer_changes_by_the_square_of_its_slope(seed: int, slope: float):
    own_BG, other_BG = np.random.default_rng(seed).normal(size=(2, 6, 3))
    used = cell_use(own_BG, other_BG, answer_BG=slope * own_BG + 1, other_answer_BG=slope * other_BG + 1)
    assert used == pytest.approx(slope**2)


def test_a_program_is_asked_again_with_cells_that_are_none(tmp_path: Path):
    script = tmp_path / "mine.py"
    script.write_text(COPYING)
    program = Program(name="mine", argv=(sys.executable, "-I", "-S", str(script)))
    found = answered(program, SCREEN, SPLIT, folder=tmp_path / "exchange", seed=0, ablations=True)
    assert found.without.keys() == {CELL}
    assert "with another cell its answers change by 1.00 of what the cells do" in found.note
    own, other = (request_of(SCREEN, SPLIT, seed=0, shuffled=one) for one in (False, True))
    assert own.key != other.key
    for label in SPLIT.test:
        rows = (other.ask.obs["perturbation"] == label).to_numpy()
        np.testing.assert_array_equal(found.without[CELL][label, "context_0"], _dense(other.ask)[rows])
        np.testing.assert_array_equal(_dense(other.ask)[rows].sum(axis=0), _dense(own.ask)[rows].sum(axis=0))
    assert list(ablated(found, SCREEN, SPLIT, seed=0)) == [PERTURBATION, CELL]
    again = answered(program, SCREEN, SPLIT, folder=tmp_path / "exchange", seed=0, ablations=True)
    assert "used again" in again.note


def _dense(adata: Any) -> np.ndarray:
    return adata.X.toarray()
