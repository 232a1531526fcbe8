"""Every planted fault is there, leaves the healthy subject as it was, and names checks that exist."""

import numpy as np
import pytest
import torch

from diagnostics.checks.cascade import all_checks
from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.altered_pairs import AlteredPairs, partly_measured
from diagnostics.faults.catalogue import FAULTS, fault_named, planted
from diagnostics.faults.fault import fault
from diagnostics.faults.is_planted import first_pairs, pairs_differ
from diagnostics.inputs.diagnose import diagnose
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.checks.subjects import Mlp, made, subject


def healthy(*, masked: bool = False) -> Subject:
    simulated = SimulatedPairs(scm=world("scale_free/6").scm, regime="counterfactual", n_pairs=10_000)
    pairs = AlteredPairs(source=simulated, alter=partly_measured) if masked else simulated
    return subject(n_genes=6, pairs=pairs, held_out=pairs)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_shows_in_its_part_and_leaves_the_subject_as_it_was(name: str):
    before = healthy(masked=FAULTS[name].of_masks)
    assert before.model is not None
    weights = {key: value.clone() for key, value in before.model.state_dict().items()}
    pairs = first_pairs(before.pairs)
    layers = [type(module) for module in before.model.modules()]

    after = planted(name, before)

    assert FAULTS[name].shows(before, after)
    assert all(torch.equal(value, weights[key]) for key, value in before.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in before.model.parameters())
    assert [type(module) for module in before.model.modules()] == layers
    assert np.array_equal(first_pairs(before.pairs).after_BG, pairs.after_BG)
    assert after.name.endswith(name)


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_expected_of_a_fault_are_checks_that_exist(name: str):
    one = FAULTS[name]
    assert set(one.expected) <= {check.name for check in all_checks()}
    assert bool(one.expected) != one.equivalent
    assert one.plants[-1].isalnum()


@pytest.mark.parametrize("name", [name for name, one in FAULTS.items() if one.part == "data"])
def test_a_faulty_source_still_gives_pairs_whatever_the_batch_size(name: str):
    source = planted(name, healthy()).pairs
    assert isinstance(source, PairSource)
    wide, narrow = first_pairs(source, n=60, seed=5), first_pairs(source, n=30, seed=5)
    assert np.array_equal(wide.after_BG[: len(narrow)], narrow.after_BG)


def test_the_catalogue_is_large_and_ordered_by_part():
    assert sum(not one.equivalent for one in FAULTS.values()) >= 45
    assert {one.part for one in FAULTS.values()} == {"data", "loss", "model", "optimiser"}
    parts = [one.part for one in FAULTS.values()]
    assert [part for place, part in enumerate(parts) if part not in parts[:place]] == sorted(set(parts))


def test_a_healthy_subject_shows_nothing():
    assert not pairs_differ(healthy(), healthy())


def test_unknown_names_taken_names_and_other_models_are_refused():
    with pytest.raises(InputError, match="no_signal"):
        fault_named("no_signl")
    with pytest.raises(InputError, match="registered already"):
        fault("no_signal", "twice", part="data", expected=(), cause="data", shows=pairs_differ)
    with pytest.raises(InputError, match="GenePerturbationTransformer"):
        planted("position_leak", subject(made(lambda: Mlp(8))))


@pytest.mark.parametrize("name", ["wrong_target", "loss_sign", "position_leak", "optimiser_of_a_copy"])
def test_an_exact_check_names_the_fault(name: str):
    ground = healthy(masked=FAULTS[name].of_masks)
    found = diagnose(planted(name, ground), only=["exact"], n_sample=200).diagnosis
    assert found is not None
    assert found.name in FAULTS[name].expected
