"""The command: real cells become a screen that says what was planted; bad use in one line."""

from pathlib import Path

import anndata
import numpy as np
import pytest

from simulators.spike_ins.files import KEY, STRENGTH
from tests.diagnostics.commands.verbs import calling

main = calling("spike-screen")

SOURCE = ["--source", "synthetic:scale_free/20", "--library-size", "5000", "--n-cells", "300"]


def test_a_file_holds_cells_and_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "spiked.h5ad"
    arguments = [*SOURCE, "--targets", "3", "--cells", "20", "--dose", "-0.7", "--seed", "1"]
    assert main([str(out), *arguments]) == 0
    shown = capsys.readouterr().out
    assert "300 cells of 20 genes" in shown
    assert "counts, thinned" in shown
    read = anndata.read_h5ad(out)
    assert (read.obs["target"] == "non-targeting").sum() == 240
    effect = read.uns[KEY]["effect"]
    tokens = [list(read.var_names).index(target) for target in read.uns[KEY]["targets"]]
    np.testing.assert_allclose(effect[np.arange(3), tokens], -0.7)
    assert set(read.obs[STRENGTH]) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the file"),
        (["x.csv", *SOURCE], "h5ad"),
        (["x.h5ad"], "--source is missing"),
        (["x.h5ad", *SOURCE, "--graph", "scale_fre"], "scale_free"),
        (["x.h5ad", *SOURCE, "--cells", "500"], "lower one"),
    ],
)
def test_bad_use_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
