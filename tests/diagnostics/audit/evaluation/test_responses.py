"""Baselines on responses whose rule is known: each finds what it can know, and nothing where it knows nothing."""

import numpy as np
import pytest

from diagnostics.audit.evaluation.responses import (
    RESPONSES,
    Training,
    additive,
    bilinear,
    gene_features,
    nearest_perturbation,
    ridge,
)
from gpcp.core.errors import InputError

GENES = tuple(f"G{i}" for i in range(8))
RNG = np.random.default_rng(0)
EFFECT = {gene: RNG.normal(size=8) for gene in GENES}


def training(*labels: str, test: tuple[str, ...] = (), features: bool = False) -> Training:
    """Additive responses to genes and pairs of genes."""
    targets = {label: tuple(label.split("+")) for label in (*labels, *test)}
    shift_of = {label: np.sum([EFFECT[gene] for gene in targets[label]], axis=0) for label in labels}
    known = gene_features(GENES, np.array([np.zeros(8), *shift_of.values()])) if features else {}
    return Training(control_G=np.zeros(8), shift_of=shift_of, targets=targets, feature_of=known)


def test_additive_is_exact_on_combinations_of_known_targets():
    answers = additive(training("G0", "G1", "G2", "G0+G1", test=("G0+G2", "G1+G2")), ("G0+G2", "G1+G2"))
    assert answers.n_informed == 2
    np.testing.assert_allclose(answers.shift_of["G0+G2"], EFFECT["G0"] + EFFECT["G2"])
    for test in (("G0+G5",), ("G3",)):
        with pytest.raises(InputError, match="1 of 1 test perturbations are no combinations"):
            additive(training("G0", "G1", test=test), test)


def test_ridge_learns_the_effect_of_each_target():
    pairs = tuple(f"G{i}+G{j}" for i in range(8) for j in range(i))
    test = pairs[::7]
    train = tuple(one for one in (*GENES, *pairs) if one not in test)
    found = ridge(training(*train, test=test), test)
    mean_G = training(*train).mean_G
    truth = {one: EFFECT[one.split("+")[0]] + EFFECT[one.split("+")[1]] for one in test}
    error = sum(np.square(found.shift_of[one] - truth[one]).sum() for one in test)
    baseline = sum(np.square(mean_G - truth[one]).sum() for one in test)
    assert error < 0.1 * baseline
    assert found.n_informed == len(test)


def test_without_features_unseen_single_targets_get_the_mean_response():
    known = training("G0", "G1", "G2", test=("G5",))
    for response in (bilinear, nearest_perturbation):
        answers = response(known, ("G5",))
        assert answers.n_informed == 0
        np.testing.assert_allclose(answers.shift_of["G5"], known.mean_G)


def test_the_nearest_perturbation_shares_a_target_or_looks_alike():
    known = training("G0", "G1", "G2+G3", test=("G3+G4",))
    np.testing.assert_array_equal(nearest_perturbation(known, ("G3+G4",)).shift_of["G3+G4"], known.shift_of["G2+G3"])
    alike = Training(
        control_G=np.zeros(8),
        shift_of={"G0": EFFECT["G0"], "G1": EFFECT["G1"]},
        targets={"G0": ("G0",), "G1": ("G1",), "G2": ("G2",)},
        feature_of={"G0": np.array([1.0, 0.1]), "G1": np.array([-1.0, 0.0]), "G2": np.array([2.0, 0.0])},
    )
    answers = nearest_perturbation(alike, ("G2",))
    assert answers.n_informed == 1
    np.testing.assert_array_equal(answers.shift_of["G2"], EFFECT["G0"])


@pytest.mark.parametrize("name", [name for name in RESPONSES if name != "additive"])
def test_every_baseline_answers_finite_and_learns_from_training_alone(name: str):
    test = ("G6", "G1+G7")
    known = training("G0", "G1", "G2", "G3", "G0+G1", test=test, features=True)
    answers = RESPONSES[name](known, test)
    assert set(answers.shift_of) == set(test)
    assert all(np.isfinite(shift_G).all() for shift_G in answers.shift_of.values())
    assert 0 <= answers.n_informed <= 2
