"""Every form of a perturbation entry is read and written again without a loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.engine.intent import NotExpressibleError
from diagnostics.inputs.loaders.perturbation_entry import PerturbationEntry
from gpcp.core.errors import InputError

N_GENES = 5


@st.composite
def perturbed(draw: st.DrawFn) -> np.ndarray:
    n = draw(st.integers(1, 6))
    genes = draw(st.lists(st.integers(0, N_GENES - 1), min_size=n, max_size=n))
    value = np.zeros((n, N_GENES), dtype=np.bool_)
    value[np.arange(n), genes] = True
    return value


@given(
    perturbed_BG=perturbed(),
    form=st.sampled_from(["bool", "float", "doses", "numbers", "slots"]),
    sign=st.sampled_from([-2.5, 3.0]),
)
def test_what_is_written_is_read_again(perturbed_BG: np.ndarray, form: str, sign: float):
    gene_B = perturbed_BG.argmax(axis=1)
    value = {
        "bool": perturbed_BG,
        "float": perturbed_BG.astype(np.float32),
        "doses": perturbed_BG * np.float32(sign),
        "numbers": gene_B,
        "slots": np.stack([gene_B, np.full(len(gene_B), -1)], axis=1),
    }[form]
    entry = PerturbationEntry.of(value, N_GENES, None)
    found_BG, dose_BG = entry.read(value, None)
    assert (found_BG == perturbed_BG).all()
    assert (dose_BG == (perturbed_BG * sign if form == "doses" else perturbed_BG)).all()
    assert (entry.written(found_BG, dose_BG) == value).all()
    assert entry.given(False) == ("identity and dose" if form == "doses" else "identity")
    assert entry.most_perturbed == {"numbers": 1, "slots": 2}.get(form)


@given(perturbed_BG=perturbed(), controls=st.integers(0, 3))
def test_a_mask_over_perturbations_has_its_control_on_where_nothing_is_perturbed(
    perturbed_BG: np.ndarray, controls: int
):
    targets = (3, 1, -1, 4, 0, 2)
    perturbed_BG[:controls] = False
    value_BC = np.stack([perturbed_BG[:, gene] if gene >= 0 else ~perturbed_BG.any(axis=1) for gene in targets], axis=1)
    entry = PerturbationEntry.of(value_BC.astype(np.float32), N_GENES, targets)
    found_BG, dose_BG = entry.read(value_BC.astype(np.float32), None)
    assert (found_BG == perturbed_BG).all()
    assert (entry.written(found_BG, dose_BG) == value_BC).all()


@given(perturbed_BG=perturbed())
def test_numbers_of_perturbations_go_by_their_targets(perturbed_BG: np.ndarray):
    targets = (-1, 3, 1, 4, 0, 2)
    number_B = np.array([targets.index(int(gene)) for gene in perturbed_BG.argmax(axis=1)])
    number_B = np.concatenate([number_B, [0]])
    entry = PerturbationEntry.of(number_B, N_GENES, targets)
    found_BG, dose_BG = entry.read(number_B, None)
    assert (found_BG[:-1] == perturbed_BG).all()
    assert not found_BG[-1].any()
    assert (entry.written(found_BG, dose_BG) == number_B).all()
    one_hot = np.eye(len(targets), dtype=np.float32)[number_B]
    wide = PerturbationEntry.of(one_hot, N_GENES, targets)
    assert (wide.read(one_hot, None)[0] == found_BG).all()


def test_doses_beside_numbers_are_by_slot():
    number_BP = np.array([[2, 0], [1, -1]])
    entry = PerturbationEntry.of(number_BP, N_GENES, None)
    perturbed_BG, dose_BG = entry.read(number_BP, np.array([[0.5, 2.0], [3.0, 9.0]]))
    assert dose_BG.tolist() == [[2.0, 0, 0.5, 0, 0], [0, 3.0, 0, 0, 0]]
    again = entry.written(perturbed_BG, dose_BG)
    assert again.tolist() == [[0, 2], [1, -1]]
    assert entry.doses_by_slot(perturbed_BG, dose_BG).tolist() == [[2.0, 0.5], [3.0, 0.0]]


def test_what_cannot_be_said_is_no_answer():
    one = PerturbationEntry.of(np.array([0, 3]), N_GENES, None)
    two = np.ones((1, N_GENES), dtype=np.bool_)
    with pytest.raises(NotExpressibleError, match="room for 1 perturbed genes, and 5"):
        one.written(two, two.astype(float))
    with pytest.raises(NotExpressibleError, match="no number that says that nothing is perturbed"):
        one.written(~two, np.zeros((1, N_GENES)))
    known = PerturbationEntry.of(np.array([0, 1]), N_GENES, (2, -1))
    with pytest.raises(NotExpressibleError, match="no perturbation is of gene 0"):
        known.written(np.eye(1, N_GENES, dtype=np.bool_), np.ones((1, N_GENES)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array(["a", "b"]), "give a mask"),
        (np.array([[0.5, 1.5]]), "its columns are perturbations, give targets="),
        (np.array([0, 7]), "the number 7, and there are 5 genes: give targets="),
    ],
)
def test_another_form_is_refused_with_the_remedy(value: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        PerturbationEntry.of(value, N_GENES, None)
