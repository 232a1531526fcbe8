"""What is measured and expressed, against counting by hand."""

import numpy as np
import pytest

from diagnostics.audit.expressed import expressed_shares
from gpcp.core.errors import InputError
from tests.diagnostics.audit.audit_cases import neighbours, sampled_cells


def test_shares_are_those_of_counting_by_hand():
    rng = np.random.default_rng(0)
    measured_BG = rng.random((60, 5)) < 0.7
    cells = sampled_cells(rng.integers(-1, 3, size=(60, 5)).astype(np.float64), measured_BG=measured_BG)
    sampled = neighbours(cells, perturbed_PG=rng.random((30, 5)) < 0.3)
    n, n_measured = [0, 0, 0], 0
    dense = cells.held.dense()
    for pair in range(30):
        for gene in range(5):
            if not (measured_BG[2 * pair, gene] and measured_BG[2 * pair + 1, gene]):
                continue
            n_measured += 1
            if not sampled.pairs.perturbed_BG[pair, gene]:
                n[int((dense.expression_BG[2 * pair : 2 * pair + 2, gene] > 0).sum())] += 1
    found = expressed_shares(sampled, rng)
    n_scored = sum(n)
    assert found.measured.value == pytest.approx(n_measured / 150)
    assert found.both.value == pytest.approx(n[2] / n_scored)
    assert found.one.value == pytest.approx(n[1] / n_scored)
    assert found.neither.value == pytest.approx(n[0] / n_scored)
    assert found.measured.low < found.measured.value < found.measured.high


def test_independent_cells_match_chance():
    rng = np.random.default_rng(1)
    share_G = np.array([0.01, 0.1, 0.5, 0.9, 0.0])
    cells = sampled_cells((rng.random((8000, 5)) < share_G).astype(np.float64))
    found = expressed_shares(neighbours(cells), rng)
    assert found.neither_by_chance == pytest.approx(((1 - share_G) ** 2).mean(), abs=0.01)
    # A bootstrap's 95 % interval, doubled: chance is estimated from the same cells.
    assert found.neither.value == pytest.approx(found.neither_by_chance, abs=found.neither.high - found.neither.low)
    assert found.n_silent == 1


def test_pairs_without_a_scored_entry_are_refused():
    cells = sampled_cells(np.ones((4, 2)))
    with pytest.raises(InputError, match="perturb fewer"):
        expressed_shares(neighbours(cells, perturbed_PG=np.ones((2, 2), dtype=np.bool_)), np.random.default_rng(0))
