"""Opening a Census: what is not there is said at once, in one line, with or without a network."""

import ast
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from gpcp.core.errors import InputError
from gpcp.sources.census import store as census_store
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.census.store import (
    CENSUS_VERSION,
    MEASUREMENT,
    UnreachableError,
    ValuesPlace,
    built_on,
    experiment_of,
    opened_census,
    soma_context,
)
from tests.gpcp.sources.census import census_cases as cases


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.write(cases.truth(40), tmp_path_factory.mktemp("census"))


def no_answer_from(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Send every request to a port of this machine, as the environment of a machine without network may do."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_without_network_a_release_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        no_answer_from(monkeypatch, closed.getsockname()[1])
        with pytest.raises(UnreachableError, match="cannot be reached") as caught:
            CensusCells(census_version=CENSUS_VERSION)
    for remedy in ("uri=", "aws s3 sync", CENSUS_VERSION, "simulators.census.embedded"):
        assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(census_store, "CONNECT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        no_answer_from(monkeypatch, silent.getsockname()[1])
        start = time.perf_counter()
        with pytest.raises(UnreachableError, match=r"cannot be reached \(.*timed out"):
            CensusCells(census_version="stable")
    # Not a measure of speed: without the limit it would wait until the test run is ended.
    assert time.perf_counter() - start < 60


def test_an_address_that_does_not_answer_is_refused():
    # A port of this machine at which nobody listens stands for a bucket that cannot be reached.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/census"
        with pytest.raises(InputError, match=r"127\.0\.0\.1.*(cannot be reached|is no Census)"):
            CensusCells(uri=address)


@pytest.mark.parametrize("given", [{}, {"census_version": "stable", "uri": "here"}], ids=["neither", "both"])
def test_one_of_release_and_copy_is_given(given: dict[str, Any]):
    with pytest.raises(InputError, match=f"either census_version=, such as '{CENSUS_VERSION}', or uri="):
        CensusCells(**given)


def test_a_folder_that_does_not_exist_is_refused_with_the_nearest(store: Path):
    with pytest.raises(InputError, match=r"has no folder 'sensus'; nearest: census"):
        CensusCells(uri=store.parent / "sensus" / "soma")
    with pytest.raises(InputError, match="is a file: a Census is a folder"):
        CensusCells(uri=__file__)


def test_a_folder_that_is_no_census_is_refused(store: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"is no Census: .*does not exist"):
        CensusCells(uri=tmp_path)
    with pytest.raises(InputError, match="is no Census: it has no 'census_info'"):
        CensusCells(uri=store / "census_data")
    with pytest.raises(InputError, match="is no Census"):
        CensusCells(uri=store / "census_data" / "homo_sapiens" / "obs")


@pytest.mark.parametrize(
    ("collection", "member", "message"),
    [
        ("census_data/homo_sapiens/ms/RNA", "feature_dataset_presence_matrix", "what its datasets measured"),
        ("census_data/homo_sapiens/ms", "RNA", "no measurement 'RNA'"),
        ("census_data", "homo_sapiens", "no organism 'homo_sapiens'; there are none"),
        (".", "census_data", "has no 'census_data'"),
    ],
)
def test_a_store_that_lacks_a_part_is_refused(store: Path, tmp_path: Path, collection: str, member: str, message: str):
    lacking = tmp_path / "lacking"
    shutil.copytree(store, lacking)
    cases.remove(str(lacking / collection), member)
    with pytest.raises(InputError, match=message):
        CensusCells(uri=lacking)


def test_the_day_a_census_was_built_is_perturbed_where_it_is_known(store: Path, tmp_path: Path):
    with opened_census(None, store) as census:
        assert built_on(census) in CensusCells(uri=store).provenance
        assert built_on(census)
    older = tmp_path / "older"
    shutil.copytree(store, older)
    cases.remove(str(older / "census_info"), "summary")
    with opened_census(None, older) as census:
        assert built_on(census) == ""
    assert "built" not in CensusCells(uri=older).provenance


def test_a_store_is_found_by_its_address_too(store: Path):
    assert CensusCells(uri=f"file://{store}").n_cells == CensusCells(uri=str(store)).n_cells


def test_tiledb_does_not_merge_tiles_beforehand_in_any_reading(store: Path):
    switch = "sm.query.sparse_global_order.preprocess_tile_merge"
    assert soma_context().tiledb_config[switch] == "0"
    with opened_census(None, store) as census:
        experiment = experiment_of(census, "homo_sapiens")
        for opened in (census, experiment, experiment.obs, experiment.ms[MEASUREMENT].X["normalized"]):
            assert opened.context.tiledb_config[switch] == "0"
        # The pass over the values opens the store again, with what is kept here.
        assert ValuesPlace.of(experiment, "normalized").config[switch] == "0"


OPENERS = ("tiledbsoma.", "cellxgene_census.", "Collection)", "DataFrame)", "Measurement)", "open_soma")


def opens_a_store(call: ast.Call) -> bool:
    """Whether a call opens a store of TileDB-SOMA, by the names that are used for it."""
    called = ast.unparse(call.func)
    return called.endswith((".open", ".create", "open_soma")) and any(name in called for name in OPENERS)


def test_every_store_is_opened_with_the_one_context():
    root = Path(__file__).parents[4]
    calls = [
        (path.relative_to(root), call)
        for folder in ("gpcp", "simulators", "diagnostics", "tests", "examples")
        for path in sorted((root / folder).rglob("*.py"))
        for text in (path.read_text(encoding="utf-8"),)
        if any(name in text for name in OPENERS)
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and opens_a_store(call)
    ]
    assert len(calls) >= 10
    without = [
        f"{path}:{call.lineno}" for path, call in calls if "context" not in {given.arg for given in call.keywords}
    ]
    assert not without
    made = {
        str(path.relative_to(root))
        for folder in ("gpcp", "simulators", "diagnostics", "examples")
        for path in (root / folder).rglob("*.py")
        if "SOMATileDBContext" in (text := path.read_text(encoding="utf-8")) or "get_default_soma_context" in text
    }
    assert made == {"gpcp/sources/census/store.py"}
