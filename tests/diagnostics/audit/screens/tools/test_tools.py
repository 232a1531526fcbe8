"""What tools do with a file: what stops them is named, and a file that is written for one stops it nowhere."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from diagnostics.audit.screens.reading import read_screen
from diagnostics.audit.screens.screen import Screen
from diagnostics.audit.screens.tools.behaviour import TOOLS, tool_notes
from diagnostics.audit.screens.tools.rewrite import FORMS, rewrite
from gpcp.core.errors import InputError
from tests.diagnostics.audit.screens.small_screens import REAL, real_screen, small_screen

COUNTED = {"cell-eval2"}
"""Tools that take nothing but counts."""


def effects(screen: Any, tool: str, effect: str) -> str:
    read = screen if isinstance(screen, Screen) else read_screen(screen)
    return "; ".join(note.text for note in tool_notes(read, tool) if note.effect == effect)


def with_combinations(screen: Any, join: str = "+") -> Any:
    """Some cells of a target have a second one in their label, in the order that the alphabet does not have."""
    labels = screen.obs["target_gene"].astype(str).to_numpy(copy=True)
    rows = np.flatnonzero(labels == "KLF1")
    labels[rows[::2]] = join.join(("KLF1", "BRD4"))
    screen.obs["target_gene"] = pd.Categorical(labels)
    return screen


def written(screen: Any, folder: Path, tool: str) -> tuple[Any, tuple[str, ...], Screen]:
    source, out = folder / "screen.h5ad", folder / "out.h5ad"
    screen.write_h5ad(source)
    before = source.read_bytes()
    changes = rewrite(source, read_screen(source), tool, out)
    assert source.read_bytes() == before
    return ad.read_h5ad(out), changes, read_screen(out)


@pytest.mark.parametrize("join", ["+", "_"])
@pytest.mark.parametrize("tool", list(FORMS))
def test_a_file_that_is_written_for_a_tool_does_not_stop_it(tool: str, join: str, tmp_path: Path):
    screen = with_combinations(small_screen(), join)
    screen.obs.loc[screen.obs.index[::97], "target_gene"] = np.nan
    held, changes, read = written(screen, tmp_path, tool)
    assert effects(read, tool, "stops") == ""
    assert list(held.uns["gpcp_check_screen"]["changes"]) == list(changes)
    assert any("no label" in one for one in changes)
    # What was done to each cell is what it was.
    found = {label: set(targets) for label, targets in read.targets_of.items()}
    kept = screen[screen.obs["target_gene"].notna()]
    parts = [set(str(label).split(join)) - {"non-targeting"} for label in kept.obs["target_gene"]]
    assert [found[label] for label in read.label_N.tolist()] == parts


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("tool", list(FORMS))
def test_real_screens_are_written_for_tools(tool: str, name: str, tmp_path: Path):
    screen = real_screen(name)
    if tool in COUNTED and name == "norman19_mcfaline23_subset":
        screen.write_h5ad(tmp_path / "screen.h5ad")
        with pytest.raises(InputError, match="no layer holds counts"):
            rewrite(tmp_path / "screen.h5ad", read_screen(tmp_path / "screen.h5ad"), tool, tmp_path / "out.h5ad")
        assert not (tmp_path / "out.h5ad").exists()
        return
    _, _, read = written(screen, tmp_path, tool)
    assert effects(read, tool, "stops") == ""
    assert len(read.n_of) == len(read_screen(screen).n_of)


def test_counts_are_kept_where_logs_are_written(tmp_path: Path):
    held, _, read = written(small_screen(), tmp_path, "gears")
    assert read.look.kind == "log"
    np.testing.assert_array_equal(held.layers["counts"].toarray(), small_screen().X.toarray())
    np.testing.assert_allclose(np.expm1(held.X.toarray()).sum(axis=1), 1e4, rtol=1e-5)
    assert set(held.obs["condition"]) == {"ctrl", *(f"{gene}+ctrl" for gene in read_screen(small_screen()).n_of)}


def test_counts_are_taken_from_a_layer(tmp_path: Path):
    screen = small_screen()
    screen.layers["raw_counts"] = screen.X.copy()
    screen.X = sp.csr_matrix(screen.X).log1p()
    held, changes, _ = written(screen, tmp_path, "cell-eval2")
    np.testing.assert_array_equal(held.X.toarray(), small_screen().X.toarray())
    assert any("layers['raw_counts']" in one for one in changes)


def test_the_source_is_never_written_over(tmp_path: Path):
    path = tmp_path / "screen.h5ad"
    small_screen().write_h5ad(path)
    (tmp_path / "link.h5ad").symlink_to(path)
    for out in (path, tmp_path / "link.h5ad"):
        with pytest.raises(InputError, match="stays as it is"):
            rewrite(path, read_screen(path), "gears", out)


@pytest.mark.parametrize("call", [lambda s: tool_notes(s, "gear"), lambda s: rewrite("x.h5ad", s, "gear", "y.h5ad")])
def test_an_unknown_tool_is_an_error_with_the_nearest(call: Any):
    with pytest.raises(InputError, match="gears"):
        call(read_screen(small_screen()))


def test_every_tool_has_a_form():
    assert set(TOOLS) == set(FORMS)


@pytest.mark.parametrize(
    ("tool", "effect", "words"),
    [
        ("gears", "stops", ["'condition'", "'gene_name'"]),
        ("gears", "silent", ["counts"]),
        ("cell-load", "stops", ["'gene'", "'gem_group'"]),
        ("cell-eval2", "stops", ["pert_col='target_gene'"]),
        ("cpa", "fine", ["1.0"]),
        ("pertpy", "silent", ["counts"]),
    ],
)
def test_what_tools_do_with_the_small_screen(tool: str, effect: str, words: list[str]):
    text = effects(small_screen(), tool, effect)
    assert [word for word in words if word not in text] == []


def test_gears_stops_at_single_labels_and_types_without_controls():
    screen = small_screen()
    screen.obs = screen.obs.rename(columns={"target_gene": "condition"})
    screen.obs["condition"] = pd.Categorical(screen.obs["condition"].astype(str).replace("non-targeting", "ctrl"))
    keep = ~((screen.obs["condition"] == "ctrl") & (screen.obs["cell_type"] == "THP1"))
    text = effects(screen[keep].copy(), "gears", "stops")
    assert "IndexError" in text
    assert "THP1" in text


def test_cpa_turns_doses_round():
    screen = with_combinations(small_screen())
    screen.obs["dose_val"] = ["1.0+5.0" if "+" in label else "1.0" for label in screen.obs["target_gene"]]
    assert "KLF1+BRD4" in effects(screen, "cpa", "silent")
    screen.obs["dose_val"] = "high"
    assert "'high'" in effects(screen, "cpa", "stops")


def test_cell_load_takes_missing_labels_for_the_last():
    screen = small_screen()
    screen.obs = screen.obs.rename(columns={"target_gene": "gene", "batch": "gem_group"})
    screen.obs.loc[screen.obs.index[:7], "gene"] = np.nan
    text = effects(screen, "cell-load", "silent")
    assert "7 cells" in text
    assert "'non-targeting'" in text
    screen.obs["gene"] = screen.obs["gene"].astype(object)
    screen.X = sp.csc_matrix(screen.X)
    text = effects(screen, "cell-load", "stops")
    assert "categories" in text
    assert "csc" in text
