"""A screen that is killed, interrupted, or meets a full disk, goes on to the numbers that it comes to in peace."""

import os
import signal
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from diagnostics.__main__ import main
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.full_disk import files_of_at_most
from tests.verification.faults.tiny_commands import started

pytestmark = pytest.mark.slow

GENES = world("scale_free/20").graph.vocab.feature_id


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("trained") / "checkpoint.pt"
    pairs = SimulatedPairs(scm=world("scale_free/20").scm, regime="interventional", n_pairs=500)
    fit(GenePerturbationTransformer(preset("default", 20)), pairs, FitConfig(n_steps=2), checkpoint=path)
    return str(path)


def asked(checkpoint: str, out: Path, n_cells: int, *more: str) -> list[str]:
    source = ["--source", "synthetic:scale_free/20", "--max-cells", str(n_cells)]
    return ["predict-screen", checkpoint, *source, *more, "--out", str(out)]


def read(path: Path) -> Any:
    return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("form", ["cells", "summary"])
def test_killed_after_its_first_tasks(suffix: str, form: str, tmp_path: Path, checkpoint: str, capsys: Any):
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"killed.{suffix}"
    (tmp_path / "pairs.txt").write_text("\n".join(map("+".join, combinations(GENES, 2))))
    more = ["--form", form, "--combinations", str(tmp_path / "pairs.txt")]
    assert main(asked(checkpoint, whole, 300, *more)) == 0
    process = started(asked(checkpoint, out, 300, *more))
    journal = tmp_path / f".killed.partial.{suffix}.json"
    until_s = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count("\n") > 1) and time.monotonic() < until_s:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    capsys.readouterr()
    assert main(asked(checkpoint, out, 300, *more)) == 0
    assert "found finished" in capsys.readouterr().out
    first, second = read(out), read(whole)
    assert np.array_equal(first.X, second.X)
    assert (first.obs == second.obs).all().all()
    assert all(np.array_equal(first.layers[name], second.layers[name]) for name in second.layers)


@pytest.mark.parametrize("after_s", [1.0, 5.0, 12.0])
def test_ctrl_c(after_s: float, tmp_path: Path, checkpoint: str):
    process = started(asked(checkpoint, tmp_path / "out.h5ad", 40_000, "--form", "summary"))
    time.sleep(after_s)
    assert process.poll() is None, "it has to last longer"
    begin_s = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert time.monotonic() - begin_s < 3
    assert process.returncode == 130, shown
    assert "Traceback" not in shown, shown
    assert "what was finished is kept" in shown.splitlines()[-1]
    assert not (tmp_path / "out.h5ad").exists()


@pytest.mark.parametrize("most", [300, 100_000])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_full_disk(suffix: str, most: int, tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / f"screen.{suffix}"
    arguments = asked(checkpoint, out, 300, "--form", "cells", "--quiet")
    with files_of_at_most(most):
        code = main(arguments)
    shown = capsys.readouterr().err
    assert code == 2, shown
    assert "Traceback" not in shown
    assert shown.startswith("gpcp predict-screen: error: ")
    assert shown.count("\n") == 1, shown
    assert f"screen.{suffix}" in shown
    assert not out.exists()
    assert main(arguments) == 0
    assert np.isfinite(read(out).X).all()
