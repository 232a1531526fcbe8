"""The table and the figure of any panel: every number shown is one of the panel's, and nothing is too wide."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.cli.text import WIDTH
from diagnostics.commands.select_genes.report import N_SHOWN, draw, ranked, screen
from gpcp.panels.annotation import GeneAnnotation
from gpcp.panels.panel import ORDERS, GenePanel, Rule, choose_genes
from gpcp.panels.statistics import GeneStatistics
from tests.gpcp.panels.selection_cases import statistics, statistics_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


def panel_of(found: GeneStatistics, kept: int) -> GenePanel:
    """The first two genes, whatever they are."""
    genes = found.genes(np.array([0, 1]))
    return GenePanel(
        statistics=genes,
        chosen_by="hand " * 30,
        kept=frozenset(genes.vocab.feature_id[:kept]),
        rules=(Rule(summary="a rule of many words " * 6, n_failing=12_345, n_failing_alone=3),),
        notes=tuple(f"note {n}, which is a long one " * 4 for n in range(10)),
        provenance="one\ntwo",
        about=GeneAnnotation(symbol_of={genes.vocab.feature_id[0]: "a symbol that never ends"}),
    )


@given(found=statistics(), kept=st.integers(0, 2), by=st.sampled_from(sorted(ORDERS)))
def test_a_table_of_any_panel_is_narrow(found: GeneStatistics, kept: int, by: str):
    shown = screen(found, panel_of(found, kept), by=by).splitlines()
    assert max(map(len, shown)) <= WIDTH
    assert ("* named, and so in whatever the rules say" in shown) == (kept > 0)
    assert sum(bool(re.match(r"ENSG\d{11}", line)) for line in shown) == 2
    assert any("its standard error" in line for line in shown) == found.sampled
    assert any("12,345" in line for line in shown)


def test_the_first_genes_are_shown_with_their_numbers():
    found = statistics_of([(20, n) for n in range(20)], n_cells=40)
    panel = choose_genes(found, n_genes=15, min_expressed=0)
    lines = [line.split() for line in screen(found, panel, by="expressed").splitlines() if line.startswith("ENSG")]
    assert len(lines) == N_SHOWN
    assert [line[0] for line in lines] == [f"ENSG{19 - n:011d}" for n in range(N_SHOWN)]
    assert lines[1][1:6] == ["-", "-", "0.500", "0.900", f"{19 * 0.9:.3f}"]
    assert [panel.feature_id[token] for token in ranked(panel, "first")] == [*panel.feature_id]


@settings(max_examples=2)
@given(found=statistics(), kept=st.integers(0, 2))
def test_any_panel_can_be_drawn(found: GeneStatistics, kept: int, folder: Path):
    draw(folder / "panel.png", found, panel_of(found, kept), min_measured=0.5, min_expressed=0.01)
    assert (folder / "panel.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("counts", [[(0, 0)] * 3, [(5, 5)] * 3])
def test_a_figure_of_nothing_much(counts: list[tuple[int, int]], folder: Path):
    found = statistics_of(counts, n_cells=5)
    draw(folder / "panel.svg", found, panel_of(found, 1))
    assert "<svg" in (folder / "panel.svg").read_text()


def test_many_genes_are_drawn_as_one_picture(folder: Path):
    counts = [(n % 900, n % 900 // 2) for n in range(20_000)]
    found = statistics_of(counts, n_cells=900)
    draw(folder / "many.svg", found, panel_of(found, 0))
    # Dots of a vector figure would be 100 bytes and more each.
    assert (folder / "many.svg").stat().st_size < 1_000_000
