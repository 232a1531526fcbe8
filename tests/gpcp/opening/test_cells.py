"""Sources by name: every scheme, its options, and what is said of names that are none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from gpcp.core.cells import COVARIATES, CellBatch, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.opening.cells import OPTIONS, SCHEMES, Option, Scheme, open_annotation, open_cells
from gpcp.opening.pairs import PairOptions, open_pairs
from gpcp.panels.annotation import GeneAnnotation, annotation_of_census
from gpcp.sources.cache.build import build_cache
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.h5ad.cells import H5adCells
from simulators.census.embedded import embedded_census
from tests.gpcp.sources.h5ad.anndata_files import write_cells

GENES = tuple(f"ENSG{n:011d}" for n in range(5))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("named") / "cells.h5ad"
    counts = sp.csr_matrix(np.arange(1, 31, dtype=np.float32).reshape(6, 5))
    obs = pd.DataFrame({"kind": ["a", "b"] * 3, "lab": ["x"] * 6}, index=[f"c{i}" for i in range(6)])
    var = pd.DataFrame({"feature_type": ["protein_coding"] * 3 + ["lncRNA"] * 2}, index=list(GENES))
    write_cells(path, counts, obs, var)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("named") / "census"
    embedded_census(path, n_cells=60, n_genes=30, seed=1)
    return path


def test_an_anndata_file(file: Path):
    for text in (f"h5ad:{file}", str(file)):
        cells = open_cells(text, cell_type_key="kind", dataset_key="lab", layer=None)
        assert isinstance(cells, H5adCells)
        (batch,) = cells.cells(batch_size=10, seed=0)
        assert set(batch.covariates) == {"cell_type", "dataset"}
    assert open_cells(str(file), genes=GENES[3:1:-1]).vocab.feature_id == GENES[3:1:-1]
    assert open_annotation(str(file)).of_biotype() == set(GENES[:3])


def test_every_covariate_is_a_column_of_an_anndata_file(file: Path):
    assert set(SCHEMES["h5ad"].options) >= {f"{covariate}_key" for covariate in COVARIATES}
    for covariate in COVARIATES:
        options: dict[str, Any] = {f"{covariate}_key": "kind"}
        cells = open_cells(str(file), **options)
        (batch,) = cells.cells(batch_size=10, seed=0)
        assert {name: sorted(text_B) for name, text_B in batch.covariates.items()} == {covariate: [*"aaabbb"]}
    with pytest.raises(InputError, match=r"disease column 'knid' is not in obs of .*; nearest: kind"):
        open_cells(str(file), disease_key="knid")


def test_pairs_of_an_anndata_file_can_differ_in_their_disease(file: Path):
    options = PairOptions(match_on=(), differ_on=("disease",))
    pairs = open_pairs(f"h5ad:{file}", options, disease_key="kind").pairs
    disease_of = np.tile(["a", "b"], 3)
    batches = list(pairs.pairs(batch_size=2, seed=0))
    assert batches
    for batch in batches:
        assert (disease_of[batch.before_id_B] != disease_of[batch.after_id_B]).all()


def test_genes_may_be_a_file(file: Path, tmp_path: Path):
    (tmp_path / "genes.txt").write_text(f"{GENES[4]}.2\n{GENES[0]}\n")
    for path in (tmp_path / "genes.txt", str(tmp_path / "genes.txt")):
        assert open_cells(f"h5ad:{file}", genes=path).vocab.feature_id == (GENES[4], GENES[0])


def test_a_census(store: Path):
    cells = open_cells(f"census:{store}", tissue=["blood"], all_cells=True)
    assert isinstance(cells, CensusCells)
    assert set(cells.index.labels("tissue").text_B.tolist()) == {"blood"}
    notes = open_annotation(f"census:{store}", tissue=["blood"])
    assert notes == annotation_of_census(uri=store)
    assert {notes.biotype_of[gene] for gene in cells.vocab.feature_id} >= {"protein_coding", "lncRNA"}
    coding = [gene for gene in cells.vocab.feature_id if gene in notes.of_biotype()]
    assert open_cells(f"census:{store}", genes=coding[:2]).vocab.feature_id == tuple(coding[:2])


def test_a_release_and_a_folder_are_perturbed_apart():
    with pytest.raises(InputError, match="there is no Census 'nowhere'"):
        open_cells("census:nowhere")
    with pytest.raises(InputError, match="there is no Census '2025-11-8'"):
        open_cells("census:2025-11-8")


def test_a_cache(file: Path, tmp_path: Path):
    build_cache(open_cells(str(file)), tmp_path / "cache", genes=GENES[:4])
    name = f"cache:{tmp_path / 'cache'}"
    cached = open_cells(name)
    assert isinstance(cached, CachedCells)
    assert cached.vocab.feature_id == GENES[:4]
    assert open_annotation(name) == GeneAnnotation()
    assert isinstance(open_cells(name, genes=GENES[:4]), CachedCells)
    some = open_cells(name, genes=GENES[2:0:-1])
    assert some.vocab.feature_id == GENES[2:0:-1]
    assert len(concatenate_cells(list(some.cells(batch_size=50, seed=0)))) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cenus:stable", "is of an unknown kind 'cenus'; nearest: census"),
        ("s3://bucket/census", "is of an unknown kind 's3'"),
        ("census:", "names no place: VERSION, a release"),
        ("nowhere.h5ad", "AnnData file 'nowhere.h5ad' does not exist"),
        ("nowhere", "is no file that exists and has no kind before a colon"),
        ("some/folder:x", "is no file that exists"),
    ],
)
def test_a_name_that_is_none(text: str, message: str):
    with pytest.raises(InputError, match=message):
        open_cells(text)


def test_a_folder_says_of_no_kind(store: Path):
    with pytest.raises(InputError, match=r"is a folder: say of what kind \(h5ad:FILE"):
        open_cells(str(store))


def test_an_option_that_is_none(file: Path):
    with pytest.raises(InputError, match="option 'cel_type_key' of sources is unknown; nearest: cell_type_key"):
        open_cells(str(file), cel_type_key="kind")
    with pytest.raises(InputError, match=r"--tissue is for census sources, and '.*' is of kind h5ad: leave it out"):
        open_cells(str(file), tissue=["blood"])
    with pytest.raises(InputError, match="--nan is for h5ad and screen sources"):
        open_annotation("cache:anywhere", nan="error")


@dataclass(frozen=True, slots=True)
class NoCells:
    """A source of a scheme of somebody else's."""

    vocab: GeneVocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        return iter(())


def test_others_add_their_schemes(monkeypatch: pytest.MonkeyPatch):
    # Registered for this test alone.
    monkeypatch.setattr(SCHEMES, "_parts", {name: SCHEMES[name] for name in SCHEMES})
    monkeypatch.setattr(OPTIONS, "_parts", {name: OPTIONS[name] for name in OPTIONS})

    def made(place: str, *, genes: tuple[str, ...] | None = None, depth: int = 1) -> NoCells:
        return NoCells(GeneVocab(feature_id=tuple(f"{place}{i}" for i in range(depth)) if genes is None else genes))

    OPTIONS.register("depth")(Option(metavar="N", kind="positive", summary="how deep"))
    SCHEMES.register("made")(Scheme(summary="NAME, anything", cells=made, options=("depth",)))
    assert open_cells("made:up/20:x", depth=2).vocab.feature_id == ("up/20:x0", "up/20:x1")
    assert open_cells("made:up", genes=["a"]).vocab.feature_id == ("a",)
    assert open_annotation("made:up") == GeneAnnotation()
    with pytest.raises(InputError, match="is registered already"):
        SCHEMES.register("h5ad")(SCHEMES["h5ad"])


def test_messages_name_options_as_a_command_has_them(tmp_path: Path):
    path = tmp_path / "symbols.h5ad"
    obs = pd.DataFrame(index=[f"c{i}" for i in range(6)])
    counts = np.arange(1, 31, dtype=np.float32).reshape(6, 5)
    write_cells(path, counts, obs, pd.DataFrame(index=["TP53", "MYC", "PTEN", "GAPDH", "ACTB"]))
    with pytest.raises(
        InputError, match=r"pass --gene-symbol index \(or a column\) and --gene-table \(a CSV"
    ) as raised:
        open_cells(str(path))
    assert "=" not in str(raised.value)
    table = tmp_path / "genes.csv"
    table.write_text("ENSG00000141510,TP53,1,2629,x\nENSG00000136997,MYC,1,4515,x\n")
    given: tuple[dict[str, Any], ...] = ({"gene_symbol": "index"}, {})
    for options in given:
        cells = open_cells(str(path), gene_table=str(table), **options)
        assert cells.vocab.feature_id == ("ENSG00000141510", "ENSG00000136997")
        assert open_annotation(str(path), gene_table=str(table), **options) == GeneAnnotation()
    write_cells(path, counts, obs.assign(assay="Smart-seq2"), pd.DataFrame(index=list(GENES)))
    with pytest.raises(InputError, match="lengths with --gene-length, or --gene-length none for"):
        open_cells(str(path))
    assert len(open_cells(str(path), gene_length="none").vocab) == 5
    with pytest.raises(InputError, match=r"^--par-y is 'dorp'; nearest: drop"):
        open_cells(str(path), par_y="dorp")
    with pytest.raises(InputError, match="--gene-table is for h5ad and screen sources"):
        open_annotation("cache:anywhere", gene_table="x.csv")
