"""Many perturbations of the same cells: what does not depend on the perturbation is computed once a cell.

The state of a cell is encoded once, whatever is asked of it; perturbations of one cell are rows of one batch, which
share its tokens. No pass is larger than a fixed number of tokens, so that memory does not grow with what is asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpcp.model.batch import ModelBatch
from gpcp.model.perturbation_table import PerturbationTable
from gpcp.model.transformer import GenePerturbationTransformer

PASS_TOKENS = 4096
"""Tokens of a pass, which then lie in a core's cache; but at least :data:`LEAST_ROWS` rows."""

LEAST_ROWS = 32
"""Below so many rows products of genes x genes weights wait for memory."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """Answers to some perturbations of some cells.

    Parameters
    ----------
    cell_B : int64, (cells,)
    asked : int64, (perturbations,)
        Which of the table they are.
    token_L : int64, (L,)
        The genes that these cells measure.
    after : float, (cells, perturbations, L)
    """

    cell_B: NDArray[np.int64]
    asked: NDArray[np.int64]
    token_L: NDArray[np.int64]
    after: Tensor


def predict_each_by(
    model: GenePerturbationTransformer, control_BG: NDArray[np.float32], table: PerturbationTable
) -> NDArray[np.float32]:
    """What a model answers to every perturbation of a table in every cell, float32 (B, perturbations, G).

    NaN stands at unmeasured genes, and wherever a cell does not measure a perturbed gene.
    """
    after = np.full((len(control_BG), len(table), control_BG.shape[1]), np.nan, dtype=np.float32)
    was_training = model.training
    model.eval()
    try:
        for some in answers_to_each(model, control_BG, table):
            after[np.ix_(some.cell_B, some.asked, some.token_L)] = some.after.float().cpu().numpy()
    finally:
        model.train(was_training)
    return after


def answers_to_each(
    model: GenePerturbationTransformer, control_BG: NDArray[np.float32], table: PerturbationTable
) -> Iterator[Answers]:
    """Every perturbation of a table in every cell that measures its genes, a pass at a time.

    Parameters
    ----------
    model : GenePerturbationTransformer
        In evaluation mode.
    control_BG : float32, (B, G)
        NaN where unmeasured.
    table : PerturbationTable
    """
    kinds_SG, kind_B = np.unique(np.isfinite(control_BG), axis=0, return_inverse=True)
    for kind, measured_G in enumerate(kinds_SG):
        cell_B = np.flatnonzero(kind_B.reshape(-1) == kind)
        asked, token_L = table.within(measured_G), np.flatnonzero(measured_G)
        if not (len(asked) and len(token_L)):
            continue
        n_rows = max(LEAST_ROWS, PASS_TOKENS // len(token_L))
        n_cells = max(1, n_rows // len(asked))
        for start in range(0, len(cell_B), n_cells):
            yield from _of_cells(model, control_BG, table, cell_B[start : start + n_cells], asked, token_L)


def _of_cells(
    model: GenePerturbationTransformer,
    control_BG: NDArray[np.float32],
    table: PerturbationTable,
    cell_B: NDArray[np.int64],
    asked: NDArray[np.int64],
    token_L: NDArray[np.int64],
) -> Iterator[Answers]:
    """Those of cells that measure the same genes and fit in one pass with some of the perturbations."""
    weight = model.query_identity.weight
    control = control_BG[cell_B]
    n_rows = max(LEAST_ROWS, PASS_TOKENS // len(token_L))
    with torch.inference_mode():
        state = None
        for start in range(0, len(asked), n_rows // len(cell_B)):
            some = asked[start : start + n_rows // len(cell_B)]
            batch = _batch(control, table.rows(some), token_L).to(weight.device, weight.dtype)
            if state is None:
                state = model.encoded(batch.rows(torch.arange(0, len(batch), len(some), device=weight.device)))
            after = model(batch, state=state).view(len(cell_B), len(some), -1)
            yield Answers(cell_B=cell_B, asked=some, token_L=token_L, after=after)


def _batch(control_BG: NDArray[np.float32], table: PerturbationTable, token_L: NDArray[np.int64]) -> ModelBatch:
    """One row for each perturbation of each cell, the cells one after the other."""
    n_cells, n_asked, n_tokens = len(control_BG), len(table), len(token_L)
    at_E = table.row_E, np.searchsorted(token_L, table.token_E)
    perturbed = np.zeros((n_asked, n_tokens), dtype=np.bool_)
    perturbed[at_E] = True
    target = np.zeros((n_cells, n_asked, n_tokens), dtype=np.float32)
    target[:, *at_E] = table.values_in(control_BG)
    before = torch.as_tensor(np.ascontiguousarray(control_BG[:, token_L]))
    shape = (n_cells, n_asked, n_tokens)
    return ModelBatch(
        token_BL=torch.as_tensor(token_L)[None],
        before_BL=before[:, None].expand(shape).reshape(-1, n_tokens),
        target_BL=torch.as_tensor(target).view(-1, n_tokens),
        measured_BL=torch.ones((n_cells * n_asked, n_tokens), dtype=torch.bool),
        perturbed_BL=torch.as_tensor(perturbed)[None].expand(shape).reshape(-1, n_tokens),
    )
