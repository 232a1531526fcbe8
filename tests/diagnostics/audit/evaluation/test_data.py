"""Screens as an evaluation reads them: labels, contexts, units, and the split."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.evaluation.data import CONTROL, read_screen, split_of
from gpcp.core.errors import InputError
from simulators.screens.conventions import CONVENTIONS
from tests.diagnostics.audit.evaluation.screens import small_anndata, small_screen

SCREEN = small_screen(n_combinations=3, n_contexts=2, n_targets=5)


@pytest.mark.parametrize("tool", list(CONVENTIONS))
def test_the_same_screen_is_read_in_every_convention(tool: str):
    screen = small_screen(tool=tool, n_combinations=3, n_contexts=2, n_targets=5)
    assert set(screen.targets.values()) == set(SCREEN.targets.values())
    assert screen.contexts == ("context_0", "context_1")
    for context in screen.contexts:
        assert len(screen.rows(CONTROL, context)) == 80
        assert all(len(screen.rows(label, context)) == 40 for label in screen.labels)
    assert (screen.X_BG != SCREEN.X_BG).nnz == 0


def test_units_are_recognised_and_others_refused():
    assert SCREEN.scale == "counts"
    assert small_screen(values="log").scale == "log"
    with pytest.raises(InputError, match="X has negative values"):
        small_screen(values="latent")
    made = small_anndata()
    made.X = made.X * 1.5
    made.X.data[0] = 1000.5
    with pytest.raises(InputError, match="neither whole nor logarithms, the largest is"):
        read_screen(made)
    made.X.data[0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        read_screen(made)


def test_a_context_without_controls_is_refused():
    made = small_anndata(n_contexts=2)
    rows = (made.obs["target"] == CONTROL) & (made.obs["context"] == "context_1")
    with pytest.raises(InputError, match="'context_1' of column 'context' has no control cell"):
        read_screen(made[~rows.to_numpy()].copy())


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        read_screen(tmp_path / "none.h5ad")
    (tmp_path / "text.h5ad").write_text("no file of HDF5")
    with pytest.raises(InputError, match=r"cannot be read as \.h5ad"):
        read_screen(tmp_path / "text.h5ad")


@given(share=st.floats(0, 1), seed=st.integers(0, 9))
def test_a_split_parts_all_perturbations(share: float, seed: int):
    split = split_of(SCREEN, share=share, seed=seed)
    assert sorted((*split.train, *split.test)) == list(SCREEN.labels)
    assert len(split.test) == max(2, round(share * 8))
    assert split == split_of(SCREEN, share=share, seed=seed)


def test_named_perturbations_are_held_out():
    named = SCREEN.labels[1:3]
    assert split_of(SCREEN, share=0.9, seed=0, named=named).test == named
    with pytest.raises(InputError, match="has no perturbation 'ENSSIMG0'"):
        split_of(SCREEN, share=0.9, seed=0, named=["ENSSIMG0", named[0]])
    with pytest.raises(InputError, match="at least 2"):
        split_of(SCREEN, share=0.9, seed=0, named=named[:1])
