"""A store of the Census's shape: what goes in comes out, and nothing half written is ever there."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.genes import ENSEMBL_GENE, GeneVocab
from gpcp.sources.assays import full_length
from simulators.assay import build_assay
from simulators.census.export import ExportSummary, export_census
from simulators.census.spool import N_FILLERS
from simulators.census.tables import DEFAULT_LABEL, TERM_ID
from simulators.counted import CountedBatch
from simulators.graphs.families import simulated_vocab
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.simulators.census.stores import Listed, Store, read_store
from tests.source_tree import REPO

KNOWN = world("scale_free/12")
ASSAY = build_assay(
    KNOWN.graph.vocab,
    rng=np.random.default_rng(0),
    n_cell_types=2,
    n_datasets=3,
    p_unmeasured=0.25,
    library_size=300,
)
SOURCE = SimulatedCells(scm=KNOWN.scm, n_cells=400, assay=ASSAY)
LENGTH = {gene: 500 * (1 + number % 4) for number, gene in enumerate(SOURCE.vocab.feature_id)}
LABELS = {
    "assay": {"dataset_1": "Smart-seq2"},
    "disease": lambda cells: np.where(cells.cell_id_B % 2 == 0, "normal", "COVID-19"),
    "tissue": "blood",
}


def counted(source: SimulatedCells) -> CountedBatch:
    """All cells with their counts, by ascending id."""
    [whole] = source.counted(batch_size=source.n_cells, seed=5)
    return whole.rows(np.argsort(whole.cells.cell_id_B))


def by_id(obs: Any) -> NDArray[np.int64]:
    """Rows of the store by ascending id of the source."""
    return np.argsort(obs["observation_joinid"].to_numpy().astype(np.int64))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportSummary, Store]:
    path = tmp_path_factory.mktemp("census") / "store"
    summary = export_census(
        SOURCE,
        path,
        labels=LABELS,
        is_primary=lambda cells: cells.cell_id_B % 5 != 0,
        feature_length=LENGTH,
        feature_type={SOURCE.vocab.feature_id[3]: "lncRNA"},
        feature_name={SOURCE.vocab.feature_id[0]: "TP53"},
    )
    return summary, read_store(path)


def test_the_loaders_formula_gives_the_values_back(written: tuple[ExportSummary, Store]):
    store, whole = written[1], counted(SOURCE)
    value_BF = np.log1p(1e6 * store.normalised_BF[by_id(store.obs)].astype(np.float64)).astype(np.float32)
    # The share is off by 2^-24 of itself at most, its logarithm by less than half of float32's last bit above 1.
    assert np.array_equal(value_BF, whole.cells.expression_BG)
    assert np.array_equal(store.normalised_BF > 0, store.raw_BF > 0)


def test_a_row_sums_to_one(written: tuple[ExportSummary, Store]):
    # 12 roundings of 2^-24 each, and those of the values.
    assert np.abs(written[1].normalised_BF.sum(axis=1, dtype=np.float64) - 1).max() < 2e-6


def test_raw_counts_are_the_assays(written: tuple[ExportSummary, Store]):
    store, whole = written[1], counted(SOURCE)
    raw_BG = store.raw_BF[by_id(store.obs)]
    umi_B = whole.cells.covariates["dataset"] != "dataset_1"
    assert np.array_equal(raw_BG[umi_B], whole.count_BG[umi_B])
    # A full-length assay reads a transcript more often the longer it is: once for the shortest gene.
    reads_G = np.array(list(LENGTH.values())) // 500
    assert np.array_equal(raw_BG[~umi_B], (whole.count_BG * reads_G)[~umi_B])


def test_normalised_is_what_the_schema_makes_of_raw(written: tuple[ExportSummary, Store]):
    store = written[1]
    full_B = store.obs["assay"].isin(full_length(store.obs["assay"])).to_numpy()
    per_base_BF = store.raw_BF / np.where(full_B[:, None], store.var["feature_length"].to_numpy(), 1)
    # Lengths are multiples of the shortest, so that no count was rounded; the rest is float32.
    assert np.allclose(store.normalised_BF, per_base_BF / per_base_BF.sum(axis=1, keepdims=True), rtol=2e-6, atol=0)
    assert 0 < full_B.sum() < len(full_B)


def test_obs_says_what_the_source_says(written: tuple[ExportSummary, Store]):
    summary, store = written
    whole = counted(SOURCE).cells
    obs = store.obs.iloc[by_id(store.obs)]
    assert obs["observation_joinid"].tolist() == [str(cell_id) for cell_id in whole.cell_id_B.tolist()]
    assert obs["dataset_id"].tolist() == whole.covariates["dataset"].tolist()
    assert obs["cell_type"].tolist() == whole.covariates["cell_type"].tolist()
    assert obs["disease"].tolist() == LABELS["disease"](whole).tolist()
    assert obs["is_primary_data"].tolist() == (whole.cell_id_B % 5 != 0).tolist()
    assert set(obs["tissue"]) == set(obs["tissue_general"]) == {"blood"}
    assert set(obs.loc[obs["dataset_id"] == "dataset_1", "assay"]) == {"Smart-seq2"}
    assert set(obs.loc[obs["dataset_id"] != "dataset_1", "assay"]) == {DEFAULT_LABEL["assay"]}
    assert set(obs.loc[obs["assay"] == "Smart-seq2", "assay_ontology_term_id"]) == {"EFO:0008931"}
    assert summary.n_cells == len(obs) == 400
    assert summary.counted


def test_every_text_but_one_is_dictionary_encoded_and_none_is_empty(written: tuple[ExportSummary, Store]):
    obs = written[1].obs
    for column in (*DEFAULT_LABEL, *(f"{column}_ontology_term_id" for column in TERM_ID)):
        assert obs[column].dtype.name == "category", column
        assert not obs[column].isna().any(), column
        assert (obs[column] != "").all(), column
    assert obs["observation_joinid"].dtype.name != "category"
    numbers = {"raw_sum": "float64", "raw_mean_nnz": "float64", "nnz": "int64", "n_measured_vars": "int64"}
    assert {name: obs[name].dtype.name for name in numbers} == numbers


def test_obs_and_var_count_what_the_matrices_hold(written: tuple[ExportSummary, Store]):
    summary, store = written
    obs, var, raw_BF = store.obs, store.var, store.raw_BF.astype(np.float64)
    assert np.array_equal(obs["raw_sum"], raw_BF.sum(axis=1))
    assert np.array_equal(obs["nnz"], (raw_BF > 0).sum(axis=1))
    seen = [row[row > 0] for row in raw_BF]
    assert np.allclose(obs["raw_mean_nnz"], [row.mean() for row in seen])
    assert np.allclose(obs["raw_variance_nnz"], [row.var(ddof=1) for row in seen])
    assert np.array_equal(var["nnz"], (raw_BF > 0).sum(axis=0))
    dataset_B = obs["dataset_id"].cat.codes.to_numpy()
    assert np.array_equal(obs["n_measured_vars"], store.presence_SF.sum(axis=1)[dataset_B])
    assert np.array_equal(var["n_measured_obs"], store.presence_SF[dataset_B].sum(axis=0))
    assert summary.n_values == (raw_BF > 0).sum()
    for name in ("feature_name", "feature_type", "feature_length"):
        assert (var[name] != "").all()
    assert var["feature_id"].tolist() == list(SOURCE.vocab.feature_id)
    assert var["feature_name"].tolist() == ["TP53", *SOURCE.vocab.feature_id[1:]]
    assert var["feature_type"].tolist() == ["lncRNA" if gene == 3 else "protein_coding" for gene in range(12)]
    assert var["feature_length"].tolist() == list(LENGTH.values())


def test_datasets_lie_side_by_side_and_the_presence_matrix_is_theirs(written: tuple[ExportSummary, Store]):
    summary, store = written
    names = store.info["datasets"]["dataset_id"].tolist()
    assert names == list(summary.datasets) == ["dataset_0", "dataset_1", "dataset_2"]
    assert store.obs["dataset_id"].tolist() == [name for name, n in summary.datasets.items() for _ in range(n)]
    assert store.info["datasets"]["dataset_total_cell_count"].tolist() == list(summary.datasets.values())
    assert np.array_equal(store.presence_SF, ASSAY.measured_SG)
    assert np.array_equal(store.obs["soma_joinid"], np.arange(400))
    # Within a dataset the source's ids ascend, whatever order it gave its cells in.
    for name in names:
        ids = store.obs.loc[store.obs["dataset_id"] == name, "observation_joinid"].to_numpy().astype(np.int64)
        assert (np.diff(ids) > 0).all()


def test_the_summaries_add_up(written: tuple[ExportSummary, Store]):
    info, obs = written[1].info, written[1].obs
    assert set(info) == {"summary", "datasets", "summary_cell_counts", "organisms"}
    said = dict(zip(info["summary"]["label"], info["summary"]["value"], strict=True))
    assert (said["total_cell_count"], said["unique_cell_count"]) == ("400", str(int(obs["is_primary_data"].sum())))
    counts = info["summary_cell_counts"]
    assert set(counts.groupby("category")["total_cell_count"].sum()) == {400}
    assert info["organisms"]["organism"].tolist() == ["homo_sapiens"]
    assert info["organisms"]["organism_label"].tolist() == ["Homo sapiens"]


@st.composite
def sources(draw: st.DrawFn) -> Listed:
    """A few cells of log1p(TPM) that sum to a million or less, of up to three datasets that measure what they like."""
    n_genes, n_cells, n_datasets = draw(st.integers(1, 5)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dataset_B = rng.integers(n_datasets, size=n_cells)
    measured_BG = (rng.random((n_datasets, n_genes)) < draw(st.sampled_from((0.3, 1.0))))[dataset_B]
    weight_BG = rng.exponential(size=(n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < 0.7) * measured_BG
    total_B = np.maximum(weight_BG.sum(axis=1), 1e-9) / draw(st.sampled_from((1.0, 0.999, 0.1)))
    covariates = {"dataset": np.array([f"set {number}" for number in range(3)])[dataset_B]}
    if draw(st.booleans()):
        covariates["donor"] = np.array(["a", "b", ""])[rng.integers(3, size=n_cells)]
    return Listed(
        batch=CellBatch(
            vocab=simulated_vocab(n_genes),
            expression_BG=np.log1p(1e6 * weight_BG / total_B[:, None]).astype(np.float32),
            measured_BG=measured_BG,
            cell_id_B=rng.permutation(1000)[:n_cells],
            covariates=covariates,
        )
    )


@pytest.mark.slow
@settings(max_examples=15)  # a store takes .2 s: some 70 files
@given(source=sources(), full=st.booleans())
def test_any_values_come_back_and_fillers_make_up_the_million(source: Listed, full: bool):
    batch = source.batch.rows(np.argsort(source.batch.cell_id_B))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        summary = export_census(
            source, path, labels={"assay": "Smart-seq2"} if full else {}, depth=5_000, feature_length=2_000
        )
        store = read_store(path)
    n_genes = len(batch.vocab)
    rows = by_id(store.obs)
    shares_BF = store.normalised_BF[rows].astype(np.float64)
    value_BG = np.log1p(1e6 * shares_BF[:, :n_genes]).astype(np.float32)
    # To the last bit above 1, as above; below, the share's own rounding of 2^-24 of the value and that of float32.
    assert np.array_equal(value_BG[batch.expression_BG > 1], batch.expression_BG[batch.expression_BG > 1])
    assert np.allclose(value_BG, batch.expression_BG, rtol=2e-7, atol=0)
    assert np.abs(shares_BF.sum(axis=1) - 1).max() < 1e-5
    assert summary.n_fillers in (0, N_FILLERS)
    assert store.normalised_BF.shape[1] == len(store.var) == n_genes + summary.n_fillers
    assert all(ENSEMBL_GENE.match(gene) for gene in store.var["feature_id"])
    fillers = store.var["feature_type"][n_genes:]
    assert set(fillers) <= {"filler"}
    lacks_B = 1 - np.expm1(batch.expression_BG.astype(np.float64)).sum(axis=1) / 1e6 > 1e-5
    assert np.array_equal((shares_BF[:, n_genes:] > 0).any(axis=1), lacks_B)
    assert lacks_B.any() == (summary.n_fillers > 0)
    # Counts are whole, there where the values are, and add up to the depth: rounded by .5 each, or up to 1.
    raw_BF = store.raw_BF[rows]
    assert np.array_equal(raw_BF, np.rint(raw_BF))
    assert np.array_equal(raw_BF > 0, shares_BF > 0)
    assert np.abs(raw_BF.sum(axis=1) - 5_000).max() <= n_genes + N_FILLERS
    assert not summary.counted
    # The presence matrix is the dataset's measured genes, row by joinid of census_info.datasets.
    names = store.info["datasets"]["dataset_id"].tolist()
    assert names == sorted(set(batch.covariates["dataset"].tolist()))
    row_B = np.array([names.index(name) for name in batch.covariates["dataset"].tolist()])
    assert np.array_equal(store.presence_SF[row_B, :n_genes], batch.measured_BG)
    if "donor" in batch.covariates:
        given_donors = [donor or "unknown" for donor in batch.covariates["donor"].tolist()]
        assert store.obs["donor_id"].iloc[rows].tolist() == given_donors


def listed(**fields: Any) -> Listed:
    """Two cells of two genes, changed."""
    batch = CellBatch(
        vocab=simulated_vocab(2),
        expression_BG=np.full((2, 2), np.log1p(5e5), dtype=np.float32),
        measured_BG=np.ones((2, 2), dtype=np.bool_),
        cell_id_B=np.array([7, 9]),
    )
    return Listed(batch=replace(batch, **fields))


def bare(value: float) -> NDArray[np.float32]:
    return np.full((2, 2), value, dtype=np.float32)


PARTLY = {
    "measured_BG": np.array([[True, True], [True, False]]),
    "expression_BG": np.diag([1.0, 0.0]).astype(np.float32),
}


@pytest.mark.parametrize(
    ("source", "options", "match"),
    [
        (
            listed(expression_BG=bare(-1)),
            {},
            "is -1, and log1p.TPM. is never below 0: a world in its own units needs an",
        ),
        (listed(expression_BG=bare(13.3)), {}, "the TPM of cell . sum to .*, more than a million"),
        (listed(expression_BG=bare(1e4)), {}, "more than a million: the values are not log1p"),
        (listed(cell_id_B=np.array([7, 7])), {}, "gives cell 7 2 times"),
        (listed(**PARTLY), {}, "dataset 'dataset_0' measures ENSSIMG00000000001 in one of the cells . and . but not"),
        (Listed(batch=listed().batch.rows(slice(0, 0))), {}, "the source has no cell"),
        (
            SimulatedCells(scm=KNOWN.scm, n_cells=5),
            {},
            "without an assay are in the world's own units .*: give them one",
        ),
        (listed(), {"organism": "Homo sapiens"}, "organism is 'Homo sapiens': write it as the Census does"),
        (listed(), {"labels": {"tissues": "blood"}}, "labels names 'tissues'.*; nearest: tissue"),
        (listed(), {"labels": {"dataset_id": {}}}, "maps datasets to datasets"),
        (listed(), {"labels": {"sex": lambda cells: np.zeros(1)}}, r"labels\['sex'\] gives shape \(1,\)"),
        (listed(), {"is_primary": lambda cells: cells.cell_id_B}, "is_primary gives shape .* and dtype int64"),
        (listed(), {"feature_length": {"ENSSIMG1": 5}}, "feature_length names gene 'ENSSIMG1'; nearest"),
        (listed(), {"feature_name": {"TP53": "p"}}, "feature_name names gene 'TP53'"),
        (listed(), {"feature_length": 0}, "feature_length of ENSSIMG00000000000 is 0: it must be at least 1"),
        (listed(), {"depth": 0.0}, "depth is 0.0: it must be above 0"),
        (listed(), {"depth": 1e9}, "exact below 16777216; lower depth"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(source: Any, options: dict[str, Any], match: str, tmp_path: Path):
    with pytest.raises(InputError, match=match):
        export_census(source, tmp_path / "store", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_can_be_split_by_what_is_measured(tmp_path: Path):
    split = {"dataset_id": lambda cells: np.where(cells.measured_BG[:, 1], "both", "one")}
    export_census(listed(**PARTLY), tmp_path / "store", labels=split)
    assert read_store(tmp_path / "store").presence_SF[:, :2].tolist() == [[1, 1], [1, 0]]


class Contradicting:
    """Counts that are not above 0 where the values are."""

    vocab = SOURCE.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        return SOURCE.cells(batch_size=batch_size, seed=seed)

    def counted(self, *, batch_size: int, seed: int) -> Iterator[CountedBatch]:
        for batch in SOURCE.counted(batch_size=batch_size, seed=seed):
            yield CountedBatch(cells=batch.cells, count_BG=batch.count_BG[::-1].copy())


def test_counts_that_contradict_the_values_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"the source's counted\(\) and cells\(\) contradict each other"):
        export_census(Contradicting(), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_cell_without_any_count_stays_empty(tmp_path: Path):
    shallow = replace(SOURCE, n_cells=60, assay=replace(ASSAY, library_size=1.0))
    summary = export_census(shallow, tmp_path / "store")
    store = read_store(tmp_path / "store")
    empty_B = ~counted(shallow).count_BG.any(axis=1)
    assert 0 < empty_B.sum() < 60
    assert f"{empty_B.sum()} cells without any count are empty" in summary.summary
    assert np.array_equal(np.any(store.normalised_BF, axis=1)[by_id(store.obs)], ~empty_B)
    assert summary.n_fillers == 0


class Failing:
    """Gives a batch, then fails, or has its process killed."""

    vocab = GeneVocab(feature_id=listed().vocab.feature_id)

    def __init__(self, killed: bool) -> None:
        self._killed = killed

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        yield from listed().cells(batch_size=batch_size, seed=seed)
        if self._killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("the disk is gone")


def test_a_failure_leaves_nothing_and_an_old_store_alone(tmp_path: Path):
    path = tmp_path / "store"
    with pytest.raises(OSError, match="the disk is gone"):
        export_census(Failing(killed=False), path)
    assert list(tmp_path.iterdir()) == []
    export_census(listed(), path)
    with pytest.raises(OSError, match="the disk is gone"):
        export_census(Failing(killed=False), path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert len(read_store(path).obs) == 2


@pytest.mark.slow
def test_a_killed_process_leaves_no_store(tmp_path: Path):
    path = tmp_path / "store"
    code = (
        "from simulators.census.export import export_census; from tests.simulators.census.test_export import Failing\n"
        f"export_census(Failing(killed=True), {str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    # What is left lies beside it, hidden, and hinders nobody.
    assert not path.exists()
    export_census(listed(), path)
    assert len(read_store(path).obs) == 2


def test_what_exists_is_replaced_only_on_demand_and_only_a_store(tmp_path: Path):
    path = tmp_path / "store"
    export_census(listed(), path)
    with pytest.raises(InputError, match="exists: give another path, or overwrite=True to replace it"):
        export_census(listed(), path)
    export_census(listed(cell_id_B=np.array([1, 2])), path, overwrite=True)
    assert read_store(path).obs["observation_joinid"].tolist() == ["1", "2"]
    (tmp_path / "mine").mkdir()
    export_census(listed(), tmp_path / "mine", overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter_1").write_text("It was")
    with pytest.raises(InputError, match="is no Census store, and overwrite=True replaces nothing else"):
        export_census(listed(), tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter_1").read_text() == "It was"


def test_a_store_can_be_moved(tmp_path: Path):
    export_census(listed(), tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    assert len(read_store(tmp_path / "elsewhere").obs) == 2


def test_an_export_reports_how_many_cells_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    seen: list[int] = []
    summary = export_census(listed(), tmp_path / "store", on_progress=lambda done, total: seen.append(done))
    assert seen[-1] == summary.n_cells
    assert capsys.readouterr() == ("", "")


def test_a_store_is_the_same_whatever_the_pieces_in_which_it_is_written(
    written: tuple[ExportSummary, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("simulators.census.spool.PIECE_ENTRIES", 100)  # a dozen cells
    export_census(
        SOURCE,
        tmp_path / "store",
        labels=LABELS,
        is_primary=lambda cells: cells.cell_id_B % 5 != 0,
        feature_length=LENGTH,
        feature_type={SOURCE.vocab.feature_id[3]: "lncRNA"},
        feature_name={SOURCE.vocab.feature_id[0]: "TP53"},
    )
    store = read_store(tmp_path / "store")
    for name in ("raw_BF", "normalised_BF", "presence_SF"):
        assert np.array_equal(getattr(store, name), getattr(written[1], name))
    assert store.obs.equals(written[1].obs)
    assert store.var.equals(written[1].var)


def test_another_organism_has_another_experiment(tmp_path: Path):
    export_census(listed(), tmp_path / "store", organism="mus_musculus")
    info = read_store(tmp_path / "store", "mus_musculus").info
    assert info["organisms"]["organism_ontology_term_id"].tolist() == ["NCBITaxon:10090"]


def test_counts_come_with_the_cells_of_the_same_pass():
    cells = concatenate_cells(list(SOURCE.cells(batch_size=50, seed=3)))
    parts = list(SOURCE.counted(batch_size=70, seed=3))
    together = concatenate_cells([part.cells for part in parts])
    assert [len(part) for part in parts] == [70] * 5 + [50]
    assert together.expression_BG.tobytes() == cells.expression_BG.tobytes()
    assert np.array_equal(together.cell_id_B, cells.cell_id_B)
    count_BG = np.concatenate([part.count_BG for part in parts])
    share_BG = count_BG / count_BG.sum(axis=1, keepdims=True)
    assert np.allclose(np.log1p(1e6 * share_BG), cells.expression_BG, rtol=1e-6)
