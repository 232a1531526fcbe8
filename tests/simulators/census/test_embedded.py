"""The embedded Census holds the world that it names, and is varied enough to test a loader on."""

from pathlib import Path

import numpy as np
import pytest

from diagnostics.graphs.partial_correlations import partial_within
from gpcp.core.cells import CellBatch, concatenate_cells
from gpcp.core.errors import InputError
from simulators.assay import log1p_tpm
from simulators.census.embedded import (
    ASSAYS,
    DISEASES,
    EmbeddedCensus,
    embedded_cells,
    embedded_census,
    with_isolated_genes,
)
from simulators.graphs.families import simulated_vocab
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.simulators.census.stores import Store, read_store

KNOWN = world("scale_free/8", seed=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddedCensus, Store]:
    path = tmp_path_factory.mktemp("census") / "store"
    embedded = embedded_census(path, name="scale_free/8", seed=1, n_cells=1200, n_genes=60, p_duplicate=0.1)
    return embedded, read_store(path)


def test_it_holds_what_it_says(made: tuple[EmbeddedCensus, Store]):
    embedded, store = made
    assert store.normalised_BF.shape == (1200, 60)
    assert store.var["feature_id"].tolist() == list(embedded.cells.vocab.feature_id)
    assert embedded.world.graph.vocab.feature_id == embedded.cells.vocab.feature_id[:8]
    assert set(store.obs["assay"]) == set(ASSAYS)
    assert set(store.obs["disease"]) == set(DISEASES)
    assert set(store.obs["cell_type"]) == {"type_0", "type_1"}
    assert set(store.obs["sex"]) == {"female", "male"}
    # Four donors of each of three datasets, each with one disease.
    assert len(set(store.obs["donor_id"])) == 12
    assert (store.obs.groupby("donor_id", observed=True)["disease"].nunique() == 1).all()
    assert (store.obs.groupby("donor_id", observed=True)["dataset_id"].nunique() == 1).all()
    # 1,200 draws at .1: standard deviation .0087, five of them.
    assert abs((~store.obs["is_primary_data"]).mean() - 0.1) < 0.044
    assert {"lncRNA", "protein_coding"} == set(store.var["feature_type"])
    assert set(store.var["feature_type"][:8]) == {"protein_coding"}


def test_datasets_measure_the_world_and_each_its_own_background(made: tuple[EmbeddedCensus, Store]):
    present_SG = made[1].presence_SF.astype(np.bool_)
    assert present_SG[:, :8].all()
    assert (~present_SG[:, 8:]).sum(axis=1).tolist() == [round(0.2 * 52)] * 3
    assert len({row.tobytes() for row in present_SG}) == 3


@pytest.mark.parametrize("scaling", ["iscm", "raw", "standardised"])
def test_background_genes_leave_a_linear_world_as_it_is(scaling: str):
    known = world(f"scale_free/8/{scaling}", seed=2)
    scm = embedded_cells(known, n_cells=1, n_genes=30).scm
    for larger, own in zip(scm.linear_form(), known.scm.linear_form(), strict=True):
        inner = larger[:8, :8] if larger.ndim == 2 else larger[:8]
        assert np.allclose(inner, own, rtol=1e-12)
    assert not scm.graph.weight_GG[8:].any()
    assert not scm.graph.weight_GG[:, 8:].any()


def test_the_same_seed_gives_the_same_cells_and_another_one_others():
    def values(seed: int) -> bytes:
        cells = embedded_cells(world("scale_free/8", seed=seed), n_cells=50, n_genes=20)
        return concatenate_cells(list(cells.cells(batch_size=50, seed=0))).expression_BG.tobytes()

    assert values(3) == values(3)
    assert values(3) != values(4)


def test_tpm_hardly_couple_the_worlds_genes():
    """Where nothing acts on anything and counting is exact, the closure over all genes is all that correlates."""
    cells = embedded_cells(world("scale_free/8"), n_cells=4000, n_genes=200, n_cell_types=1)
    assert cells.assay is not None
    rng = np.random.default_rng(0)
    latent_BG = rng.standard_normal((4000, 200))
    share_BG = cells.assay.proportions(latent_BG, np.zeros(4000, dtype=np.int64))
    log_BG = log1p_tpm(np.rint(share_BG * 1e9).astype(np.int64))
    batch = CellBatch(
        vocab=simulated_vocab(8),
        expression_BG=np.ascontiguousarray(log_BG[:, :8]),
        measured_BG=np.ones((4000, 8), dtype=np.bool_),
        cell_id_B=np.arange(4000),
        covariates={"cell_type": np.full(4000, "type_0")},
    )
    # A partial correlation of nothing has standard error .016 here; those of the world's edges are from .2 up.
    assert np.abs(partial_within(batch)).max() < 0.1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_genes": 5}, "n_genes is 5, but the world has 20"),
        ({"name": "scalefree/20"}, "has no known family"),
        ({"n_cells": 0}, "n_cells is 0"),
        ({"n_datasets": 0}, "embedded_census.n_datasets is 0: it must be at least 1"),
        ({"n_cell_types": 0}, "embedded_census.n_cell_types is 0"),
        ({"n_donors": 0}, "embedded_census.n_donors is 0"),
        ({"p_unmeasured": 1.5}, "embedded_census.p_unmeasured is 1.5"),
        ({"p_duplicate": -0.1}, "embedded_census.p_duplicate is -0.1"),
        ({"library_size": 0.0}, "Assay.library_size is 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, object], match: str, tmp_path: Path):
    with pytest.raises(InputError, match=match):
        embedded_census(tmp_path / "store", **options)  # pyright: ignore[reportArgumentType]
    assert list(tmp_path.iterdir()) == []


def test_a_world_alone_needs_no_background():
    cells = embedded_cells(KNOWN, n_cells=30, n_genes=8)
    assert isinstance(cells, SimulatedCells)
    assert cells.vocab == KNOWN.graph.vocab
    assert cells.assay is not None
    assert cells.assay.measured_SG.all()


def test_other_vocabularies_are_refused():
    graph = KNOWN.graph
    other = type(graph)(vocab=type(graph.vocab)(feature_id=tuple("abcdefgh")), weight_GG=graph.weight_GG)
    with pytest.raises(InputError, match="background genes are added to simulated ones only"):
        with_isolated_genes(other, 10)
