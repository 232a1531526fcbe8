"""Small healthy files: what too few cells cannot show is open, neither a fault nor a clean bill."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from diagnostics.checks.engine.subject import Subject
from gpcp.pairing.paired import Paired
from simulators.assay import build_assay
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.diagnostics.checks.subjects import found
from tests.diagnostics.commands.verbs import calling

main = calling("diagnose")
ON_VALUES = ("data.constant_genes", "data.silent", "data.gene_shares", "data.copies", "data.signal")


def cells(n_cells: int, n_genes: int = 12) -> Paired:
    scm = world(f"scale_free/{n_genes}", seed=n_cells).scm
    assay = build_assay(scm.graph.vocab, rng=np.random.default_rng(n_cells))
    return Paired(SimulatedCells(scm=scm, n_cells=n_cells, assay=assay))


@pytest.mark.parametrize("n_cells", [2, 10, 49])
def test_a_few_healthy_cells_never_fail_and_their_copies_are_open(n_cells: int):
    subject = Subject(pairs=cells(n_cells))
    assert {name: found(subject, name).outcome for name in ON_VALUES}.items() >= {"data.copies": "inconclusive"}.items()
    assert "fail" not in {found(subject, name).outcome for name in ON_VALUES}


@pytest.mark.parametrize("n_cells", [60, 80])
def test_cells_that_are_too_few_to_be_split_are_not_compared_with_themselves(n_cells: int):
    result = found(Subject(pairs=cells(n_cells)), "data.copies")
    assert (result.outcome, result.n) == ("inconclusive", n_cells)
    assert found(Subject(pairs=cells(300)), "data.copies").outcome == "pass"


def written(folder: Path, labels: list[str]) -> str:
    """Counts of different cells in a file."""
    count_NG = np.random.default_rng(0).poisson(4, (len(labels), 12)).astype(np.float32)
    var = pd.DataFrame(index=[f"ENSG{gene:011d}" for gene in range(12)])
    obs = pd.DataFrame({"type": labels}, index=[str(cell) for cell in range(len(labels))])
    ad.AnnData(count_NG, obs=obs, var=var).write_h5ad(folder / "few.h5ad")
    return f"h5ad:{folder / 'few.h5ad'}"


@pytest.mark.parametrize("n_cells", [2, 30])
def test_the_verdict_on_a_few_cells_is_open(tmp_path: Path, capsys: pytest.CaptureFixture[str], n_cells: int):
    source = written(tmp_path, ["T"] * n_cells)
    assert main(["--source", source, "--cell-type-key", "type", "--only", "exact"]) == 0
    shown = capsys.readouterr().out
    assert "verdict    OPEN: " in shown
    assert "too few to decide" in shown
    assert "NOTHING FOUND" not in shown


def test_cells_of_which_no_two_may_be_paired_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = written(tmp_path, ["T", "B"])
    assert main(["--source", source, "--cell-type-key", "type"]) == 2
    assert "gives no pair: no two of the cells may be paired" in capsys.readouterr().err
