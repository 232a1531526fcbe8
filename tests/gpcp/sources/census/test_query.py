"""Filters of a Census: the cells they leave are those that a look at every cell leaves, and a wrong one is refused."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiledbsoma
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.census.query import FILTERS, categories, conditions, labels_of, read_obs
from gpcp.sources.census.store import soma_context
from tests.gpcp.sources.census import census_cases as cases

KNOWN = cases.truth()
VALUES = {name: sorted(set(texts.tolist())) for name, texts in KNOWN.text_of.items() if name in FILTERS}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.write(KNOWN, tmp_path_factory.mktemp("census"))


@pytest.fixture(scope="module")
def obs(store: Path) -> Generator[Any, None, None]:
    with tiledbsoma.open(str(store / "census_data" / "homo_sapiens" / "obs"), context=soma_context()) as opened:
        yield opened


def wanted() -> st.SearchStrategy[dict[str, Any]]:
    """For any of the filters one category or several, in any order, twice too."""
    choices = {
        name: st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=4))
        for name, values in VALUES.items()
    }
    return st.fixed_dictionaries({}, optional=choices)


@given(choice=wanted(), primary=st.sampled_from([True, False, None]), at_least=st.one_of(st.none(), st.integers(1, 12)))
@settings(max_examples=40)
def test_a_query_leaves_the_cells_that_meet_every_filter(
    obs: Any, choice: dict[str, Any], primary: bool | None, at_least: int | None
):
    kept_N = np.ones(cases.N_CELLS, dtype=np.bool_)
    for name, values in choice.items():
        kept_N &= np.isin(KNOWN.text_of[name], [values] if isinstance(values, str) else values)
    if primary is not None:
        kept_N &= KNOWN.primary_N == primary
    if at_least is not None:
        kept_N &= (KNOWN.count_NG > 0).sum(axis=1) >= at_least
    value_filter = None if at_least is None else f"nnz > {at_least} or nnz == {at_least}"
    found, _ = conditions(obs, choice, is_primary_data=primary, value_filter=value_filter)
    if kept_N.any():
        table = read_obs(obs, found, ["soma_joinid"])
        assert table["soma_joinid"].to_pylist() == np.flatnonzero(kept_N).tolist()
    else:
        with pytest.raises(InputError, match="no cell of the Census meets all of the filters"):
            read_obs(obs, found, ["soma_joinid"])


def test_an_empty_query_says_how_many_cells_each_filter_alone_leaves(store: Path):
    n_tongue = int((KNOWN.set_N > 0).sum())
    n_first = int((KNOWN.set_N == 0).sum())
    message = (
        f"tissue_general == 'tongue': {n_tongue}; dataset_id == 'dataset_0': {n_first}; "
        f"is_primary_data == True: {int(KNOWN.primary_N.sum())} of 400 cells"
    )
    with pytest.raises(InputError, match=message):
        CensusCells(uri=store, tissue_general="tongue", dataset="dataset_0")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cell_type": "T cel"}, r"cell_type 'T cel' is not in the Census; nearest: T cell"),
        ({"cell_type": ["B cell", "t cell"]}, r"cell_type 't cell' is not in the Census; nearest: T cell"),
        ({"assay": "10x 3' v9"}, r"nearest: 10x 3' v\d"),
        ({"dataset": "dataset_7"}, r"dataset 'dataset_7' .*nearest: dataset_\d"),
        ({"tissue": "tongue"}, r"is not a tissue of the Census but a tissue_general"),
        ({"tissue_general": "bloo"}, r"nearest: blood"),
        ({"disease": "common cold"}, r"only together with others: ask for 'COVID-19 \|\| common cold'"),
        ({"cell_type": []}, r"names no category"),
        ({"organism": "homo"}, r"no organism 'homo'; nearest: homo_sapiens"),
        ({"genes": ["ENSG00000000008"]}, r"'ENSG00000000008' of genes= .*nearest: ENSG"),
        ({"genes": ["ENSG00000000007", "ENSG00000000007.2"]}, r"each gene may occur once"),
        ({"genes": []}, r"at least one gene"),
        ({"io_batch_size": 0}, r"io_batch_size is 0"),
        ({"shuffle_chunk": -1}, r"shuffle_chunk is -1"),
        ({"value_filter": "nnz >"}, r"'nnz >' cannot be read: invalid syntax"),
        ({"value_filter": "nnz > 1) or (nnz < 2"}, r"cannot be read: unmatched '\)'"),
        ({"value_filter": ""}, r"cannot be read"),
        ({"value_filter": "nnz"}, r"no condition on cells: compare a column"),
        ({"value_filter": "nnz == 'many'"}, r"no condition on cells: .*Cannot cast"),
        ({"value_filter": "nnz + 1"}, r"no condition on cells"),
        ({"value_filter": "nz > 3"}, r"names 'nz', which is no column of obs \(nearest: nnz"),
        ({"value_filter": "cell_type == Tcell"}, r"names 'Tcell'.*text needs quotes"),
        ({"value_filter": "attr('celltype') == 'T cell'"}, r"no column 'celltype'; nearest: cell_type"),
        ({"value_filter": "cell_type in ['T cell', 'C cell']"}, r"cell_type 'C cell' is not in the Census"),
        ({"value_filter": "nnz > 0 and sex == 'woman'"}, r"sex 'woman' is not in the Census"),
    ],
    ids=str,
)
def test_a_wrong_query_is_refused_in_one_line(store: Path, asked: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message) as caught:
        CensusCells(uri=store, **asked)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_cells_with_two_diseases_are_of_neither_and_that_is_said(store: Path):
    alone = CensusCells(uri=store, disease="COVID-19", is_primary_data=None)
    assert alone.n_cells == int((KNOWN.text_of["disease"] == "COVID-19").sum())
    assert "disease is exactly that, which leaves out 'COVID-19 || common cold'" in alone.provenance
    both = CensusCells(uri=store, disease=["COVID-19", "COVID-19 || common cold"], is_primary_data=None)
    assert both.n_cells == int((KNOWN.text_of["disease"] != "normal").sum())
    assert "leaves out" not in both.provenance


def test_provenance_is_a_line_that_tells_the_query(store: Path):
    cells = CensusCells(
        uri=store, organism="Homo sapiens", cell_type=("T cell", "B cell"), value_filter="nnz > 3 or nnz < 2"
    )
    n_perturbed = cells.provenance
    assert "\n" not in n_perturbed
    for part in (str(store), "cell_type in ['T cell', 'B cell']", "is_primary_data == True", "(nnz > 3 or nnz < 2)"):
        assert part in n_perturbed
    assert f"{cells.n_cells} cells of 3 datasets, 14 genes; log1p" in n_perturbed
    assert n_perturbed in repr(cells)


def test_a_dataset_that_measured_nothing_of_the_panel_is_perturbed(store: Path):
    dataset, gene = (int(i) for i in np.argwhere(~KNOWN.measured_SG)[0])
    cells = CensusCells(uri=store, genes=[KNOWN.vocab.feature_id[gene]])
    assert f"nothing of the panel was measured in 'dataset_{dataset}'" in cells.provenance


def test_categories_are_those_of_the_column_with_a_dictionary_or_without(obs: Any, store: Path):
    assert set(categories(obs, "cell_type")) == set(cases.TYPES)
    # The genes' names have no dictionary; any other column of text is looked through like them.
    with tiledbsoma.open(f"{cases.measurement_uri(store)}/var", context=soma_context()) as var:
        assert categories(var, "feature_id") == sorted(KNOWN.vocab.feature_id)


@given(
    entries=st.lists(st.sampled_from(["T cell", "B cell", "", "µ"]), max_size=4),
    codes=st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=9),
    n_first=st.integers(0, 9),
)
def test_labels_are_the_texts_of_a_column(entries: list[str], codes: list[int | None], n_first: int):
    coded = [code if code is not None and code < len(entries) else None for code in codes]
    chunks = [
        pa.DictionaryArray.from_arrays(pa.array(part, pa.int8()), pa.array(entries, pa.large_string()))
        for part in (coded[:n_first], coded[n_first:])
    ]
    column = pa.chunked_array(chunks)
    expected = ["" if code is None else entries[code] for code in coded]
    for one in (column, column.cast(pa.large_string())):
        labels = labels_of(one)
        assert labels.text_B.tolist() == expected
        assert labels.names.tolist() == sorted(set(expected))
