"""What a run leaves for its figures, small and made up."""

import numpy as np

from diagnostics.commands.recover_graph.figures import RunArrays
from tests.diagnostics.records import example_record


def arrays(regime: str, seed: int, *, symmetric: bool = False, bayes: bool = True) -> RunArrays:
    rng = np.random.default_rng(seed)
    target_GG = rng.random((5, 5)) < 0.3
    target_GG[0, 1] = True
    np.fill_diagonal(target_GG, False)
    if symmetric:
        target_GG |= target_GG.T
    exact_GG = np.where(target_GG, 1.0, 0.0)
    levels = {"baseline": 1.2, "ridge": 0.9} | ({"bayes": 0.7} if bayes else {})
    return RunArrays(
        record=example_record(regime=regime, seed=seed, auprc=seed / 10, skill=None if not bayes else 0.9),
        recovered_GG=exact_GG + 0.1 * rng.normal(size=(5, 5)),
        exact_GG=exact_GG,
        target_GG=target_GG,
        step_point=np.array([10.0, 20.0]),
        train_loss_point=np.array([1.0, 0.8]),
        held_out_loss_point=np.array([1.1, np.nan]),
        levels=levels,
    )
