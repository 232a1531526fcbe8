"""Ratios of targets against what they were simulated with, and shifts of columns by what they were shifted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from diagnostics.audit.screens.alignment import labels_in_step
from diagnostics.audit.screens.reading import read_screen
from diagnostics.audit.screens.targets import target_changes
from tests.diagnostics.audit.screens.damages import labels_of, with_labels
from tests.diagnostics.audit.screens.small_screens import TARGETS, small_screen


@pytest.mark.parametrize(("kind", "factor"), [("knocked down", 0.2), ("activated", 5.0)])
def test_ratios_are_those_of_the_simulation(kind: str, factor: float):
    changes = target_changes(read_screen(small_screen(n_of_each=60, kind=kind)))
    assert {one.target for one in changes} == set(TARGETS)
    assert {one.kind for one in changes} == {kind}
    # Depth is normalised over 60 genes of which the others change, too: the ratio is so many per cent off.
    ratios = np.array([one.ratio for one in changes])
    np.testing.assert_allclose(ratios, factor, rtol=0.35)


def test_errors_are_those_of_repeated_screens():
    ratios, errors = list[float](), list[float]()
    for seed in range(25):
        screen = small_screen(seed)
        labels = labels_of(screen)
        # Controls under another name have a ratio of 1.
        control = np.flatnonzero(labels == "non-targeting")
        labels[labels == "MYC"] = "none of these"
        labels[control[::3]] = "MYC"
        keep = labels != "none of these"
        changes = target_changes(read_screen(with_labels(screen, labels)[keep].copy()))
        one = next(one for one in changes if one.target == "MYC")
        ratios.append(one.ratio)
        errors.append(one.error)
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / 5
    assert 0.7 < np.std(ratios) / np.mean(errors) < 1.4


@pytest.mark.parametrize("lag", [1, -3, 40, 300, -411])
def test_the_lag_is_found(lag: int):
    screen = small_screen()
    result = labels_in_step(read_screen(with_labels(screen, np.roll(labels_of(screen), lag))))
    assert result.outcome == "fail"
    assert f"{abs(lag)} further {'down' if lag > 0 else 'up'}" in result.message


def by_label(screen: Any) -> Any:
    return screen[np.argsort(labels_of(screen), kind="stable")].copy()


@pytest.mark.parametrize("lag", [0, 20, -35])
def test_the_lag_of_a_sorted_file_is_found(lag: int):
    screen = by_label(small_screen(n_of_each=25))
    result = labels_in_step(read_screen(with_labels(screen, np.roll(labels_of(screen), lag))))
    assert result.outcome == ("fail" if lag else "pass")
    assert not lag or f"{abs(lag)} further" in result.message


def test_a_large_file_is_read_as_a_small_one():
    """The sample has each label, the controls too, and nothing depends on the order of the rows but the lag."""
    screen = small_screen(n_of_each=25)
    read = read_screen(screen, max_cells=300, seed=1)
    assert len(read.row_B) == 300
    assert set(read.label_N[read.row_B].tolist()) == set(read.label_N.tolist())
    assert any("sample of 300" in note for note in read.notes)
    counts = pd.Series(read.label_N[read.row_B]).value_counts()
    assert counts["non-targeting"] > 2 * counts["MYC"]
    assert (read_screen(screen, max_cells=300, seed=1).row_B == read.row_B).all()
    assert (read_screen(screen, max_cells=300, seed=2).row_B != read.row_B).any()
