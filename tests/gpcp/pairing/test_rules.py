"""Keys: equal where everything named is equal, block by block as over all cells at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.pairing.jaccard import expressed_words
from gpcp.pairing.rules import Keys, PairRule, depth_of
from tests.gpcp.held_cells import IndexedHeld
from tests.gpcp.pairing.pairing_cases import Case, cases

NAMES = ("match_on", "differ_on", "prefer_on", "min_shared")


@given(case=cases(), cut=st.integers(0, 14))
def test_numbers_are_equal_where_names_are(case: Case, cut: int):
    rule = PairRule(**{name: case.options[name] for name in NAMES})
    cells = IndexedHeld(case.held).all_cells
    keys = Keys(rule)
    blocks = [
        keys.of(part.index, expressed_words(part)) for part in (cells.rows(slice(0, cut)), cells.rows(slice(cut, None)))
    ]
    found = blocks[0].then(blocks[1])
    n = len(case.held)
    for level in range(len(rule.prefer_on) + 1):
        names = (*rule.match_on, *rule.prefer_on[:level])
        for one in range(n):
            for other in range(n):
                same = case.key(one, names) == case.key(other, names)
                assert (found.level_keys[level, one] == found.level_keys[level, other]) == same
    usable = [len(case.held.measured(row)) >= rule.min_shared for row in range(n)]
    assert found.usable_B.tolist() == usable
    rows = np.flatnonzero(usable)
    one, other = (grid.reshape(-1) for grid in np.meshgrid(rows, rows))
    shares = [
        len(case.held.measured(i) & case.held.measured(j)) >= rule.min_shared
        for i, j in zip(one.tolist(), other.tolist(), strict=True)
    ]
    differs = [
        all(case.key(i, (name,)) != case.key(j, (name,)) for name in rule.differ_on)
        for i, j in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert found.allowed(one, other).tolist() == [a and b for a, b in zip(shares, differs, strict=True)]
    assert found.all_share == (all(usable) and all(shares))
    assert found.rows(found.usable_B).hard_B.tolist() == found.hard_B[found.usable_B].tolist()


def test_depth_has_two_bins_for_each_doubling():
    n = np.array([0, 1, 2, 3, 4, 5, 6, 7, 1023, 2**20 - 1])
    assert depth_of(n).tolist() == [0, 2, 3, 4, 4, 5, 5, 6, 20, 40]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match_on": ("donor", "donor")}, "'donor' is named twice"),
        ({"match_on": ("depth",), "prefer_on": ("depth",)}, "'depth' is in match_on and in prefer_on"),
        ({"match_on": (), "differ_on": ("measured",)}, "differ_on names 'measured', which is no covariate"),
        ({"match_on": (), "min_shared": 0}, "min_shared is 0"),
    ],
)
def test_bad_rules(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        PairRule(**options)
