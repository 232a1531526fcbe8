"""Panels and statistics with a field missing or odd: one line, never another error."""

import json
from pathlib import Path

import numpy as np

from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.panel import choose_genes
from gpcp.panels.panel_file import load_panel, read_genes, save_panel
from gpcp.panels.statistics_file import SavedStatistics, load_statistics, save_statistics
from tests.alterations import alterations, refusal
from tests.gpcp.sources.cache.cache_sources import Indexed, made_cells

STATISTICS = gene_statistics(Indexed(made_cells(200)))
LOOSE = dict.fromkeys(("min_measured", "min_expressed"), 0.0)


def test_every_alteration_of_a_panel(tmp_path: Path):
    path = tmp_path / "panel.json"
    save_panel(path, choose_genes(STATISTICS, n_genes=3, **LOOSE))
    body = json.loads(path.read_text())
    refusals: dict[str, bool] = {}
    for words, altered in alterations(body, most_rows=1):
        path.write_text(json.dumps(altered))
        refusals[words] = bool(refusal(lambda: load_panel(path)))
        refusal(lambda: read_genes(path))
    assert all(refusals[f"{name} deleted"] for name in body if name != "notes")
    assert sum(refusals.values()) > 300


def test_every_alteration_of_statistics(tmp_path: Path):
    path = tmp_path / "counts.npz"
    saved = SavedStatistics(statistics=STATISTICS, provenance="cells of a test", asked={"source": "there"})
    save_statistics(path, saved)
    with np.load(path) as stored:
        arrays = dict(stored)
    head = json.loads(str(arrays["head"]))
    refusals: dict[str, bool] = {}
    for words, altered in alterations(head):
        np.savez(path, **{**arrays, "head": np.array(json.dumps(altered))})
        refusals[words] = bool(refusal(lambda: choose_genes(load_statistics(path).statistics, n_genes=3, **LOOSE)))
    assert all(refusals[f"{name} deleted"] for name in head)
    assert sum(refusals.values()) > 100
    for name in arrays:
        for odd in (None, np.zeros(0), np.array("odd"), np.array(["odd"] * 9), np.full(9, -1), np.ones((2, 2))):
            altered = {key: value for key, value in arrays.items() if key != name}
            np.savez(path, **(altered if odd is None else {**altered, name: odd}))
            other_names = odd is not None and odd.dtype.kind == "U" and odd.ndim == 1 and name != "feature_id"
            assert refusal(lambda: load_statistics(path)) or (other_names and name.startswith("feature_")), (name, odd)
