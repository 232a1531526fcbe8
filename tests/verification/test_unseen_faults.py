"""Fifty faults by two testers who had not seen the checks: what was found at first sight, and what is found since.

At first sight 41 of the 46 that hurt raised an alarm, 35 were named by a check of the tester's own list, and none of
the four that do not hurt was taken for a fault. The five that were missed led to ``architecture.distinguishes_genes``,
``architecture.reads_every_perturbation``, ``optimiser.moments`` and ``data.copies``, and to units that tell no gene
apart. What
was measured then cannot be measured again; that the faults are found now is tested here, without any training.
"""

import pytest

# The catalogue is made before these are entered, so that it stays without them.
import diagnostics.faults.catalogue  # noqa: F401
import tests.diagnostics.faults.unseen_faults_a
import tests.diagnostics.faults.unseen_faults_b
import tests.diagnostics.faults.unseen_faults_b_models  # noqa: F401
from diagnostics.checks.cascade import all_checks
from diagnostics.faults.fault import REGISTERED, Fault
from diagnostics.faults.healthy import ground_of
from diagnostics.inputs.diagnose import diagnose

pytestmark = pytest.mark.slow

UNSEEN: list[Fault] = [one for one in REGISTERED if one.name.startswith(("a_", "b_"))]

TRAINED = ("a_loss_relative_to_the_target", "b_relative_error_squared", "b_dropout_of_nearly_all")
"""Only a training shows them: a relative error is least at the target, and so much dropout is a matter of degree."""

SINCE = {
    "b_causal_mask": "architecture.expression_paths",
    "b_heads_cut_from_the_sequence": "architecture.expression_paths",
    "a_strongest_perturbed_only": "architecture.reads_every_perturbation",
    "a_betas_swapped": "optimiser.moments",
    "b_betas_swapped": "optimiser.moments",
    "b_split_after_augmentation": "data.copies",
}
"""What names a fault now by a check that its tester could not know."""

OTHERWISE = {
    # Told genes are heard by their absence, so that one is told but not how far it goes.
    "a_perturbed_genes_masked": "architecture.reads_dose",
    "b_perturbed_genes_masked_out": "architecture.reads_dose",
    # A table renormed at every call loses its weights as decay would take them.
    "a_identities_renormed": "optimiser.decay",
    # The cell before says nearly all, and what is told nothing beside it.
    "b_imputed_with_its_partner": "data.identity",
}
"""What is named otherwise than its tester would."""


def test_there_are_fifty() -> None:
    assert len(UNSEEN) == 50
    assert sum(one.equivalent for one in UNSEEN) == 4
    assert all(set(one.expected) <= {check.name for check in all_checks()} for one in UNSEEN)


@pytest.mark.parametrize(
    ("place", "fault"),
    [pytest.param(place, one, id=one.name) for place, one in enumerate(UNSEEN) if one.name not in TRAINED],
)
def test_an_unseen_fault_is_named(place: int, fault: Fault) -> None:
    seed = place % 3
    subject = fault.apply(ground_of(seed, not_in=fault.not_in, masked=fault.of_masks))
    found = diagnose(subject, only=["exact", "data"], seed=seed).diagnosis
    if fault.equivalent:
        assert found is None, found
        return
    assert found is not None
    named = [*fault.expected, *(where[fault.name] for where in (SINCE, OTHERWISE) if fault.name in where)]
    assert found.name in named
