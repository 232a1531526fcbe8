"""The command: files that follow the arguments, the same bytes of values for the same seeds, bad use in one line."""

import re
from pathlib import Path

import anndata
import numpy as np
import pytest

from simulators.screens.files import KEY, screen_of
from tests.diagnostics.commands.verbs import calling

main = calling("make-screen")

SMALL = ["--targets", "3", "--cells", "5", "--controls", "7", "--mean-cells", "16"]


def test_a_file_follows_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "screen.h5ad"
    more = ["--for", "gears", "--combinations", "1", "--contexts", "2", "--rewired", ".25", "--hidden-targets", "1"]
    assert main(["scale_free/10", str(out), *SMALL, *more, "--seed", "4", "--world-seed", "2"]) == 0
    shown = capsys.readouterr().out
    assert "54 cells of 7 genes, log for gears" in shown
    assert "0 are measured genes" in shown
    read = anndata.read_h5ad(out)
    assert read.shape == (54, 7)
    assert set(read.obs["cell_type"]) == {"context_0", "context_1"}
    screen = screen_of(read.uns)
    assert screen is not None
    assert (screen.seed, screen.world.seed, screen.design.values) == (4, 2, "log")
    assert read.uns[KEY]["mean"]["log_error"].all()


def test_the_same_seeds_give_the_same_values(tmp_path: Path):
    paths = [tmp_path / name for name in ("one.h5ad", "two.h5ad", "three.h5ad")]
    for path, seed in zip(paths, ("0", "0", "1"), strict=True):
        assert main(["scale_free/10", str(path), *SMALL, "--cells-seed", seed, "--quiet"]) == 0
    one, two, three = (anndata.read_h5ad(path).X.toarray() for path in paths)  # pyright: ignore
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a world and a file"),
        (["scale_free/10", "x.csv"], "does not end in .h5ad"),
        (["scale_fre/10", "x.h5ad", *SMALL], "nearest: scale_free"),
        (["scale_free/10", "x.h5ad"], "n_targets is 20, but world scale_free/10 has 10 genes"),
        (["scale_free/10", "x.h5ad", "--preset", "plane"], "nearest: plain"),
        (["scale_free/10", "x.h5ad", *SMALL, "--for", "geers"], "nearest: gears"),
        (["scale_free/10", "x.h5ad", *SMALL, "--kind", "knock"], "nearest: knock"),
        (["scale_free/10", "x.h5ad", *SMALL, "--escapers", "2"], "--escapers. Must be <= 1"),
        (["scale_free/10", "x.h5ad", *SMALL[:-1], "1"], "--mean-cells is 1"),
    ],
)
def test_bad_use(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gpcp make-screen: error: ")
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err)
    assert list(tmp_path.iterdir()) == []
