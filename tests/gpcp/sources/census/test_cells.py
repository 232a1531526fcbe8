"""``CensusCells``: its values are those in the store, its order is its own, and a damaged store is refused."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.cells import concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.census.reader import WINDOW_CHUNKS, order_of
from gpcp.sources.sparse import IndexedCells, SparseCells, concatenate_sparse
from tests.gpcp.sources.census import census_cases as cases

KNOWN = cases.truth()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.write(KNOWN, tmp_path_factory.mktemp("census"))


@pytest.fixture(scope="module")
def every(store: Path) -> CensusCells:
    """All cells of the store, repetitions too, and all genes."""
    return CensusCells(uri=store, is_primary_data=None)


def whole(cells: CensusCells) -> SparseCells:
    return concatenate_sparse(list(cells.sequential(batch_size=cells.n_cells)))


def same(one: SparseCells, other: SparseCells) -> bool:
    """Whether two blocks hold the same bytes."""
    arrays = (
        (one.index.cell_id_B, other.index.cell_id_B),
        (one.index.set_B, other.index.set_B),
        (one.value_BG.indptr, other.value_BG.indptr),
        (one.value_BG.indices, other.value_BG.indices),
        (one.value_BG.data, other.value_BG.data),
        *((one.index.labels(name).text_B, other.index.labels(name).text_B) for name in one.index.covariates),
    )
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in arrays)


def test_values_are_the_layers_and_the_sources(store: Path, every: CensusCells):
    read = whole(every).dense()
    assert isinstance(every, IndexedCells)
    assert read.cell_id_B.tolist() == list(range(cases.N_CELLS))
    stored_NG = cases.layer(store, "normalized").astype(np.float64)
    assert np.array_equal(read.expression_BG, np.log1p(1e6 * stored_NG).astype(np.float32))
    # The store keeps a share in float32, so a value of up to 13.8 comes back to a few units in the 7th digit.
    np.testing.assert_allclose(read.expression_BG, np.log1p(KNOWN.tpm_NG), atol=5e-6)


def test_what_the_cells_are_is_what_the_store_says(every: CensusCells):
    index = every.index
    assert np.array_equal(index.measured_SG[index.set_B], KNOWN.measured_NG)
    assert {name: labels.text_B.tolist() for name, labels in index.covariates.items()} == {
        name: text_N.tolist() for name, text_N in KNOWN.text_of.items()
    }
    assert index.total_B is not None
    expected_N = np.where(KNOWN.set_N == 1, np.nan, KNOWN.count_NG.sum(axis=1))
    assert np.array_equal(index.total_B, expected_N, equal_nan=True)
    assert "Smart-seq2" in every.provenance
    assert not every.cheap_rows


def test_counts_come_back_from_values_and_totals(every: CensusCells):
    read = whole(every)
    assert read.index.total_B is not None
    counted_N = ~np.isnan(read.index.total_B)
    counts_NG = np.expm1(read.dense().expression_BG.astype(np.float64)) / 1e6 * read.index.total_B[:, None]
    # float32 of a logarithm below 14 is exact to 1e-6, so a count below 100 to 1e-4.
    np.testing.assert_allclose(counts_NG[counted_N], KNOWN.count_NG[counted_N], atol=1e-3)


def test_repetitions_are_left_out_unless_asked_for(store: Path):
    primary = CensusCells(uri=store)
    assert primary.index.cell_id_B.tolist() == np.flatnonzero(KNOWN.primary_N).tolist()
    repeated = CensusCells(uri=store, is_primary_data=False)
    assert repeated.index.cell_id_B.tolist() == np.flatnonzero(~KNOWN.primary_N).tolist()


@given(
    seed=st.integers(0, 2**20),
    batch_size=st.integers(1, 500),
    io_batch_size=st.integers(60, 500),
    shuffle_chunk=st.integers(1, 70),
)
@settings(max_examples=8)
def test_a_pass_is_the_same_whatever_the_batches(
    store: Path, seed: int, batch_size: int, io_batch_size: int, shuffle_chunk: int
):
    cells = CensusCells(uri=store, io_batch_size=io_batch_size, shuffle_chunk=shuffle_chunk)
    plain = CensusCells(uri=store, shuffle_chunk=shuffle_chunk)
    batches = list(cells.sparse_cells(batch_size=batch_size, seed=seed))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    reference = plain.sparse_rows(order_of(plain.n_cells, seed=seed, shuffle_chunk=shuffle_chunk))
    assert same(concatenate_sparse(batches), reference)
    assert sorted(reference.index.cell_id_B.tolist()) == plain.index.cell_id_B.tolist()


def test_dense_batches_are_the_sparse_ones(every: CensusCells):
    dense = concatenate_cells(list(every.cells(batch_size=33, seed=5)))
    sparse = concatenate_sparse(list(every.sparse_cells(batch_size=33, seed=5))).dense()
    assert dense.expression_BG.tobytes() == sparse.expression_BG.tobytes()
    assert dense.measured_BG.tobytes() == sparse.measured_BG.tobytes()
    assert dense.covariates["disease"].tolist() == sparse.covariates["disease"].tolist()


def test_another_seed_gives_another_order_of_the_same_cells(every: CensusCells):
    orders = [
        np.concatenate([batch.index.cell_id_B for batch in every.sparse_cells(batch_size=64, seed=seed)])
        for seed in (0, 1)
    ]
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(np.sort(orders[0]), np.sort(orders[1]))


@given(n_cells=st.integers(0, 3000), seed=st.integers(0, 99), shuffle_chunk=st.integers(1, 20))
def test_an_order_is_a_permutation_of_chunks_within_windows(n_cells: int, seed: int, shuffle_chunk: int):
    order_N = order_of(n_cells, seed=seed, shuffle_chunk=shuffle_chunk)
    assert np.array_equal(np.sort(order_N), np.arange(n_cells))
    window = WINDOW_CHUNKS * shuffle_chunk
    for start in range(0, n_cells, window):
        # Only the chunks at a window's two ends, and the short one, can be shared with its neighbours.
        touched = np.unique(order_N[start : start + window] // shuffle_chunk)
        assert len(touched) <= WINDOW_CHUNKS + 2


def test_an_order_mixes_cells_from_everywhere():
    order_N = order_of(100_000, seed=0, shuffle_chunk=64)
    # 256 of 1,563 chunks are a window; their mean place has a standard error of 1,800.
    assert abs(order_N[: WINDOW_CHUNKS * 64].mean() - 50_000) < 8_000
    # A batch of 128 cells shares few chunks: 128 of 256 at random touch 256 (1 - (1 - 1/256)**128) = 101.
    assert len(np.unique(order_N[:128] // 64)) > 80


@given(start=st.integers(0, cases.N_CELLS), batch_size=st.integers(1, 500))
@settings(max_examples=6)
def test_a_sequential_pass_goes_on_where_it_is_perturbed(every: CensusCells, start: int, batch_size: int):
    batches = list(every.sequential(start=start, batch_size=batch_size))
    got = [cell for batch in batches for cell in batch.index.cell_id_B.tolist()]
    assert got == list(range(start, cases.N_CELLS))
    if batches:
        rows = np.arange(start, cases.N_CELLS, dtype=np.int64)
        assert same(concatenate_sparse(batches), every.sparse_rows(rows))


@given(data=st.data(), io_batch_size=st.integers(15, 200))
@settings(max_examples=6)
def test_rows_come_in_the_order_asked_for(store: Path, data: st.DataObject, io_batch_size: int):
    cells = CensusCells(uri=store, is_primary_data=None, io_batch_size=io_batch_size)
    rows = data.draw(st.lists(st.integers(0, cases.N_CELLS - 1), unique=True, max_size=60))
    read = cells.sparse_rows(np.array(rows, dtype=np.int64))
    assert read.index.cell_id_B.tolist() == rows
    np.testing.assert_allclose(read.dense().expression_BG, np.log1p(KNOWN.tpm_NG)[rows], atol=5e-6)


@given(tokens=st.lists(st.integers(0, cases.N_GENES - 1), min_size=1, unique=True))
@settings(max_examples=6)
def test_a_panel_is_those_columns_of_all_genes(store: Path, every: CensusCells, tokens: list[int]):
    genes = [f"{KNOWN.vocab.feature_id[token]}.{token}" for token in tokens]
    panel = CensusCells(uri=store, is_primary_data=None, genes=genes)
    assert panel.vocab.feature_id == KNOWN.vocab.genes(tokens)
    assert np.array_equal(whole(panel).dense().expression_BG, whole(every).dense().expression_BG[:, tokens])
    assert np.array_equal(panel.index.measured_SG, KNOWN.measured_SG[:, tokens])


def test_an_unpickled_source_reads_the_same(every: CensusCells):
    again: CensusCells = pickle.loads(pickle.dumps(every))
    assert again.provenance == every.provenance
    for one, other in zip(
        again.sparse_cells(batch_size=150, seed=3), every.sparse_cells(batch_size=150, seed=3), strict=True
    ):
        assert same(one, other)


def test_passes_may_be_left_and_go_on_beside_each_other(every: CensusCells):
    expected = [batch.index.cell_id_B.tolist() for batch in every.sparse_cells(batch_size=100, seed=0)]
    left = every.sparse_cells(batch_size=100, seed=0)
    assert next(left).index.cell_id_B.tolist() == expected[0]
    one, other = every.sparse_cells(batch_size=100, seed=0), every.sparse_cells(batch_size=100, seed=0)
    beside = [(a.index.cell_id_B.tolist(), b.index.cell_id_B.tolist()) for a, b in zip(one, other, strict=True)]
    assert beside == [(ids, ids) for ids in expected]
    del left


def test_every_process_reads_all_cells(every: CensusCells, monkeypatch: pytest.MonkeyPatch):
    alone = [batch.index.cell_id_B.tolist() for batch in every.sparse_cells(batch_size=100, seed=0)]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert [batch.index.cell_id_B.tolist() for batch in every.sparse_cells(batch_size=100, seed=0)] == alone


def test_a_share_of_the_cells_is_refused(every: CensusCells, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NUM_WORKERS", "2")
    for worker in ("0", "1"):
        monkeypatch.setenv("WORKER", worker)
        with pytest.raises(InputError, match="unset WORKER and NUM_WORKERS"):
            list(every.sparse_cells(batch_size=100, seed=0))


def test_a_pass_tells_how_far_it_has_come(store: Path, capsys: pytest.CaptureFixture[str]):
    told: list[tuple[int, int | None]] = []
    cells = CensusCells(uri=store, on_progress=lambda done, total: told.append((done, total)))
    list(cells.sequential(batch_size=100))
    assert told == sorted(told)
    assert told[-1] == (cells.n_cells, cells.n_cells)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_hold_at_least_one_cell(every: CensusCells, batch_size: int):
    for start in (every.cells, every.sparse_cells):
        with pytest.raises(InputError, match="at least 1"):
            next(start(batch_size=batch_size, seed=0))
    with pytest.raises(InputError, match="at least 1"):
        next(every.sequential(batch_size=batch_size))


def test_rows_and_starts_lie_within_the_source(every: CensusCells):
    with pytest.raises(InputError, match=r"from 3 to 400, but there are 400"):
        every.sparse_rows(np.array([3, cases.N_CELLS]))
    with pytest.raises(InputError, match="twice"):
        every.sparse_rows(np.array([3, 4, 3]))
    with pytest.raises(InputError, match=r"within 0 \.\. 400"):
        next(every.sequential(start=cases.N_CELLS + 1, batch_size=1))
    with pytest.raises(InputError, match="0 or more"):
        next(every.cells(batch_size=1, seed=-1))


def test_a_value_that_was_not_measured_is_refused_with_its_dataset(store: Path, tmp_path: Path):
    damaged = tmp_path / "damaged"
    shutil.copytree(store, damaged)
    dataset, gene = (int(i) for i in np.argwhere(~KNOWN.measured_SG)[0])
    cell = int(np.argmax(KNOWN.set_N == dataset))
    cases.put_value(damaged, cell, gene, 0.25)
    message = rf"{KNOWN.vocab.feature_id[gene]} .*'dataset_{dataset}'.*presence matrix.*1 such"
    with pytest.raises(InputError, match=message):
        list(CensusCells(uri=damaged, is_primary_data=None).cells(batch_size=100, seed=0))


def test_a_value_that_is_not_finite_is_refused(store: Path, tmp_path: Path):
    damaged = tmp_path / "damaged"
    shutil.copytree(store, damaged)
    cases.put_value(damaged, 0, 0, np.nan)
    with pytest.raises(InputError, match="not finite"):
        list(CensusCells(uri=damaged, is_primary_data=None).sequential(batch_size=100))


def test_a_damaged_store_is_refused_in_one_line(store: Path, tmp_path: Path):
    damaged = tmp_path / "damaged"
    shutil.copytree(store, damaged)
    cells = CensusCells(uri=damaged, is_primary_data=None)
    for part in (damaged / "census_data").rglob("X/normalized/__fragments/*/a0.tdb"):
        part.write_bytes(part.read_bytes()[:20])
    with pytest.raises(InputError, match="cannot be read"):
        next(cells.cells(batch_size=10, seed=0))
    shutil.rmtree(damaged)
    with pytest.raises(InputError, match="cannot be read"):
        next(cells.cells(batch_size=10, seed=0))


def test_without_the_layer_counts_will_do_for_umi_assays(store: Path, every: CensusCells, tmp_path: Path):
    older = tmp_path / "older"
    shutil.copytree(store, older)
    cases.remove(f"{cases.measurement_uri(older)}/X", "normalized")
    with pytest.raises(InputError, match=r"no layer normalized, and counts of 'Smart-seq2' .* leave them out"):
        CensusCells(uri=older)
    counted = CensusCells(uri=older, is_primary_data=None, assay=["10x 3' v2", "10x 3' v3"])
    assert "X/raw" in counted.provenance
    read = whole(counted).dense()
    # Shares that were rounded to float32 on the way against those that were not.
    normalised = every.sparse_rows(read.cell_id_B).dense()
    np.testing.assert_allclose(read.expression_BG, normalised.expression_BG, atol=5e-6)
    cases.remove(f"{cases.measurement_uri(older)}/X", "raw")
    with pytest.raises(InputError, match=r"nor raw \(X has: nothing\)"):
        CensusCells(uri=older, assay="10x 3' v2")
