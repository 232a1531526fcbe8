"""The answers of any predictor to many perturbations of the same cells."""

import numpy as np
from numpy.typing import NDArray

from gpcp.core.predictors import Perturbation, Predictor
from gpcp.model.perturbation_table import PerturbationTable


def predict_each(
    predictor: Predictor, control_BG: NDArray[np.float32], table: PerturbationTable
) -> NDArray[np.float32]:
    """Expected expression after, of every perturbation in every cell, float32 (B, perturbations, G).

    A :class:`gpcp.model.predictor.ModelPredictor` computes once a cell what does not depend on the perturbation; any
    other predictor is asked for all perturbations of a cell at once. A perturbed gene has the value that it was set
    to; NaN stands at unmeasured genes, and wherever a cell does not measure a perturbed gene.
    """
    from gpcp.model.each import predict_each_by
    from gpcp.model.predictor import ModelPredictor

    ours = isinstance(predictor, ModelPredictor)
    after = predict_each_by(predictor.model, control_BG, table) if ours else _by_rows(predictor, control_BG, table)
    at_E = table.row_E, table.token_E
    set_BE = np.broadcast_to(table.values_in(control_BG), (len(control_BG), len(table.row_E)))
    after[:, *at_E] = np.where(np.isnan(after[:, *at_E]), np.float32(np.nan), set_BE)
    return after


def _by_rows(predictor: Predictor, control_BG: NDArray[np.float32], table: PerturbationTable) -> NDArray[np.float32]:
    """One row for each cell and perturbation, cell by cell."""
    shape = (len(control_BG), len(table), control_BG.shape[1])
    after = np.full(shape, np.nan, dtype=np.float32)
    for cell, control_G in enumerate(control_BG):
        measured_G = np.isfinite(control_G)
        asked = table.within(measured_G)
        if not len(asked):
            continue
        some = table.rows(asked)
        perturbed_BG = np.zeros((len(asked), shape[2]), dtype=np.bool_)
        perturbed_BG[some.row_E, some.token_E] = True
        target_BG = np.zeros(perturbed_BG.shape, dtype=np.float32)
        target_BG[some.row_E, some.token_E] = some.values_in(control_G[None])[0]
        rows_BG = np.repeat(control_G[None], len(asked), axis=0)
        answer_BG = predictor.predict(rows_BG, Perturbation(perturbed_BG=perturbed_BG, target_BG=target_BG))
        after[cell, asked] = np.where(measured_G, answer_BG, np.float32(np.nan))
    return after
