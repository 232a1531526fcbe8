"""Units: applied and undone they leave values as they were, and they know values that lie far from 0."""

from dataclasses import replace

import numpy as np

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.learning.units import Units
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.subjects import PartlyMeasured, pairs_of


def shifted(pairs: PairBatch, by: float) -> PairBatch:
    """Every measured value lies higher."""
    before_BG, after_BG = (
        np.where(pairs.measured_BG, value_BG + np.float32(by), np.float32(0))
        for value_BG in (pairs.before_BG, pairs.after_BG)
    )
    return replace(pairs, before_BG=before_BG, after_BG=after_BG)


def test_units_are_undone_and_leave_unmeasured_genes_at_0():
    pairs = shifted(Probe(Subject(pairs=PartlyMeasured(pairs_of())), n_sample=200).sample, 7.0)
    units = Units.of(pairs)
    applied = units.applied(pairs)
    assert not applied.before_BG[~pairs.measured_BG].any()
    back_BG = units.undone(applied.after_BG.astype(np.float64))
    assert np.allclose(back_BG[pairs.measured_BG], pairs.after_BG[pairs.measured_BG], atol=1e-4)
    values = applied.after_BG[pairs.measured_BG]
    assert abs(values.mean()) < 0.5
    assert 0.5 < values.std() < 2


def test_far_values_are_those_many_spreads_from_0():
    pairs = Probe(Subject(pairs=pairs_of()), n_sample=200).sample
    assert not Units.of(pairs).far
    assert Units.of(shifted(pairs, 30.0)).far
