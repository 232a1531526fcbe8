"""The contract that every source keeps, and what each regime's pairs are."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulators.sources
from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from simulators.assay import build_assay
from simulators.scm.interventions import DoCells
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedCells, SimulatedPairs, perturbed_sets
from simulators.worlds import world

SCM = world("scale_free/6/hill/laplace").scm
ASSAY = build_assay(SCM.graph.vocab, rng=np.random.default_rng(0), n_cell_types=2, n_datasets=3, p_unmeasured=0.3)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven cells of six genes a block, so that a few cells already cross the blocks' borders."""
    monkeypatch.setattr(simulators.sources, "_BLOCK_ENTRIES", 42)


def bytes_of(parts: Iterable[PairBatch] | Iterable[CellBatch]) -> list[bytes]:
    """All arrays of a pass, joined over its batches."""
    batches = list(parts)
    if isinstance(batches[0], PairBatch):
        whole = concatenate([part for part in batches if isinstance(part, PairBatch)])
        names = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")
        return [getattr(whole, name).tobytes() for name in names]
    cells = concatenate_cells([part for part in batches if isinstance(part, CellBatch)])
    names = ("expression_BG", "measured_BG", "cell_id_B")
    covariates = [cells.covariates[name].tolist() for name in sorted(cells.covariates)]
    return [getattr(cells, name).tobytes() for name in names] + [repr(covariates).encode()]


@pytest.mark.parametrize("regime", REGIMES)
@given(batch_size=st.integers(1, 40), n_pairs=st.integers(1, 30), seed=st.integers(0, 2**40))
def test_pairs_depend_on_the_seed_and_not_on_the_batch_size(regime: Regime, batch_size: int, n_pairs: int, seed: int):
    source = SimulatedPairs(scm=SCM, regime=regime, n_pairs=n_pairs)
    assert isinstance(source, PairSource)
    batches = list(source.pairs(batch_size=batch_size, seed=seed))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert sum(len(batch) for batch in batches) == n_pairs == source.n_pairs
    assert bytes_of(batches) == bytes_of(source.pairs(batch_size=17, seed=seed))
    other = bytes_of(source.pairs(batch_size=batch_size, seed=seed + 1))
    assert other[0] != bytes_of(batches)[0]
    assert other[1] != bytes_of(batches)[1]
    # A longer pass begins with the shorter one's whole blocks.
    longer = concatenate(replace(source, n_pairs=n_pairs + 7).pairs(batch_size=5, seed=seed))
    whole = n_pairs - n_pairs % 7
    assert np.array_equal(longer.before_BG[:whole], concatenate(batches).before_BG[:whole])


@pytest.mark.parametrize("assay", [None, ASSAY])
@given(batch_size=st.integers(1, 40), n_cells=st.integers(2, 30), seed=st.integers(0, 2**40))
def test_cells_come_once_each_in_an_order_of_the_seed(assay: object, batch_size: int, n_cells: int, seed: int):
    source = SimulatedCells(scm=SCM, n_cells=n_cells, assay=ASSAY if assay else None)
    assert isinstance(source, CellSource)
    batches = list(source.cells(batch_size=batch_size, seed=seed))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert bytes_of(batches) == bytes_of(source.cells(batch_size=17, seed=seed))
    one = concatenate_cells(batches)
    other = concatenate_cells(list(source.cells(batch_size=batch_size, seed=seed + 1)))
    assert len(set(one.cell_id_B.tolist())) == n_cells
    # The same cells in another order: sorted by id they are equal.
    first, second = np.argsort(one.cell_id_B), np.argsort(other.cell_id_B)
    assert bytes_of([one.rows(first)]) == bytes_of([other.rows(second)])
    strange = concatenate_cells(list(replace(source, population=1).cells(batch_size=9, seed=seed)))
    assert not set(strange.cell_id_B.tolist()) & set(one.cell_id_B.tolist())
    assert strange.expression_BG.tobytes() != one.expression_BG.tobytes()


def test_another_seed_gives_another_order():
    source = SimulatedCells(scm=SCM, n_cells=30)
    orders = {tuple(concatenate_cells(list(source.cells(batch_size=8, seed=s))).cell_id_B.tolist()) for s in range(5)}
    assert len(orders) == 5


@pytest.mark.parametrize("regime", REGIMES)
def test_no_cell_is_in_two_pairs_nor_in_two_passes(regime: Regime):
    source = SimulatedPairs(scm=SCM, regime=regime, n_pairs=40)
    ids: list[int] = []
    for seed in (0, 1, 2, 1_000_000):
        batch = concatenate(source.pairs(batch_size=9, seed=seed))
        ids += [*batch.before_id_B.tolist(), *batch.after_id_B.tolist()]
    assert len(set(ids)) == len(ids) == 320


@given(seed=st.integers(0, 1000))
def test_counterfactual_pairs_are_one_noise_under_do(seed: int):
    batch = concatenate(SimulatedPairs(scm=SCM, regime="counterfactual", n_pairs=20).pairs(batch_size=20, seed=seed))
    value_BG = batch.after_BG.astype(np.float64)
    again_BG = SCM.expression(SCM.noise_of(batch.before_BG), DoCells(batch.perturbed_BG, value_BG))
    assert np.allclose(again_BG, batch.after_BG, atol=1e-4)
    assert np.array_equal(again_BG[batch.perturbed_BG], batch.after_BG[batch.perturbed_BG])
    # What is not downstream of a perturbed gene has not moved at all.
    moved_BG = (batch.perturbed_BG.astype(float) @ SCM.graph.ancestors_GG() > 0) | batch.perturbed_BG
    assert np.array_equal(batch.before_BG[~moved_BG], batch.after_BG[~moved_BG])


def test_interventional_pairs_have_fresh_noise():
    batch = concatenate(SimulatedPairs(scm=SCM, regime="interventional", n_pairs=200).pairs(batch_size=200, seed=0))
    assert (batch.before_BG != batch.after_BG).all()
    # A root that is not perturbed is the same noise's value before and after only if the noise is shared: here, no
    # correlation. 200 cells less the perturbed ones: standard error below .1, 4 of them.
    root = int(SCM.graph.order[0])
    unperturbed_B = ~batch.perturbed_BG[:, root]
    assert abs(np.corrcoef(batch.before_BG[unperturbed_B, root], batch.after_BG[unperturbed_B, root])[0, 1]) < 0.4


@pytest.mark.parametrize("regime", ["counterfactual", "interventional"])
def test_perturbed_values_are_drawn_with_the_stated_spread(regime: Regime):
    source = SimulatedPairs(scm=SCM, regime=regime, n_pairs=4_000, dose_sd=0.5)
    batch = concatenate(source.pairs(batch_size=4_000, seed=0))
    dose_N = batch.after_BG[batch.perturbed_BG]
    # About 12,000 values: standard error of the mean .0046, of the standard deviation .0032; 5 of them.
    assert abs(dose_N.mean()) < 0.023
    assert abs(dose_N.std() - 0.5) < 0.016


@given(n_genes=st.integers(2, 9), data=st.data())
def test_perturbed_sets_have_the_stated_sizes(n_genes: int, data: st.DataObject):
    lo = data.draw(st.integers(1, n_genes - 1))
    hi = data.draw(st.integers(lo, n_genes - 1))
    size_B = perturbed_sets(50, n_genes, (lo, hi), np.random.default_rng(0)).sum(axis=1)
    assert size_B.min() >= lo
    assert size_B.max() <= hi


def test_perturbed_sets_are_uniform_over_sizes_and_over_sets():
    perturbed_BG = perturbed_sets(60_000, 4, (1, 3), np.random.default_rng(0))
    code, n_of = np.unique(perturbed_BG @ (1 << np.arange(4)), return_counts=True)
    size = np.array([int(one).bit_count() for one in code])
    # Sizes 1, 2, 3 with 4, 6, 4 sets: a third of the pairs divided by the number of sets; 5 binomial standard errors.
    expected = 60_000 / 3 / np.array([4, 6, 4])[size - 1]
    assert len(code) == 14
    assert (np.abs(n_of - expected) < 5 * np.sqrt(expected)).all()


def test_cells_without_an_assay_are_the_world_s():
    batch = concatenate_cells(list(SimulatedCells(scm=SCM, n_cells=20).cells(batch_size=20, seed=0)))
    assert batch.measured_BG.all()
    assert set(batch.covariates["cell_type"]) == {"type_0"}
    assert set(batch.covariates["dataset"]) == {"dataset_0"}


def test_cells_with_an_assay_are_log1p_tpm_of_their_dataset_s_genes():
    source = SimulatedCells(scm=SCM, n_cells=100, assay=ASSAY)
    batch = concatenate_cells(list(source.cells(batch_size=100, seed=0)))
    assert set(batch.covariates["cell_type"]) == {"type_0", "type_1"}
    dataset_B = np.array([int(name.split("_")[1]) for name in batch.covariates["dataset"]])
    assert set(dataset_B.tolist()) == {0, 1, 2}
    assert np.array_equal(batch.measured_BG, ASSAY.measured_SG[dataset_B])
    assert np.allclose(np.expm1(batch.expression_BG.astype(np.float64)).sum(axis=1), 1e6, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"regime": "counterfactuals"}, "regime is 'counterfactuals'; nearest: counterfactual"),
        ({"n_pairs": 0}, r"SimulatedPairs.n_pairs is 0: it must be at least 1"),
        ({"n_perturbed": (0, 2)}, r"n_perturbed is \(0, 2\): it must be \(fewest, most\) within 1 .. 5 genes"),
        ({"n_perturbed": (3, 2)}, r"n_perturbed is \(3, 2\)"),
        ({"n_perturbed": (1, 6)}, r"n_perturbed is \(1, 6\)"),
        ({"dose_sd": 0.0}, r"dose_sd is 0.0: it must be above 0"),
        ({"dose_sd": float("nan")}, r"dose_sd is nan"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(fields: dict[str, object], match: str):
    with pytest.raises(InputError, match=match):
        replace(SimulatedPairs(scm=SCM, regime="matched", n_pairs=5), **fields)


def test_cells_that_make_no_sense_are_refused():
    source = SimulatedCells(scm=SCM, n_cells=5)
    with pytest.raises(InputError, match=r"n_cells is 0: it must be at least 1"):
        replace(source, n_cells=0)
    with pytest.raises(InputError, match=r"population is -1"):
        replace(source, population=-1)
    other = build_assay(world("chain/3").scm.graph.vocab, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="assay is of other genes than the world"):
        replace(source, assay=other)
    for iterate in (source.cells, SimulatedPairs(scm=SCM, regime="matched", n_pairs=5).pairs):
        with pytest.raises(InputError, match=r"seed is -1: it must be 0 or more"):
            list(iterate(batch_size=2, seed=-1))
        with pytest.raises(InputError, match=r"batch_size is 0"):
            list(iterate(batch_size=0, seed=1))
