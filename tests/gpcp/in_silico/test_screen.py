"""A screen against answers by hand: both forms, both kinds of files, killed and gone on with, and bad input."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.in_silico import screen, tasks
from gpcp.in_silico.cells import cells_to_screen, mean_of_genes
from gpcp.in_silico.perturbations import screened
from gpcp.in_silico.screen import ScreenResult, predict_screen
from gpcp.sources.subsets import OnlyGenes
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.gpcp.in_silico.screen_cases import GENES, VOCAB, Spreading, some_cells

SETS = [(GENES[0],), (GENES[3],), (GENES[2], GENES[0])]


def by_hand(cells: Any, genes: tuple[str, ...], to: float, *, shifts: bool = False) -> np.ndarray:
    """Expression after of every cell, (cells, genes), NaN where there is no answer."""
    after = np.where(cells.measured_BG, cells.expression_BG, np.nan)
    moved = np.zeros(len(cells))
    for gene in genes:
        before = np.where(cells.measured_BG, cells.expression_BG, np.nan)[:, VOCAB.token(gene)]
        moved += to + 0 * before if shifts else to - before
    after = after + 0.5 * moved[:, None]
    for gene in genes:
        token = VOCAB.token(gene)
        before = np.where(cells.measured_BG, cells.expression_BG, np.nan)[:, token]
        after[:, token] = np.where(np.isnan(moved), np.nan, before + to if shifts else to)
    return after


def read(path: Path) -> Any:
    return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("shifts", [False, True])
def test_every_cell(tmp_path: Path, suffix: str, shifts: bool):
    cells, out = some_cells(), tmp_path / f"screen.{suffix}"
    done = predict_screen(
        Spreading(), cells, screened(SETS, 0.7), out, shifts=shifts, form="cells", about={"model": "x"}
    )
    assert done == ScreenResult(path=out, form="cells", n_cells=5, n_perturbations=3, n_found=0)
    assert entries(tmp_path) == [out.name]
    found = read(out)
    assert found.shape == (15, 4)
    assert list(found.var_names) == list(GENES)
    assert found.var["perturbed"].tolist() == [True, False, True, True]
    assert found.var["n_cells_measured"].tolist() == [5, 5, 5, 4]
    assert found.uns["screen"]["model"] == "x"
    assert found.obs["cell_id"].tolist() == [cell for cell in range(10, 15) for _ in SETS]
    assert found.obs["cell_type"].tolist() == [kind for kind in "ababa" for _ in SETS]
    for row, genes in enumerate(SETS):
        mine = found[found.obs["perturbation"] == "+".join(genes)].X
        np.testing.assert_allclose(mine, by_hand(cells, genes, 0.7, shifts=shifts), rtol=1e-5, atol=1e-6)
        assert np.array_equal(found.X[row::3], mine, equal_nan=True)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_the_summary(tmp_path: Path, suffix: str):
    cells, out = some_cells(), tmp_path / "deeper" / f"screen.{suffix}"
    assert predict_screen(Spreading(), cells, screened(SETS, -1.0), out, form="summary").form == "summary"
    found = read(out)
    assert list(found.obs_names) == ["+".join(genes) for genes in SETS]
    assert found.obs["n_genes"].tolist() == [1, 1, 2]
    before = np.where(cells.measured_BG, cells.expression_BG, np.nan)
    for row, genes in enumerate(SETS):
        response = by_hand(cells, genes, -1.0) - before
        n = np.isfinite(response).sum(axis=0)
        np.testing.assert_array_equal(found.layers["n_cells"][row], n)
        np.testing.assert_allclose(found.X[row], np.nanmean(response, axis=0), rtol=1e-5, atol=1e-6)
        error = np.nanstd(response, axis=0, ddof=1) / np.sqrt(n)
        np.testing.assert_allclose(found.layers["standard_error"][row], error, rtol=1e-4, atol=1e-6)


def test_a_single_cell_has_no_standard_error(tmp_path: Path):
    predict_screen(Spreading(), some_cells(1), screened(SETS, 0.0), tmp_path / "one.h5ad", form="summary")
    assert np.isnan(read(tmp_path / "one.h5ad").layers["standard_error"]).all()


def test_shifts_end_at_zero_where_nothing_is_below_it(tmp_path: Path):
    cells = some_cells(negative=False)
    predict_screen(Spreading(), cells, screened([(GENES[0],)], -1.0), tmp_path / "s.h5ad", shifts=True, form="cells")
    found = read(tmp_path / "s.h5ad").X[:, 0]
    np.testing.assert_allclose(found, np.maximum(cells.expression_BG[:, 0] - 1, 0), rtol=1e-6)
    assert (found == 0).any()


def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_TASK_CELLS", 3)
    monkeypatch.setattr(tasks, "_LEAST_PERTURBATIONS", 1)
    monkeypatch.setattr(tasks, "_STEP_CELLS", 2)


@pytest.mark.parametrize("form", ["cells", "summary"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_an_interrupted_screen_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, suffix: str
):
    small_tasks(monkeypatch)
    cells, wanted, out = some_cells(), screened(SETS, 0.3), tmp_path / f"screen.{suffix}"

    def stop(n_done: int, n_total: int | None) -> None:
        assert n_total == 15
        if n_done >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_screen(Spreading(), cells, wanted, out, form=form, on_progress=stop)
    assert not out.exists()
    predictor, counts = Spreading(), list[int]()
    done = predict_screen(predictor, cells, wanted, out, form=form, on_progress=lambda n, _: counts.append(n))
    assert 0 < done.n_found < 15
    assert counts[0] == done.n_found
    assert counts[-1] == 15
    assert entries(tmp_path) == [out.name]
    whole = tmp_path / f"whole.{suffix}"
    predict_screen(Spreading(), cells, wanted, whole, form=form)
    first, second = read(out), read(whole)
    assert np.array_equal(first.X, second.X, equal_nan=True)
    for name in first.layers:
        assert np.array_equal(first.layers[name], second.layers[name], equal_nan=True)


@pytest.mark.parametrize("changed", ["predictor", "cells", "values", "journal"])
def test_what_another_screen_began_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str):
    small_tasks(monkeypatch)
    out = tmp_path / "screen.h5ad"

    def stop(n_done: int, _: int | None) -> None:
        if n_done >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_screen(Spreading(), some_cells(), screened(SETS, 0.3), out, form="cells", on_progress=stop)
    (journal,) = tmp_path.glob(".screen.partial*.json")
    if changed == "journal":
        journal.write_text("nonsense\n0\n1\n")
    cells = some_cells(4) if changed == "cells" else some_cells()
    wanted = screened(SETS, 0.4 if changed == "values" else 0.3)
    predictor = Spreading(0.25 if changed == "predictor" else 0.5)
    assert predict_screen(predictor, cells, wanted, out, form="cells").n_found == 0
    expected = np.where(cells.measured_BG, cells.expression_BG, np.nan)[:, 1]
    moved = wanted[0].values[0] - cells.expression_BG[:, 0]
    np.testing.assert_allclose(read(out).X[::3, 1], expected + predictor.strength * moved, rtol=1e-5, atol=1e-6)


def test_the_form_follows_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert predict_screen(Spreading(), some_cells(), screened(SETS, 0.0), tmp_path / "a.h5ad").form == "cells"
    monkeypatch.setattr(screen, "AUTO_BYTES", 100)
    assert predict_screen(Spreading(), some_cells(), screened(SETS, 0.0), tmp_path / "b.h5ad").form == "summary"


def test_tasks_cover_everything_once_within_their_size():
    for n_cells, n_perturbations, n_genes, by_cell in (
        (200, 1000, 1000, True), (200, 1000, 1000, False), (1, 100_000, 2000, True), (5000, 3, 20, False),
    ):  # fmt: skip
        found = tasks.tasks_of(n_cells, n_perturbations, n_genes, by_cell=by_cell)
        assert sum(map(len, found)) == n_cells * n_perturbations
        held = max(len(one) if by_cell else 6 * len(one.asked) for one in found)
        assert held * n_genes * 4 <= tasks.TASK_BYTES
        steps = [(cell, row) for one in found[:1] for step in one.steps() for cell in step.cells for row in step.asked]
        assert sorted(steps) == [(cell, row) for cell in found[0].cells for row in found[0].asked]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "screen.csv"}, "does not end in .h5ad or .zarr"),
        ({"out": "taken.h5ad"}, "exists already: remove it, or name another"),
        ({"form": "sumary"}, "form is 'sumary'; nearest: summary"),
        ({"sets": []}, "no perturbation"),
        ({"sets": [(GENES[0],), (GENES[0],)]}, "twice: name each combination once"),
        ({"sets": [("ENSG00000000009",)]}, "not among the 4 genes of the vocabulary; nearest: ENSG0000000000"),
        ({"sets": [(GENES[0], GENES[0])]}, "'ENSG00000000001' twice"),
        ({"sets": [(GENES[3],)], "n_cells": "1-2"}, "'ENSG00000000004' is measured in none of the 1 cells; nearest"),
        ({"genes": GENES[::-1]}, "other genes than the predictor, or another order"),
    ],
)
def test_bad_input(tmp_path: Path, change: dict[str, Any], message: str):
    (tmp_path / "taken.h5ad").write_text("mine")
    cells = some_cells().rows(slice(1, 2)) if "n_cells" in change else some_cells()
    predictor = Spreading()
    if "genes" in change:
        predictor.vocab = GeneVocab(feature_id=change["genes"])
    with pytest.raises(InputError, match=message):
        predict_screen(
            predictor, cells, screened(change.get("sets", SETS), 0.0), tmp_path / change.get("out", "screen.h5ad"),
            form=change.get("form", "auto"),
        )  # fmt: skip
    assert entries(tmp_path) == ["taken.h5ad"]


def test_a_disk_that_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Usage:
        free = 10

    monkeypatch.setattr(screen.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(InputError, match="ask for fewer cells or perturbations, or for the form summary"):
        predict_screen(Spreading(), some_cells(), screened(SETS, 0.0), tmp_path / "screen.h5ad")


def test_cells_of_a_source_have_the_predictors_genes():
    source = SimulatedCells(scm=world("scale_free/6").scm, n_cells=50)
    vocab = GeneVocab(feature_id=source.vocab.feature_id[::-1])
    cells = cells_to_screen(source, vocab, n_cells=7, seed=3)
    assert len(cells) == 7
    assert cells.vocab == vocab
    again = next(source.cells(batch_size=7, seed=3))
    assert np.array_equal(cells.expression_BG, again.expression_BG[:, ::-1])
    assert len(cells_to_screen(source, vocab, n_cells=999)) == 50
    with pytest.raises(InputError, match="not among the 3 genes"):
        cells_to_screen(OnlyGenes(source, vocab.feature_id[:3]), vocab)


def test_the_mean_is_over_cells_that_measure_the_gene():
    cells = some_cells().rows(slice(0, 2))
    means = mean_of_genes(cells)
    assert means[GENES[0]] == pytest.approx(cells.expression_BG[:, 0].mean())
    assert means[GENES[3]] == pytest.approx(cells.expression_BG[0, 3])
    assert set(mean_of_genes(cells.rows(slice(1, 2)))) == set(GENES[:3])
