"""The scheme ``synthetic:``: a source like any other, with the totals of its counts."""

import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.opening.cells import open_cells
from gpcp.sources.sparse import SparseCellSource, concatenate_sparse
from simulators.totals import TotalledCells


def test_counted_cells_are_the_same_sparse_and_dense_whatever_the_batch_size():
    source = open_cells("synthetic:chain/5", n_cells=300, library_size=50.0, n_datasets=2, p_unmeasured=0.4)
    assert isinstance(source, TotalledCells)
    assert isinstance(source, SparseCellSource)
    parts = [concatenate_sparse(list(source.sparse_cells(batch_size=size, seed=1))) for size in (7, 300)]
    (dense,) = source.cells(batch_size=300, seed=1)
    for part in parts:
        assert (part.dense().expression_BG == dense.expression_BG).all()
        assert (part.dense().measured_BG == dense.measured_BG).all()
        assert part.index.total_B is not None
        counts_BG = np.expm1(dense.expression_BG.astype(np.float64)) / 1e6 * part.index.total_B[:, None]
        # float32 logarithms come back to within 1e-6 of a count below 100.
        assert counts_BG == pytest.approx(np.rint(counts_BG), abs=1e-3)
        assert counts_BG.sum(axis=1) == pytest.approx(part.index.total_B, abs=1e-2)


def test_genes_and_seeds_are_chosen():
    whole = open_cells("synthetic:scale_free/6", n_cells=50)
    genes = whole.vocab.feature_id[4:1:-1]
    some = open_cells("synthetic:scale_free/6", n_cells=50, genes=genes)
    assert some.vocab.feature_id == genes
    other = open_cells("synthetic:scale_free/6", n_cells=50, world_seed=1)
    first, second = (next(iter(source.cells(batch_size=50, seed=0))) for source in (whole, other))
    assert (first.expression_BG != second.expression_BG).any()


def test_an_assay_s_options_need_one():
    with pytest.raises(InputError, match="--n-datasets is of sequenced cells: give --library-size"):
        open_cells("synthetic:chain/5", n_datasets=2)
