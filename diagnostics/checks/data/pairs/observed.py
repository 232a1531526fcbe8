"""Pairs with the cells after as they were observed, at perturbed genes too."""

from dataclasses import replace

import numpy as np

from diagnostics.checks.data.collation import Arrived
from diagnostics.checks.engine.probe import Probe
from gpcp.core.pairs import PairBatch


def observed(probe: Probe, pairs: PairBatch) -> PairBatch:
    """Some pairs, each once, whose perturbed genes have the value that the user's own batch holds of the cell after.

    Elsewhere they have the value that is given to the model. What did not arrive counts as unmeasured.
    """
    arrived = Arrived.of(*probe.subject.collate(pairs), len(probe.vocab))
    known_BG = pairs.measured_BG & np.isfinite(arrived.after_BG + arrived.before_BG)
    before_BG, after_BG = (
        np.where(known_BG, value_BG, 0).astype(np.float32) for value_BG in (arrived.before_BG, arrived.after_BG)
    )
    return replace(
        pairs, before_BG=before_BG, after_BG=after_BG, measured_BG=known_BG, perturbed_BG=pairs.perturbed_BG & known_BG
    )
