"""The ceiling of pairs with a planted graph knows its effect: no answer that does not is better, in any assay."""

from typing import Any

import numpy as np
import pytest

from diagnostics.commands.ladder.rungs.cells import ladder_cells
from diagnostics.commands.ladder.rungs.spiked import DOSE, effect_known, effects_found
from diagnostics.scoring.errors import errors_of
from diagnostics.scoring.levels import levels_of
from gpcp.core.pairs import PairBatch, concatenate
from simulators.graphs.gene_graph import GeneGraph
from simulators.spike_ins.pairs import SpikedPairs
from simulators.spike_ins.planted_graph import planted_graph
from tests.simulators.twins.test_twin import counted


def spiked(cells: Any, side: Any, graph: GeneGraph) -> PairBatch:
    """Ten passes of pairs of a side of the cells, up to four genes perturbed."""
    pairs = SpikedPairs(real=side.paired, graph=graph, n_perturbed=(1, 4), dose=DOSE, rule="fold")
    return concatenate(batch for seed in range(10) for batch in pairs.pairs(batch_size=512, seed=seed))


@pytest.mark.parametrize("assay", [{}, {"library_size": 400.0}, {"dropout": 0.4}, {"n_cell_types": 3}])
def test_no_answer_without_the_effect_is_better(assay: dict[str, Any]):
    cells = ladder_cells(counted(n_genes=20, **assay), n_genes=20)
    graph = planted_graph(cells.vocab, seed=0)
    sample = spiked(cells, cells.side(cells.training), graph)
    held_out = spiked(cells, cells.side(cells.held_out), graph)
    known = errors_of(effect_known(cells, held_out, graph, "fold", 0), held_out).loss
    empty = GeneGraph(vocab=cells.vocab, weight_GG=np.zeros((20, 20)))
    without = errors_of(effect_known(cells, held_out, empty, "fold", 0), held_out).loss
    assert known < without
    assert known < levels_of(sample, held_out, ridge_on=None).baseline
    assert effects_found(sample, graph) > 0.1
