from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.cells import CellBatch, concatenate_cells, rebatched_cells
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from tests.strategies import cell_batches


def arrays_of(cells: CellBatch) -> list[bytes]:
    covariates = [cells.covariates[name].tolist() for name in sorted(cells.covariates)]
    return [a.tobytes() for a in (cells.expression_BG, cells.measured_BG, cells.cell_id_B)] + [
        repr(covariates).encode()
    ]


@given(cell_batches(min_cells=1), st.lists(st.integers(0, 4), max_size=5), st.integers(1, 7))
def test_the_same_cells_in_other_batches(cells: CellBatch, cuts: list[int], batch_size: int):
    edges = [0, *sorted(min(cut, len(cells)) for cut in cuts), len(cells)]
    blocks = [cells.rows(slice(start, end)) for start, end in pairwise(edges)]
    batches = list(rebatched_cells(blocks, batch_size=batch_size))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= batch_size
    assert arrays_of(concatenate_cells(batches)) == arrays_of(cells)


@given(cell_batches(min_cells=1), st.data())
def test_rows_are_taken_in_the_order_asked(cells: CellBatch, data: st.DataObject):
    which = np.array(data.draw(st.permutations(range(len(cells)))), dtype=np.int64)
    taken = cells.rows(which)
    assert taken.cell_id_B.tolist() == cells.cell_id_B[which].tolist()
    assert taken.expression_BG.tobytes() == cells.expression_BG[which].tobytes()
    for name, values in cells.covariates.items():
        assert taken.covariates[name].tolist() == values[which].tolist()


def test_no_block_at_all_gives_no_batch():
    assert list(rebatched_cells([], batch_size=3)) == []


def test_what_cannot_be_joined():
    def one(gene: str, **covariates: str) -> CellBatch:
        return CellBatch(
            vocab=GeneVocab(feature_id=(gene,)),
            expression_BG=np.ones((1, 1), dtype=np.float32),
            measured_BG=np.ones((1, 1), dtype=np.bool_),
            cell_id_B=np.zeros(1, dtype=np.int64),
            covariates={name: np.array([value]) for name, value in covariates.items()},
        )

    with pytest.raises(InputError, match="no cell to concatenate"):
        concatenate_cells([])
    with pytest.raises(InputError, match="different vocabularies"):
        concatenate_cells([one("a"), one("b")])
    with pytest.raises(InputError, match="different covariates"):
        concatenate_cells([one("a"), one("a", donor="x")])
    with pytest.raises(InputError, match="batch_size is 0"):
        list(rebatched_cells([one("a")], batch_size=0))
