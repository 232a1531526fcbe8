"""``gpcp predict-screen`` as its users meet it: on worlds and files, gone on with, and when asked for nonsense."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from diagnostics.commands.screens.predict_screen import command
from gpcp.core.predictors import Perturbation
from gpcp.in_silico.screen import FORMS
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.opening.cells import open_cells
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from gpcp.training.trained import trained_predictor
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.commands.verbs import calling

main = calling("predict-screen")
SOURCE = ["--source", "synthetic:chain/4", "--n-cells", "50"]
GENES = world("chain/4").graph.vocab.feature_id
A, B, C, D = GENES


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("trained") / "checkpoint.pt"
    pairs = SimulatedPairs(scm=world("chain/4").scm, regime="interventional", n_pairs=500)
    fit(GenePerturbationTransformer(preset("default", 4)), pairs, FitConfig(n_steps=8, batch_size=16), checkpoint=path)
    return str(path)


def test_every_gene_of_every_cell(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "screen.h5ad"
    assert main([checkpoint, *SOURCE, "--max-cells", "6", "--seed", "3", "--out", str(out)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "4 perturbations of 6 cells: 24 predicted cells" in shown
    assert f"in {out}" in shown
    found = ad.read_h5ad(out)
    assert found.obs["perturbation"].tolist() == [*GENES] * 6
    assert {"checkpoint", "source", "seed", "form"} <= set(found.uns["screen"])
    (batch,) = open_cells("synthetic:chain/4", n_cells=50).cells(batch_size=50, seed=3)
    predictor = trained_predictor(checkpoint)
    assert found.obs["cell_id"].tolist() == np.repeat(batch.cell_id_B[:6], 4).tolist()
    for row in range(24):
        perturbed = np.arange(4)[None] == row % 4
        perturbation = Perturbation(perturbed_BG=perturbed, target_BG=np.zeros((1, 4), dtype=np.float32))
        expected = predictor.predict(batch.expression_BG[[row // 4]], perturbation)[0]
        np.testing.assert_allclose(np.asarray(found.X)[row], np.where(perturbed[0], 0, expected), rtol=1e-5, atol=1e-5)


def test_combinations_from_words_and_files(checkpoint: str, tmp_path: Path):
    (tmp_path / "sets.txt").write_text(f"# pairs\n{A}+{C}\n\n{D}\n")
    out = tmp_path / "screen.zarr"
    arguments = ["--combinations", f"{B},{A}", str(tmp_path / "sets.txt"), "--to", "mean", "--form", "summary"]
    assert main([checkpoint, *SOURCE, *arguments, "--out", str(out), "--quiet"]) == 0
    found = ad.read_zarr(out)
    assert list(found.obs_names) == [B, A, f"{A}+{C}", D]
    # Every cell's own value is replaced by the mean, so that the mean response of a perturbed gene is none.
    for row, gene in ((0, B), (2, A), (2, C)):
        assert abs(np.asarray(found.X)[row, GENES.index(gene)]) < 1e-6
    assert np.asarray(found.layers["n_cells"]).tolist() == [[50] * 4] * 4


def test_shifted_and_quiet(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "screen.h5ad"
    assert main([checkpoint, *SOURCE, "--shift", "-1.5", "--form", "summary", "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    np.testing.assert_allclose(np.diag(np.asarray(ad.read_h5ad(out).X)), -1.5, rtol=1e-5)


def test_a_file_with_more_genes_in_another_order(checkpoint: str, tmp_path: Path):
    counts = np.random.default_rng(0).poisson(5.0, size=(30, 6)).astype(np.float32)
    genes = [D, "ENSG00000000001", B, A, "ENSG00000000002", C]
    table = pd.DataFrame({"kind": ["a", "b"] * 15}, index=[f"cell{row}" for row in range(30)])
    ad.AnnData(counts, obs=table, var=pd.DataFrame(index=genes)).write_h5ad(tmp_path / "cells.h5ad")
    out = tmp_path / "screen.h5ad"
    source = ["--source", str(tmp_path / "cells.h5ad"), "--cell-type-key", "kind"]
    assert main([checkpoint, *source, "--max-cells", "9", "--shift", "-99", "--out", str(out), "--quiet"]) == 0
    found = ad.read_h5ad(out)
    assert list(found.var_names) == list(GENES)
    assert found.obs["cell_type"].tolist() == [table["kind"].iloc[cell] for cell in found.obs["cell_id"]]
    # Expression of counts is never below 0.
    assert not np.asarray(found.X)[np.arange(36), np.tile(np.arange(4), 9)].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pt"], "checkpoint 'nowhere.pt' does not exist"),
        (["FILE"], "--source is missing"),
        (["FILE", *SOURCE], "name the file of the results: --out screen.h5ad"),
        (["FILE", *SOURCE, "--out", "s.csv"], "--out: 's.csv' does not end in .h5ad or .zarr"),
        (["FILE", *SOURCE, "--out", "taken.h5ad"], "--out: 'taken.h5ad' exists already"),
        (["FILE", *SOURCE, "--out", "s.h5ad", "--form", "sumary"], "--form is 'sumary'; nearest: summary"),
        (["FILE", *SOURCE, "--out", "s.h5ad", "--to", "many"], "--to is 'many': write a number, or mean"),
        (["FILE", *SOURCE, "--out", "s.h5ad", "--to", "nan"], "--to is nan: write a finite number"),
        (["FILE", *SOURCE, "--out", "s.h5ad", "--to", "0", "--shift", "1"], "--to and --shift both"),
        (["FILE", *SOURCE, "--out", "s.h5ad", "--genes", "x"], "--genes: the genes are those of the checkpoint"),
        (
            ["FILE", *SOURCE, "--out", "s.h5ad", "--combinations", f"{A}+ENSSIMG00000000009"],
            "--combinations: gene 'ENSS",
        ),
        (["FILE", *SOURCE, "--out", "s.h5ad", "--combinations", ","], "--combinations names no gene"),
        (
            ["FILE", "--source", "synthetic:chain/3", "--out", "s.h5ad"],
            "differ: gene 'ENSSIMG00000000003' is not among",
        ),
        (["taken.h5ad", *SOURCE, "--out", "s.h5ad"], "'taken.h5ad' is no checkpoint of gpcp"),
    ],
)
def test_bad_use_is_one_line(
    checkpoint: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    Path("taken.h5ad").write_text("mine")
    assert main([checkpoint if word == "FILE" else word for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("gpcp predict-screen: error: ")
    assert message in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["taken.h5ad"]


def test_the_forms_are_those_of_the_library():
    assert set(command.FORMS) == set(FORMS)
