"""The faults of data are distinct and filled in, and each spoils what is learnt in every world, where it claims so."""

import math
from functools import lru_cache

import numpy as np
import pytest

from tests.outside.case import DATA_FAULTS, Case, held_out_error, some, train
from tests.outside.data_faults import IN_BOTH, KINDS, WORLDS, sound
from tests.outside.data_faults.training import Table, tables
from tests.outside.test_public_bugs import CAUSES, OF_THE_MEAN, WORSE_THAN_TWIN

COLUMNS = ("before", "after", "dose", "perturbed", "covariate")


def test_there_are_twenty_four_kinds_in_three_worlds():
    assert len(KINDS) >= 24
    assert {case.name for case in DATA_FAULTS} == {f"{kind}, world {world}" for kind in KINDS for world in WORLDS}
    assert len(DATA_FAULTS) == len(KINDS) * len(WORLDS)


def test_each_is_filled_in():
    assert [case.name for case in DATA_FAULTS if not (case.bug and case.line and case.hurts)] == []
    assert {cause for case in DATA_FAULTS for cause in case.cause.split("/")} <= CAUSES
    assert len({case.line for case in DATA_FAULTS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_changes_its_tables_alone(kind: str):
    before = tables(1)
    made = tables(1)
    KINDS[kind](*made, np.random.default_rng(0), 1)
    assert any(differ(a, b) for a, b in zip(before, made, strict=True))
    # What is drawn next is sound again.
    assert not any(differ(a, b) for a, b in zip(before, tables(1), strict=True))
    assert kind not in IN_BOTH or differ(before[1], made[1])


def differ(a: Table, b: Table) -> bool:
    return any(not np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in COLUMNS)


@lru_cache
def of_the_twin(world: int) -> tuple[float, float]:
    parts = sound(world)
    train(parts)
    return held_out_error(parts)


def spoils(error: float, mean: float, twin: float, mean_of_twin: float, *, in_both: bool) -> bool:
    """Whether less is learnt; where held-out pairs have the fault too, as a fraction of the mean's error."""
    if not math.isfinite(error):
        return True
    if in_both:
        error *= mean_of_twin / mean
    return error > WORSE_THAN_TWIN * twin and error - twin > OF_THE_MEAN * mean_of_twin


@pytest.mark.slow
@pytest.mark.parametrize("case", some(DATA_FAULTS, 7), ids=lambda case: case.name)
def test_a_fault_spoils_what_is_learnt_as_is_claimed(case: Case):
    kind, _, world = case.name.rpartition(", world ")
    twin, mean_of_twin = of_the_twin(int(world))
    assert twin < 0.1 * mean_of_twin
    parts = case.make()
    train(parts)
    error, mean = held_out_error(parts)
    found = spoils(error, mean, twin, mean_of_twin, in_both=kind in IN_BOTH)
    assert found is not case.hurts.startswith("no")
