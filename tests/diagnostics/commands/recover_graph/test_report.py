"""The report is one well-formed file that loads nothing, escapes what it shows, and draws what was found."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.commands.recover_graph.figures import RunArrays
from diagnostics.commands.recover_graph.graph_figure import MOST_GENES, called_edges, graph_figure
from diagnostics.commands.recover_graph.report import report_page
from diagnostics.commands.recover_graph.verdicts import verdicts
from diagnostics.results.report import Report
from tests.diagnostics.commands.html_pages import parsed
from tests.diagnostics.commands.recover_graph.run_arrays import arrays

EVIL = "<script>alert('&')</script>"


def page_of(runs: list[RunArrays], world: str = "scale_free/5") -> str:
    records = [run.record for run in runs]
    report = Report(results=verdicts(records), world=world, seed=(0,))
    return report_page(runs, report, command=["gpcp", "recover-graph", "--out", "a b"], seconds=12.0)


def test_the_report_is_well_formed_and_loads_nothing():
    text = page_of([arrays("counterfactual", 0), arrays("matched", 0, symmetric=True), arrays("matched", 1)])
    page = parsed(text)
    assert page.external == []
    assert page.unclosed == []
    assert len(page.ids) == len(set(page.ids))
    assert page.n_of["svg"] == 2 + 2 * 2
    assert page.n_of["script"] == 1
    for words in ("Losses", "Precision and recall", "Matrices: matched", "Graph: counterfactual", "Versions", "'a b'"):
        assert words in page.text
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_names_from_outside_are_escaped():
    run = arrays("matched", 0)
    record = replace(run.record, world=EVIL, preset=EVIL, target=EVIL, read_out=EVIL, notes=(EVIL,))
    page = parsed(page_of([replace(run, record=record)], world=EVIL))
    assert page.n_of["script"] == 1
    assert page.external == []
    assert page.unclosed == []
    assert EVIL in page.text


def test_real_cells_without_a_bayes_risk_are_shown():
    page = parsed(page_of([arrays("matched", 0, symmetric=True, bayes=False)]))
    assert page.unclosed == []


@pytest.mark.parametrize("symmetric", [False, True])
def test_as_many_edges_are_called_as_there_are(symmetric: bool):
    rng = np.random.default_rng(0)
    target_GG = rng.random((9, 9)) < 0.2
    np.fill_diagonal(target_GG, False)
    target_GG = target_GG | target_GG.T if symmetric else target_GG
    called_GG = called_edges(rng.normal(size=(9, 9)), target_GG)
    assert called_GG.sum() == target_GG.sum()
    assert not called_GG.diagonal().any()
    assert (called_edges(np.where(target_GG, 1.0, 0.1), target_GG) == target_GG).all()
    assert not symmetric or (called_GG == called_GG.T).all()


def test_a_graph_of_many_genes_or_of_several_parts():
    large_GG = np.zeros((MOST_GENES + 1, MOST_GENES + 1), dtype=np.bool_)
    assert graph_figure(large_GG.astype(float), large_GG, "large") is None
    parts_GG = np.zeros((6, 6), dtype=np.bool_)
    parts_GG[0, 1] = parts_GG[2, 3] = True
    assert graph_figure(parts_GG.astype(float), parts_GG, "parts") is not None
