"""The command: as a process for bad use and a good run, and from end to end on files and on a Census."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import diagnostics.commands.select_genes.run
from gpcp.opening.cells import open_annotation
from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.panel import choose_genes
from gpcp.panels.panel_file import load_panel
from gpcp.panels.statistics_file import load_statistics
from gpcp.sources.census.cells import CensusCells
from simulators.census.embedded import embedded_census
from tests.diagnostics.commands.verbs import calling
from tests.gpcp.panels.selection_cases import same
from tests.gpcp.sources.h5ad.anndata_files import write_cells
from tests.source_tree import REPO

main = calling("select-genes")

GENES = tuple(f"ENSG{n:011d}" for n in range(12))
SYMBOLS = [f"S{n}" for n in range(10)] + ["twin", "twin"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 cells of 12 genes; of the two datasets, the second never shows the last three genes."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.linspace(0.1, 3, 12), size=(40, 12)).astype(np.float32)
    counts[20:, 9:] = 0
    counts[:, 0] += 1
    obs = pd.DataFrame({"lab": ["one"] * 20 + ["two"] * 20}, index=[f"c{i}" for i in range(40)])
    kinds = ["protein_coding" if n % 3 else "lncRNA" for n in range(12)]
    var = pd.DataFrame({"feature_name": SYMBOLS, "feature_type": kinds, "mine": kinds[::-1]}, index=list(GENES))
    path = tmp_path_factory.mktemp("select") / "cells.h5ad"
    write_cells(path, sp.csr_matrix(counts), obs, var)
    return path


def run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "diagnostics", "select-genes", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )


def test_bad_use_as_a_process(tmp_path: Path):
    done = run("--sorce", "x", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gpcp select-genes: error: Unknown option: --sorce. Did you mean --source?\n"
    done = run("--source", "nowhere.h5ad", "--out", "panel.json", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("gpcp select-genes: error: AnnData file 'nowhere.h5ad' does not exist")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_good_run_as_a_process(shared_data: Path, tmp_path: Path):
    folder = shared_data / "cells"
    done = run(
        *("--source", str(folder / "pbmc68k_reduced.h5ad"), "--gene-table", str(folder / "genes_homo_sapiens.csv.gz")),
        *("--protein-coding", "--n-genes", "300", "--min-expressed", ".1", "--keep", "CD4", "CFP"),
        *("--out", "panel.json", "--plot", "panel.png", "--statistics", "counts.npz"),
        folder=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"panel.json", "panel.png", "counts.npz"}
    assert "700 cells, 700 genes" in done.stdout
    assert "300 genes in panel.json; panel.png; counts.npz" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    panel = load_panel(tmp_path / "panel.json")
    assert len(panel) == 300
    assert {panel.about.symbol_of[gene] for gene in panel.kept} == {"CD4", "CFP"}
    assert {panel.about.biotype_of[gene] for gene in panel.feature_id} == {"protein_coding"}
    others = [gene not in panel.kept for gene in panel.feature_id]
    assert panel.statistics.expressed_share_G[others].min() >= 0.1
    assert (tmp_path / "panel.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name where cells come from: --source KIND:PLACE, or --statistics FILE"),
        (("--source", "FILE"), "name the file of the panel: --out panel.json"),
        (("--source", "FILE", "--out", "."), "--out: '.' is a folder; name a file in it"),
        (("--source", "FILE", "--out", "FILE/panel.json"), "--out: nothing can be written in"),
        (("--source", "FILE", "--out", "p.json", "--plot", "p.gif"), "--plot: 'p.gif' does not end in .png"),
        (("--source", "FILE", "--out", "p.json", "--by", "varianc"), "--by is 'varianc'; nearest: variance"),
        (("--source", "FILE", "--out", "p.json", "--min-measured", "2"), "--min-measured. Must be <= 1"),
        (("--source", "FILE", "--out", "p.json"), "--n-genes is 2000, but the source has 12 genes"),
        (
            (
                *("--source", "FILE", "--out", "p.json", "--plot", "p.png"),
                *("--n-genes", "12", "--min-measured", "1", "--dataset-key", "lab"),
            ),
            r"n_genes is 12, but 9 of 12 genes meet the rules \(3 are not measured in at least 100% of the cells; 0",
        ),
        (("--source", "FILE", "--out", "p.json", "--n-genes", "2", "--keep", "S77"), "--keep: 'S77' is no gene of the"),
        (("--source", "FILE", "--out", "p.json", "--n-genes", "2", "--exclude", "twin"), "2 genes are called 'twin'"),
        (("--source", "FILE", "--out", "p.json", "--tissue", "lung"), "--tissue is for census sources"),
        (("--source", "FILE", "--out", "p.json", "--biotype-key", "kine"), "biotype column 'kine' .* nearest: mine"),
        (("--source", "FILE", "--out", "p.json", "--gene-table", "none.csv"), "gene table 'none.csv' does not exist"),
        (("--statistics", "none.npz", "--out", "p.json"), "file of gene statistics 'none.npz' does not exist"),
        (("--statistics", "s.npz", "--out", "p.json", "--layer", "X"), "--layer is for a pass over a source"),
        (("--statistics", "s.npz", "--out", "p.json", "--max-cells", "9"), "--max-cells is for a pass over a source"),
    ],
)
def test_bad_use(
    arguments: tuple[str, ...],
    message: str,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert main([argument.replace("FILE", str(file)) for argument in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gpcp select-genes: error: ")
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err)
    assert list(tmp_path.iterdir()) == []


def test_another_choice_needs_no_second_pass(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    source = ["--source", f"h5ad:{file}", "--dataset-key", "lab", "--statistics", "counts.npz"]
    assert main([*source, "--n-genes", "4", "--protein-coding", "--out", "one.json", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    one, counts = load_panel(tmp_path / "one.json"), load_statistics(tmp_path / "counts.npz")
    assert set(one.feature_id) <= {GENES[n] for n in range(12) if n % 3}
    assert "layer 'X'" in one.provenance
    assert "--dataset-key lab" in one.provenance
    written = (tmp_path / "counts.npz").stat().st_mtime_ns

    def no_pass(*_: object, **__: object) -> None:
        raise AssertionError("the counts are there")

    monkeypatch.setattr(diagnostics.commands.select_genes.run, "gene_statistics", no_pass)
    rules = ["--n-genes", "6", "--by", "variance", "--min-measured", "0"]
    assert main(["--statistics", "counts.npz", *rules, "--out", "two.json"]) == 0
    two = load_panel(tmp_path / "two.json")
    assert main([*source, *rules, "--out", "three.json"]) == 0
    assert (tmp_path / "three.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert "no pass: the counts are those of 'counts.npz'" in capsys.readouterr().err
    expected = choose_genes(counts.statistics, n_genes=6, by="variance", min_measured=0)
    assert two.feature_id == expected.feature_id
    assert same(two.statistics, expected.statistics)
    assert (tmp_path / "counts.npz").stat().st_mtime_ns == written
    for arguments, message in (
        ([*source, "--layer", "X"], "--layer was None, now X"),
        ([*source[:2], *source[4:]], "--dataset-key was lab, now None"),
        ([*source, "--max-cells", "5"], "--max-cells was None, now 5"),
    ):
        assert main([*arguments, *rules, "--out", "four.json"]) == 2
        assert f"'counts.npz' holds the counts of another pass ({message})" in capsys.readouterr().err
    file.touch()
    assert main([*source, *rules, "--out", "three.json"]) == 0
    changed = anndata.read_h5ad(file)
    changed.obs["lab"] = changed.obs["lab"].to_numpy()[::-1]
    changed.write_h5ad(file)
    assert main([*source, *rules, "--out", "four.json"]) == 2
    assert "the files of the source have changed since" in capsys.readouterr().err
    assert not (tmp_path / "four.json").exists()


def test_the_counts_outlive_a_choice_that_fails(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    counts = tmp_path / "counts.npz"
    arguments = ["--source", str(file), "--statistics", str(counts), "--out", str(tmp_path / "p.json")]
    assert main([*arguments, "--n-genes", "9", "--min-expressed", "1"]) == 2
    assert "are not expressed in at least 100%" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["counts.npz"]
    assert main([*arguments, "--n-genes", "9"]) == 0


def test_genes_are_named_by_id_by_symbol_or_in_a_file(file: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text(f"{GENES[1]}\n{GENES[2]}\n")
    out = tmp_path / "panel.json"
    arguments = ["--source", str(file), "--n-genes", "5", "--out", str(out), "--quiet"]
    assert main([*arguments, "--keep", f"{GENES[0]}.3", "S5", str(tmp_path / "mine.txt"), "--exclude", "S9"]) == 0
    panel = load_panel(out)
    assert panel.kept == {GENES[0], GENES[5], GENES[1], GENES[2]}
    assert GENES[9] not in panel.feature_id
    assert main([*arguments, "--genes", str(out)]) == 0
    assert load_panel(out).feature_id == panel.feature_id


def test_kinds_from_another_column_or_a_table(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "panel.json"
    arguments = ["--source", str(file), "--n-genes", "2", "--out", str(out), "--protein-coding", "--quiet"]
    assert main([*arguments, "--biotype-key", "mine"]) == 0
    # "mine" is the other column from its end: genes 11, 8, 5, 2 are not protein-coding in it.
    assert all((11 - GENES.index(gene)) % 3 for gene in load_panel(out).feature_id)
    table = tmp_path / "genes.csv"
    kinds = ["lncRNA"] * 5 + ["protein_coding"] * 2 + ["lncRNA"] * 5
    table.write_text("".join(f"{gene},s,1,100,{kind}\n" for gene, kind in zip(GENES, kinds, strict=True)))
    assert main([*arguments, "--gene-table", str(table)]) == 0
    assert load_panel(out).feature_id == GENES[5:7]
    table.write_text("ENSG00000000099,s,1,100,protein_coding\n")
    assert main([*arguments, "--gene-table", str(table), "--biotype-key", "feature_name"]) == 2
    assert "none of the 12 genes of the source is" in capsys.readouterr().err


def test_a_sample_is_one(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "panel.json"
    arguments = ["--source", str(file), "--n-genes", "3", "--max-cells", "30", "--out", str(out)]
    assert main([*arguments, "--plot", str(tmp_path / "panel.svg")]) == 0
    shown = capsys.readouterr().out
    assert "30 cells, a random sample of the source, 12 genes" in shown
    assert "its standard error" in shown
    first = load_panel(out).statistics
    assert main([*arguments, "--seed", "1"]) == 0
    assert not same(load_panel(out).statistics, first)
    assert (tmp_path / "panel.svg").read_text().lstrip().startswith("<?xml")


def test_an_interrupt_writes_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnostics.commands.select_genes.run, "gene_statistics", stop)
    arguments = ["--source", str(file), "--n-genes", "3", "--statistics", str(tmp_path / "counts.npz")]
    assert main([*arguments, "--out", str(tmp_path / "panel.json")]) == 130
    assert "interrupted; nothing has been written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_census(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Slow: the first read of a Census in a process compiles for seconds."""
    made = embedded_census(tmp_path / "census", n_cells=400, n_genes=80, seed=3)
    name = f"census:{tmp_path / 'census'}"
    arguments = ["--source", name, "--all-cells", "--protein-coding", "--n-genes", "30", "--min-measured", ".9"]
    out = ["--out", str(tmp_path / "panel.json"), "--plot", str(tmp_path / "panel.png")]
    assert main([*arguments, *out]) == 0
    panel, notes = load_panel(tmp_path / "panel.json"), open_annotation(name)
    cells = CensusCells(uri=tmp_path / "census", is_primary_data=None)
    statistics = gene_statistics(cells)
    assert statistics.n_cells == made.summary.n_cells
    assert len(statistics.dataset_S) == 3
    # What is measured is a property of the dataset: a share is that of some of the datasets' cells.
    sizes = np.array([made.summary.datasets[dataset] for dataset in statistics.dataset_S])
    np.testing.assert_array_equal(statistics.n_measured_G, sizes @ statistics.measured_SG)
    expected = choose_genes(statistics, n_genes=30, min_measured=0.9, among=notes.of_biotype())
    assert panel.feature_id == expected.feature_id
    assert same(panel.statistics, expected.statistics)
    assert "Census" in panel.provenance
    assert "3 datasets" in capsys.readouterr().out
    content = json.loads((tmp_path / "panel.json").read_text())
    assert {row["n_datasets"] for row in content["genes"]} == {3}
