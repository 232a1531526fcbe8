"""A twin recovers what its cells were made with: detection, types, depth, lost counts, strength, masks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpcp.core.cells import CellBatch, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.random import stream
from gpcp.sources.in_memory import sample_cells
from simulators.assay import build_assay
from simulators.exact.laws import law_of
from simulators.scm.scm import Scm
from simulators.sources import SimulatedCells
from simulators.totals import TotalledCells
from simulators.twins.fidelity import fidelity, ks
from simulators.twins.observed import context_of, mean_square, sampled
from simulators.twins.twin import REFERENCE_STRENGTH, twin_of, world_of_strength
from simulators.worlds import world

N_CELLS = 1_200


def counted(seed: int = 0, n_genes: int = 40, scm: Scm | None = None, **assay: Any) -> TotalledCells:
    """Sequenced cells of a world."""
    made = world(f"scale_free/{n_genes}", seed=seed)
    usual: dict[str, Any] = {"library_size": 8_000.0, "log_rate_sd": 1.0}
    report = build_assay(made.graph.vocab, rng=stream(seed, "assay"), **(usual | assay))
    return TotalledCells(counted=SimulatedCells(scm=scm or made.scm, n_cells=N_CELLS, assay=report))


def whole(source: Any) -> CellBatch:
    """All cells as one batch."""
    return concatenate_cells(list(source.cells(batch_size=512, seed=0)))


@pytest.mark.parametrize("assay", [{}, {"n_cell_types": 4}, {"library_size": 400.0}, {"dropout": 0.4}])
def test_detection_and_values_are_those_of_the_cells(assay: dict[str, Any]):
    cells = sampled(counted(**assay)).cells
    twin = twin_of(counted(**assay))
    table = fidelity(cells, twin.cells(N_CELLS, seed=1))
    # Two samples of one law of so many cells differ by 1.36 / sqrt(n / 2) in one gene of twenty.
    bound = 1.36 / np.sqrt(N_CELLS / 2)
    assert table.distance("detection, gene by gene") < bound
    assert table.distance("values, gene by gene") < bound
    assert table.distance("cell types") < 0.05
    assert table.furthest.distance == max(row.distance for row in table.rows)


def test_lost_counts_are_found_and_those_of_counting_are_none():
    # A lower bound, since what is lost widens the negative binomial that the zeros are held against, too: it rises with
    # what is lost, and never above it by more than the error of a share of 2,000 cells allows.
    planted = (0.2, 0.5, 0.8)
    found = [float(np.median(twin_of(counted(dropout=share)).assay.lost_G)) for share in planted]
    assert 0 < found[0] < found[1] < found[2]
    assert all(one < share + 0.05 for one, share in zip(found, planted, strict=True))
    assert np.median(twin_of(counted()).assay.lost_G) == 0
    assert np.median(twin_of(counted(library_size=400.0)).assay.lost_G) == 0


def test_the_shallower_the_cells_the_more_is_counting_noise():
    found = [np.median(twin_of(counted(library_size=size)).assay.reliability_G) for size in (50_000.0, 400.0, 40.0)]
    assert found[0] > 0.95
    assert found[0] > found[1] > found[2]
    # With mean m and a log-normal rate of sd 1 the share of counting is 1 / (1 + (e - 1) m), with m = 1 on average.
    assert found[2] < 1 - 1 / (1 + (np.e - 1)) + 0.1


def test_depth_that_was_not_taken_away_is_found():
    source = counted(library_size_sd=1.0)
    parts = list(source.counted.counted(batch_size=512, seed=0))
    raw_BG = np.log1p(np.concatenate([part.count_BG for part in parts])).astype(np.float32)
    normalised = concatenate_cells([part.cells for part in parts])
    assert np.median(twin_of(replace(normalised, expression_BG=raw_BG)).assay.depth_loading_G ** 2) > 0.25
    assert np.median(twin_of(normalised).assay.depth_loading_G ** 2) < 0.1


def test_the_strength_of_correlation_is_that_of_the_world_that_made_the_cells():
    made = world_of_strength(world("scale_free/30").graph.vocab, 0.05, seed=3)
    cells = whole(SimulatedCells(scm=made.scm, n_cells=4_000))
    assert twin_of(cells).latent_strength == pytest.approx(0.05, rel=0.15)


def test_cells_without_correlation_have_a_reference_instead():
    made = world_of_strength(world("scale_free/30").graph.vocab, 0.05, seed=3)
    cells = whole(SimulatedCells(scm=made.scm, n_cells=1_000))
    shuffled = replace(cells, expression_BG=stream(0, "shuffled").permuted(cells.expression_BG, axis=0))
    twin = twin_of(shuffled)
    assert twin.is_reference
    assert twin.latent_strength == REFERENCE_STRENGTH


def test_a_world_has_the_strength_that_was_asked_for():
    vocab = world("scale_free/30").graph.vocab
    found = [mean_square(law_of(world_of_strength(vocab, strength).scm).cov_GG) for strength in (0.01, 0.1)]
    assert found == pytest.approx([0.01, 0.1], rel=0.05)


def test_what_each_dataset_measures_is_kept():
    cells = whole(counted(n_datasets=3, p_unmeasured=0.3))
    drawn = twin_of(cells).cells(N_CELLS, seed=2)
    sets = [{tuple(row) for row in one.measured_BG.tolist()} for one in (cells, drawn)]
    assert sets[0] == sets[1]
    assert (drawn.expression_BG[~drawn.measured_BG] == 0).all()


def test_one_seed_gives_the_same_bytes_and_another_others():
    twin = twin_of(counted())
    one, same, other = (twin.cells(50, seed=seed).expression_BG for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_without_noise_the_order_of_cells_is_that_of_the_world():
    twin = twin_of(whole(SimulatedCells(scm=world("scale_free/10").scm, n_cells=500)))
    latent_BG = twin.world.scm.sample(300, stream(0, "latent"))
    bare = twin.assay.without(counting=True, depth=True)
    shown_BG = bare.observe(latent_BG, bare.rows(300, stream(0, "rows")), stream(0, "noise")).expression_BG
    order_BG = np.argsort(latent_BG, axis=0)
    assert (np.diff(np.take_along_axis(shown_BG, order_BG, axis=0), axis=0) >= 0).all()


def test_too_few_cells_are_refused():
    cells = whole(counted())
    with pytest.raises(InputError, match="a twin needs at least 20 cells, and there are 19"):
        twin_of(cells.rows(slice(0, 19)))


def test_a_context_goes_with_its_cells_however_many_there_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("simulators.twins.observed.MOST_CELLS", 100)
    monkeypatch.setattr("simulators.twins.twin.MOST_CELLS", 100)
    held = sample_cells(counted(), counted().vocab.feature_id, max_cells=N_CELLS, seed=0)
    genes = held.index.vocab.feature_id[:6]
    few = whole(held.genes(genes))
    few = few.rows(np.argsort(few.cell_id_B))
    assert twin_of(few, context=context_of(held, genes)).assay.n_cells == N_CELLS
    assert twin_of(few).assay.n_cells == 100
    with pytest.raises(InputError, match="context= is of 1200 cells, and there are 50"):
        twin_of(few.rows(slice(0, 50)), context=context_of(held, genes))


def test_the_distance_of_two_samples():
    assert ks(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert ks(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    assert ks(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.5
