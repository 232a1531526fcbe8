"""Answers: those without information do not depend on the test cells, and a dose of copies is what it is called."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.evaluation.data import ScreenData, Split, split_of
from diagnostics.audit.evaluation.truth import truth_of
from diagnostics.audit.metrics.answers import EXACT, copy_of, exact_controls, free_answers, turned, with_copies
from diagnostics.audit.metrics.audit import in_logarithms
from tests.diagnostics.audit.evaluation.screens import small_screen


@pytest.fixture(scope="module")
def screen() -> ScreenData:
    return small_screen()


@pytest.fixture(scope="module")
def split(screen: ScreenData) -> Split:
    return split_of(screen, share=0.5, seed=0)


@pytest.mark.parametrize("scale", ["counts", "log"])
def test_answers_without_information_do_not_depend_on_the_test_cells(scale: str, screen: ScreenData, split: Split):
    given = screen if scale == "counts" else in_logarithms(screen)
    X_BG = given.X_BG.toarray()
    test_B = np.isin(given.label_B, split.test)
    X_BG[test_B] = np.random.default_rng(0).permuted(X_BG[test_B], axis=1) + 1
    other = replace(given, X_BG=sp.csr_array(X_BG))
    for one, same in zip(free_answers(given, split, seed=1), free_answers(other, split, seed=1), strict=True):
        assert one.name == same.name
        equal = all(np.array_equal(one.groups[at], same.groups[at]) for at in one.groups)
        assert equal == (one.kind == "free"), one.name
        assert all(np.isfinite(cell_BG).all() and cell_BG.min() >= 0 for cell_BG in one.groups.values())


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1))
def test_a_dose_of_copies(n: int, n_reference: int, share: float):
    made = with_copies(np.zeros((n, 2), np.float32), np.ones((n_reference, 2), np.float32), share)
    assert made.shape == (n, 2)
    assert made[:, 0].sum() == min(round(share * n), n_reference)


def test_the_exact_controls(screen: ScreenData, split: Split):
    truth = truth_of(screen, split, n_mean=64, independent=False)
    assert truth is not None
    assert truth.means[0] is truth.means[1]
    exact, flat, deeper = exact_controls(screen, split, truth, seed=0)
    copy = copy_of(screen, split)
    assert (exact.name, exact.kind, copy.copied) == (EXACT, "exact", 1.0)
    for at, cell_BG in exact.groups.items():
        assert cell_BG.shape == copy.groups[at].shape
        assert not np.array_equal(cell_BG, copy.groups[at])
        # Ten times the depth in expectation, and one answer for all cells but for rounding.
        assert deeper.groups[at].sum() == pytest.approx(10 * cell_BG.sum(), rel=0.2)
        assert np.ptp(flat.groups[at], axis=0).max() <= 1
        assert flat.groups[at].mean(axis=0) == pytest.approx(truth.means[0][at], abs=1)


def test_dials_of_answers(screen: ScreenData, split: Split):
    truth = truth_of(screen, split, n_mean=64, independent=False)
    assert truth is not None
    exact = exact_controls(screen, split, truth, seed=0)[0].groups
    mean = next(one for one in free_answers(screen, split, seed=0) if one.name == "mean response").groups
    made = turned(screen, split, mean, exact, dials=("spread", "shrinkage", "noise"), seed=0)
    by_label = {one.label: one for one in made}
    assert len(by_label) == len(made) == 2 * 4 + 5 + 5
    at = next(iter(exact))
    assert np.array_equal(by_label[f"{EXACT}, spread 1"].groups[at], exact[at])
    assert np.ptp(by_label[f"{EXACT}, spread 0"].groups[at], axis=0).max() <= 1
    wide, usual = (by_label[f"{EXACT}, spread {dose}"].groups[at].var(axis=0).sum() for dose in (2, 1))
    assert wide > 2 * usual
    # Fully shrunk, all perturbations have one mean.
    flat = by_label["replicate, shrinkage 1"].groups
    own = by_label["replicate, shrinkage 0"].groups
    between = [np.var([cell_BG.mean(axis=0) for cell_BG in one.values()], axis=0).sum() for one in (flat, own)]
    assert between[0] < between[1] / 3
    assert by_label[f"{EXACT}, noise 0.5"].copied == 0.5
    # A file without a known law has the dials that need none.
    assert {one.dial for one in turned(screen, split, mean, None, dials=("spread", "noise"), seed=0)} == {"spread"}
