"""Cells recognised by name or by value, and split where one source serves for training and for judging."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.engine.cell_ids import CellNames, Sides, contradicted, row_codes, sides_of
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from gpcp.pairing.paired import Paired
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.diagnostics.checks.sources import drawn, pairs_of, partly_measured


def cells(n_cells: int = 4_000, population: int = 0) -> Paired:
    return Paired(SimulatedCells(scm=world("scale_free/8").scm, n_cells=n_cells, population=population))


def test_one_cell_has_one_number_wherever_it_stands():
    pairs = drawn(cells(), 400)
    swapped = replace(
        pairs, before_BG=pairs.after_BG, after_BG=pairs.before_BG,
        before_id_B=pairs.after_id_B, after_id_B=pairs.before_id_B,
    )  # fmt: skip
    for by_id in (True, False):
        names = CellNames(by_id=by_id)
        assert (names.codes(pairs)[0] == names.codes(swapped)[1]).all()
        assert len(np.unique(np.concatenate(names.codes(pairs)))) == 800


def test_names_hold_where_genes_are_partly_measured():
    pairs = partly_measured(drawn(pairs_of(), 50), np.random.default_rng(0))
    twice = replace(pairs, before_id_B=pairs.before_id_B)
    assert CellNames.of(twice).by_id


@given(st.integers(1, 30))
def test_a_name_of_two_cells_is_no_name(n_wrong: int):
    pairs = drawn(pairs_of(), 40)
    id_B = pairs.after_id_B.copy()
    id_B[:n_wrong] = pairs.before_id_B[:n_wrong]
    wrong = replace(pairs, after_id_B=id_B)
    assert contradicted(wrong).sum() == 2 * n_wrong
    assert not CellNames.of(wrong).by_id
    assert CellNames.of(pairs).by_id


def test_rows_are_perturbed_apart_by_every_bit():
    rows = np.zeros((3, 4), dtype=np.float32)
    rows[1, 3] = np.nextafter(np.float32(0), np.float32(1))
    assert row_codes(rows)[0] == row_codes(rows)[2] != row_codes(rows)[1]


def test_sides_share_no_cell():
    pairs = drawn(cells(), 2_000)
    names = CellNames.of(pairs)
    sides = Sides(names=names, apart=True)
    training, held_out = (np.concatenate(names.codes(one)) for one in (sides.training(pairs), sides.held_out(pairs)))
    assert not np.isin(training, held_out).any()
    # Both cells on one side: a quarter, give or take 3 standard errors of 2,000 pairs.
    assert abs(len(training) / 2 / 2_000 - 0.25) < 0.03
    whole = Sides(names=names, apart=False)
    assert whole.training(pairs) is pairs


def test_only_a_source_that_gives_cells_again_is_split():
    assert not sides_of(Probe(Subject(pairs=pairs_of()))).apart
    assert sides_of(Probe(Subject(pairs=cells()))).apart
    other = cells(population=1)
    assert not sides_of(Probe(Subject(pairs=cells(), held_out=other))).apart
    # Of a few cells there is nothing left to split.
    assert not sides_of(Probe(Subject(pairs=cells(20)))).apart
