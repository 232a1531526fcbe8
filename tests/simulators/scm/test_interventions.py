from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from simulators.graphs.families import simulated_vocab
from simulators.scm.interventions import Change, Do, DoCells, Intervention, KnockDown, Shift, affine

VOCAB = simulated_vocab(4)
A, B, C, D = VOCAB.feature_id
numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers)
def test_each_is_keep_times_natural_plus_add(natural: float, value: float):
    for intervention, expected in (
        (Do([B], value), value),
        (Shift([B], value), natural + value),
        (KnockDown(genes=[B], keep=0.25, off=value), value + 0.25 * (natural - value)),
    ):
        (token, change), *rest = intervention.changes(VOCAB, 1).items()
        assert (token, rest) == (1, [])
        value_B = np.array([natural])
        change.apply(value_B, slice(0, 1))
        # Two roundings of numbers of up to 1e6.
        assert value_B[0] == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(st.floats(0.1, 1), numbers, st.lists(st.booleans(), min_size=3, max_size=3))
def test_natural_undoes_apply(keep: float, add: float, touched: list[bool]):
    change = Change(keep=keep, add=add, touched_B=np.array(touched))
    value_B = np.array([1.0, -2.0, 3.0])
    change.apply(value_B, slice(0, 3))
    # |add| up to 1e6 swallows 1e6 * 2^-53 / keep of the natural value.
    np.testing.assert_allclose(change.natural(value_B, slice(0, 3)), [1.0, -2.0, 3.0], atol=1e-8)


def test_what_is_erased_is_not_made_up():
    change = Change(keep=0.0, add=5.0, touched_B=np.array([True, False]))
    np.testing.assert_array_equal(change.natural(np.array([5.0, 2.0]), slice(0, 2)), [np.nan, 2.0])


@pytest.mark.parametrize("change", [Change(keep=1.0, add=0.0), Change(keep=1.0, add=np.zeros(2))])
def test_a_change_of_nothing_keeps_even_the_sign_of_zero(change: Change):
    value_B = np.array([-0.0, 1.5])
    change.apply(value_B, slice(0, 2))
    assert value_B.tobytes() == np.array([-0.0, 1.5]).tobytes()


def test_one_number_serves_all_genes_and_values_compare():
    assert Do((A, C), 2.0) == Do([A, C], np.array([2.0, 2.0])) != Do([A, C], [2.0, 1.0])
    assert hash(Do([A], 1.0)) == hash(Do((A,), (1.0,)))


def test_cells_are_changed_one_by_one():
    perturbed_BG = np.array([[True, False, False, False], [False, False, False, False], [True, False, True, False]])
    changes = DoCells(perturbed_BG, np.where(perturbed_BG, 9.0, np.nan)).changes(VOCAB, 3)
    assert sorted(changes) == [0, 2]
    value_B = np.array([1.0, 2.0, 3.0])
    changes[0].apply(value_B, slice(0, 3))
    assert value_B.tolist() == [9.0, 2.0, 9.0]
    block_B = np.array([2.0, 3.0])
    changes[2].apply(block_B, slice(1, 3))
    assert block_B.tolist() == [2.0, 9.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Do([A, A], 1.0), f"{A}.*more than once"),
        (lambda: Do(A, 1.0), "sequence of gene ids"),
        (lambda: Do([A, B], [1.0]), r"shape \(1,\), expected \(2,\)"),
        (lambda: Shift([A, B], [1.0, np.nan]), f"Shift.values of gene {B} is nan"),
        (lambda: KnockDown(genes=[A], keep=1.5), f"KnockDown.keep of gene {A} is 1.5"),
        (lambda: KnockDown(genes=[A], keep=-0.5), "0 .. 1"),
        (lambda: KnockDown(genes=[A], keep=0.5, off=np.inf), "off is inf"),
        (lambda: DoCells(np.zeros((2, 4)), np.zeros((2, 4))), "dtype float64, expected bool"),  # pyright: ignore[reportArgumentType]
        (lambda: DoCells(np.zeros(4, dtype=bool), np.zeros(4)), "expected \\(cells, genes\\)"),
        (lambda: DoCells(np.zeros((2, 4), dtype=bool), np.zeros((2, 3))), "shape"),
        (lambda: DoCells(np.ones((2, 4), dtype=bool), np.full((2, 4), np.nan)), "gene 0 in cell 0 is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], message: str):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "intervention",
    [Do(["ENSSIMG00000000009"], 0.0), Shift(["ENSSIMG0000000000"], 0.0), KnockDown(genes=["SIMG1"], keep=1.0)],
)
def test_an_unknown_gene_names_the_nearest(intervention: Intervention):
    with pytest.raises(InputError, match=r"nearest: ENSSIMG|known: ENSSIMG"):
        intervention.changes(VOCAB, 1)


def test_cells_of_another_shape_are_refused():
    with pytest.raises(InputError, match="expected \\(3, 4\\)"):
        DoCells(np.zeros((2, 4), dtype=bool), np.zeros((2, 4))).changes(VOCAB, 3)


def test_affine_is_the_same_in_numbers():
    for intervention, keep_G, add_G in (
        (None, [1, 1, 1, 1], [0, 0, 0, 0]),
        (Do([D, A], [2.0, 3.0]), [0, 1, 1, 0], [3, 0, 0, 2]),
        (Shift([B], 2.0), [1, 1, 1, 1], [0, 2, 0, 0]),
        (KnockDown(genes=[C], keep=0.25, off=-4.0), [1, 1, 0.25, 1], [0, 0, -3, 0]),
    ):
        found = affine(intervention, VOCAB)
        assert [array_G.tolist() for array_G in found] == [keep_G, add_G]
    with pytest.raises(InputError, match="every cell"):
        affine(DoCells(np.zeros((2, 4), dtype=bool), np.zeros((2, 4))), VOCAB)
