"""Cells whose laws the tests know, as an audit holds them, and pairs of neighbouring rows."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.sample import SampledPairs
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.sources.in_memory import InMemoryCells
from gpcp.sources.index import CellIndex, Labels
from gpcp.sources.sparse import SparseCells
from simulators.assay import log1p_tpm


def sampled_cells(
    value_BG: NDArray[np.floating],
    label_of: Mapping[str, NDArray[np.integer]] | None = None,
    *,
    measured_BG: NDArray[np.bool_] | None = None,
    total_B: NDArray[np.float64] | None = None,
) -> InMemoryCells:
    """Cells of these values; labels by number."""
    import scipy.sparse as sp

    n_cells, n_genes = value_BG.shape
    measured_BG = np.ones(value_BG.shape, dtype=np.bool_) if measured_BG is None else measured_BG
    measured_SG, set_B = np.unique(measured_BG, axis=0, return_inverse=True)
    value_BG = np.where(measured_BG, value_BG, 0).astype(np.float32)
    covariates: Mapping[str, Labels] = {
        name: Labels.of(np.array([f"{name}_{code}" for code in code_B.tolist()]))
        for name, code_B in (label_of or {}).items()
    }
    index = CellIndex(
        vocab=GeneVocab(feature_id=tuple(f"g{i}" for i in range(n_genes))),
        cell_id_B=np.arange(n_cells, dtype=np.int64),
        measured_SG=measured_SG,
        set_B=set_B.reshape(-1).astype(np.int32),
        covariates=covariates,
        total_B=total_B,
    )
    return InMemoryCells(
        held=SparseCells(index=index, value_BG=sp.csr_array(value_BG)),
        n_expressed_B=(value_BG > 0).sum(axis=1).astype(np.int64),
        of_counts=bool((value_BG >= 0).all()),
        whole=True,
    )


def counted_cells(count_BG: NDArray[np.integer]) -> InMemoryCells:
    """Cells of these counts, as log1p(counts per million), with their totals."""
    return sampled_cells(log1p_tpm(count_BG.astype(np.int64)), total_B=count_BG.sum(axis=1).astype(np.float64))


def neighbours(cells: InMemoryCells, *, perturbed_PG: NDArray[np.bool_] | None = None) -> SampledPairs:
    """Cells 0 and 1, 2 and 3, ... as pairs, nothing perturbed unless it is given."""
    n_pairs = len(cells) // 2
    before_P = 2 * np.arange(n_pairs, dtype=np.int64)
    dense = cells.held.dense()
    before, after = dense.rows(before_P), dense.rows(before_P + 1)
    measured_PG = before.measured_BG & after.measured_BG
    pairs = PairBatch(
        vocab=cells.vocab,
        before_BG=np.where(measured_PG, before.expression_BG, np.float32(0)),
        after_BG=np.where(measured_PG, after.expression_BG, np.float32(0)),
        measured_BG=measured_PG,
        perturbed_BG=np.zeros(measured_PG.shape, dtype=np.bool_)
        if perturbed_PG is None
        else perturbed_PG & measured_PG,
        before_id_B=before.cell_id_B,
        after_id_B=after.cell_id_B,
    )
    return SampledPairs(pairs=pairs, cells=cells, before_row_P=before_P, after_row_P=before_P + 1)
