"""Building a cache: the same bytes however the cells came and however often it broke off; what is not gone on with."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.cache.build import build_cache, cached
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.provenance import provenance_of
from gpcp.sources.sparse import SparseCells, concatenate_sparse, sparse_of
from gpcp.sources.subsets import OnlyGenes
from simulators.assay import build_assay
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.gpcp.sources.cache.cache_sources import (
    Dense,
    Indexed,
    Sequential,
    assert_same_cells,
    bytes_of,
    killed_cells,
    made_cells,
    names_in,
    perturbed_otherwise,
)

CELLS = made_cells(30)


def all_cells(source: CellSource) -> CellBatch:
    return concatenate_cells(list(source.cells(batch_size=512, seed=0)))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a cache of CELLS, built in one piece."""
    folder = tmp_path_factory.mktemp("whole") / "cache"
    build_cache(Indexed(CELLS), folder)
    return bytes_of(folder)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 29)), st.integers(1, 40), st.integers(0, 99))
def test_the_bytes_do_not_depend_on_how_the_cells_came(
    expected: dict[str, bytes], cuts: list[int], part_cells: int, seed: int
):
    rng = np.random.default_rng(seed)
    ends = [0, *sorted(set(cuts)), 30]
    blocks = [perturbed_otherwise(CELLS.rows(slice(a, b)), rng) for a, b in pairwise(ends)]
    source = Sequential(concatenate_sparse(blocks), cuts=cuts)
    with tempfile.TemporaryDirectory() as folder:
        build_cache(source, Path(folder, "cache"), part_cells=part_cells)
        assert bytes_of(Path(folder, "cache")) == expected
        assert [path.name for path in Path(folder).iterdir()] == ["cache"]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 29), max_size=3), st.integers(1, 12), st.sampled_from([1, 4, 10]))
def test_broken_off_and_begun_again_it_ends_with_the_same_bytes(
    expected: dict[str, bytes], breaks: list[int], part_cells: int, block: int
):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "cache")
        for breaks_at in breaks:
            broken = Sequential(CELLS, cuts=range(0, 30, block), breaks_at=breaks_at)
            with pytest.raises(KeyboardInterrupt):
                build_cache(broken, target, part_cells=part_cells)
            assert not target.exists()
        last = Sequential(CELLS, cuts=range(0, 30, block))
        build_cache(last, target, part_cells=part_cells)
        assert bytes_of(target) == expected
        if breaks:
            # What was read before is not read again, but for one cell that shows it to be the same source.
            read = max(breaks) // block * block // part_cells * part_cells
            assert last.starts[0] >= read - 1


def test_a_source_without_an_order_of_its_own_goes_on_as_well(tmp_path: Path):
    whole = build_cache(Dense(CELLS.dense()), tmp_path / "whole")
    broken = OutOfBreath(CELLS.dense())
    with pytest.raises(KeyboardInterrupt):
        build_cache(broken, tmp_path / "cache", provenance=whole.provenance, part_cells=4)
    assert len(list((tmp_path / "cache.partial").glob("part-*.npz"))) == 5
    build_cache(Dense(CELLS.dense()), tmp_path / "cache", part_cells=11)
    assert bytes_of(tmp_path / "cache") == bytes_of(tmp_path / "whole")


class OutOfBreath(Dense):
    """Breaks off after 20 cells."""

    def cells(self, *, batch_size: int, seed: int):
        for n, batch in enumerate(super().cells(batch_size=1, seed=seed)):
            if n == 20:
                raise KeyboardInterrupt
            yield batch


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_and_started_again_it_ends_with_the_same_bytes(tmp_path: Path, repo: Path):
    build_cache(killed_cells(), tmp_path / "whole")
    target = tmp_path / "killed"
    begun = subprocess.Popen(
        [sys.executable, "-m", "tests.gpcp.sources.cache.cache_sources", str(target), "0.02"],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(repo)},
        stdout=subprocess.DEVNULL,
    )
    while begun.poll() is None and len(names_in(tmp_path / "killed.partial")) < 5:
        time.sleep(0.005)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    assert not target.exists()
    build_cache(killed_cells(), target)
    assert bytes_of(target) == bytes_of(tmp_path / "whole")
    assert not target.with_name("killed.partial").exists()


def test_what_a_kill_left_behind_is_cleared_away(tmp_path: Path, expected: dict[str, bytes]):
    target, work = tmp_path / "cache", tmp_path / "cache.partial"
    with pytest.raises(KeyboardInterrupt):
        build_cache(Sequential(CELLS, cuts=range(30), breaks_at=25), target, part_cells=5)
    (work / ".part-000000000025.xyz.npz").write_bytes(b"half a part")
    (work / "joined").mkdir()
    (work / "joined" / "data.npy").write_bytes(b"half an array")
    # A gap: the parts behind it are read again.
    (work / "part-000000000010.npz").unlink()
    source = Sequential(CELLS)
    build_cache(source, target, part_cells=5)
    assert source.starts == [9]
    assert bytes_of(target) == expected
    # Killed between the last two steps: the cache is in its place, and its parts are still there.
    work.mkdir()
    (work / "part-000000000000.npz").write_bytes(b"")
    assert bytes_of(cached(Sequential(CELLS), target).folder) == expected
    assert not work.exists()


def begun(folder: Path) -> Path:
    """The folder of an unfinished cache of CELLS, with five parts of five cells."""
    source = Sequential(CELLS, cuts=range(30), breaks_at=25)
    with pytest.raises(KeyboardInterrupt):
        build_cache(source, folder, part_cells=5)
    return folder.with_name(folder.name + ".partial")


def test_parts_of_something_else_are_not_gone_on_with(tmp_path: Path):
    work = begun(tmp_path / "cache")
    source = Sequential(CELLS)
    genes = source.vocab.feature_id
    with pytest.raises(InputError, match=r"its provenance is 'cells of a test', not 'others'; delete the folder"):
        build_cache(source, tmp_path / "cache", provenance="others")
    with pytest.raises(InputError, match="genes asked for in another order"):
        build_cache(source, tmp_path / "cache", genes=genes[::-1])
    with pytest.raises(InputError, match="source gives other cells than those of the unfinished cache"):
        build_cache(Sequential(made_cells(30, seed=1)), tmp_path / "cache")
    with pytest.raises(InputError, match="source gives other cells than those of the unfinished cache"):
        build_cache(Sequential(CELLS.rows(slice(0, 20))), tmp_path / "cache")
    note = work / "made_from.json"
    said = json.loads(note.read_text())
    for change, why in (({"version": 0}, "its version is '0', not '1'"), ({"gpcp": "0.0"}, "its gpcp is '0.0'")):
        note.write_text(json.dumps(said | change))
        with pytest.raises(InputError, match=why):
            build_cache(source, tmp_path / "cache")
    note.write_text("{")
    with pytest.raises(InputError, match=r"made_from\.json is damaged"):
        build_cache(source, tmp_path / "cache")
    note.unlink()
    with pytest.raises(InputError, match=r"it has parts, but no made_from\.json"):
        build_cache(source, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("place", ["end", "middle"])
def test_a_damaged_part_is_named_and_can_be_deleted(tmp_path: Path, expected: dict[str, bytes], place: str):
    damaged = begun(tmp_path / "cache") / "part-000000000005.npz"
    whole = bytearray(damaged.read_bytes())
    data = CELLS.rows(slice(5, 10)).value_BG.data.tobytes()
    whole[whole.index(data) + 1] ^= 1
    damaged.write_bytes(whole if place == "middle" else whole[:-30])
    with pytest.raises(
        InputError, match=r"'part-000000000005\.npz' of the unfinished cache .* is damaged .*delete this"
    ):
        build_cache(Sequential(CELLS), tmp_path / "cache")
    damaged.unlink()
    build_cache(Sequential(CELLS), tmp_path / "cache")
    assert bytes_of(tmp_path / "cache") == expected


def test_folders_that_are_taken(tmp_path: Path):
    build_cache(Indexed(CELLS), tmp_path / "cache")
    with pytest.raises(InputError, match=r"is a panel cache already: open it with"):
        build_cache(Indexed(CELLS), tmp_path / "cache")
    for build in (build_cache, cached):
        with pytest.raises(InputError, match="is there and is no panel cache"):
            build(Indexed(CELLS), tmp_path)
    (tmp_path / "empty").mkdir()
    assert build_cache(Indexed(CELLS), tmp_path / "empty").n_cells == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "empty"]


def test_bad_sources(tmp_path: Path):
    with pytest.raises(InputError, match="the source has no cell"):
        build_cache(Indexed(CELLS.rows(slice(0, 0))), tmp_path / "none")
    with pytest.raises(InputError, match=rf"gives 1 cells twice, {CELLS.index.cell_id_B[4]} first"):
        build_cache(Indexed(CELLS.rows(np.array([4, 0, 4]))), tmp_path / "twice")
    with pytest.raises(InputError, match="part_cells is 0"):
        build_cache(Indexed(CELLS), tmp_path / "zero", part_cells=0)
    with pytest.raises(InputError, match=r"gene 'ENSG0000000000X' is not among"):
        build_cache(Indexed(CELLS), tmp_path / "gene", genes=["ENSG0000000000X"])
    endless = Sequential(CELLS)
    endless.n_cells = 10**15
    with pytest.raises(
        InputError, match=r"GB free, and the other 9{14}\d* cells need about .* make room and start again"
    ):
        build_cache(endless, tmp_path / "room", part_cells=10)


def test_a_source_that_failed_at_once_leaves_nothing_in_the_way(tmp_path: Path):
    with pytest.raises(InputError, match="the source has no cell"):
        build_cache(Indexed(CELLS.rows(slice(0, 0)), "none"), tmp_path / "cache")
    assert build_cache(Indexed(CELLS, "some"), tmp_path / "cache").provenance == "some"


def test_building_tells_how_many_cells_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    told: list[tuple[int, int | None]] = []
    build_cache(
        Indexed(CELLS), tmp_path / "cache", part_cells=7, on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]
    assert capsys.readouterr() == ("", "")


def test_some_genes(tmp_path: Path):
    genes = [CELLS.vocab.feature_id[i] for i in (7, 2, 4)]
    cells = build_cache(Indexed(CELLS), tmp_path / "cache", genes=genes)
    assert cells.vocab.feature_id == tuple(genes)
    assert_same_cells(all_cells(cells), all_cells(OnlyGenes(Indexed(CELLS), genes)))
    np.testing.assert_array_equal(cells.index.total_B, CELLS.index.total_B)
    assert bytes_of(cached(Indexed(CELLS), tmp_path / "cache", genes=genes).folder) == bytes_of(cells.folder)
    with pytest.raises(InputError, match="6 that it lacks"):
        cached(Indexed(CELLS), tmp_path / "cache")


def test_cached_builds_once_and_then_opens(tmp_path: Path):
    first, second = Sequential(CELLS), Sequential(CELLS)
    built = cached(first, tmp_path / "cache")
    opened = cached(second, tmp_path / "cache")
    assert (first.starts, second.starts) == ([0], [])
    assert_same_cells(all_cells(opened), all_cells(built))
    with pytest.raises(InputError, match="made from other cells: 'cells of a test', not 'others'"):
        cached(Sequential(CELLS, provenance="others"), tmp_path / "cache")
    for changed in (made_cells(30, seed=1), CELLS.rows(slice(0, 20)), CELLS):
        assert_same_cells(all_cells(cached(Indexed(changed), tmp_path / "cache")), changed.dense())
    assert bytes_of(opened.folder) == bytes_of(build_cache(Indexed(CELLS), tmp_path / "anew").folder)


def test_of_several_that_ask_at_once_one_builds(tmp_path: Path):
    sources = [Sequential(CELLS, cuts=range(30), pause=0.002) for _ in range(4)]
    found: list[CachedCells] = []
    threads = [
        threading.Thread(target=lambda source=source: found.append(cached(source, tmp_path / "cache", part_cells=3)))
        for source in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [start for source in sources for start in source.starts] == [0]
    assert len({cells.provenance for cells in found}) == 1
    assert len(found) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_what_a_source_says_of_itself():
    class Printed(Dense):
        def __repr__(self) -> str:
            return f"Printed({len(self.held)})"

    dense = CELLS.dense()
    assert provenance_of(Indexed(CELLS, "said")) == "said"
    assert provenance_of(Printed(dense)) == "Printed(30)"
    assert provenance_of(Dense(dense)) == "tests.gpcp.sources.cache.cache_sources.Dense"
    long = [provenance_of(Indexed(CELLS, "x" * 2000 + end)) for end in "ab"]
    assert long[0] != long[1]
    assert all(re.fullmatch(r"x{500}\.\.\. \(2001 characters, [0-9a-f]{32}\)", one) for one in long)


def test_simulated_cells(tmp_path: Path):
    scm = world("scale_free/10", seed=0).scm
    rng = np.random.default_rng(1)
    assay = build_assay(scm.graph.vocab, rng=rng, n_cell_types=3, n_datasets=4, p_unmeasured=0.25)
    source = SimulatedCells(scm=scm, n_cells=300, assay=assay)
    cells = cached(source, tmp_path / "cache", part_cells=77)
    assert_same_cells(all_cells(cells), all_cells(source))
    with pytest.raises(InputError, match="made from other cells"):
        cached(SimulatedCells(scm=scm, n_cells=300, assay=assay, population=1), tmp_path / "cache")


def test_a_real_file(tmp_path: Path, shared_data: Path):
    path = shared_data / "cells" / "pbmc68k_reduced.h5ad"
    source = H5adCells(path, layer="raw", gene_id="ensembl_id", missing_id="drop", cell_type="bulk_labels")
    cells = cached(source, tmp_path / "cache", part_cells=128)
    assert_same_cells(all_cells(cells), all_cells(source))
    assert cells.provenance == source.provenance


class Changing(Sequential):
    """Cells of another kind after its own."""

    def __init__(self, other: SparseCells) -> None:
        super().__init__(CELLS, cuts=range(0, 30, 10))
        self.other = other

    def sequential(self, *, start: int, batch_size: int) -> Iterator[SparseCells]:
        yield from super().sequential(start=start, batch_size=batch_size)
        yield self.other


@pytest.mark.parametrize("part_cells", [4, 10, 99])
def test_a_source_that_changes_on_the_way_is_refused(tmp_path: Path, part_cells: int):
    with pytest.raises(InputError, match="block of other genes than the source's own"):
        build_cache(Changing(made_cells(30, n_genes=8)), tmp_path / "genes", part_cells=part_cells)
    whole = made_cells(5, seed=2).dense()
    fewer = replace(whole, covariates={"dataset": whole.covariates["dataset"]})
    with pytest.raises(InputError, match="different covariates"):
        build_cache(Changing(sparse_of(fewer)), tmp_path / "covariates", part_cells=part_cells)
