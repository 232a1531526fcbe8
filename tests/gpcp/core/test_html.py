"""Values show themselves in a notebook: every text escaped, nothing from elsewhere."""

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics import levels_of, score_graph
from diagnostics.results.check_result import CheckResult
from diagnostics.results.report import Report
from gpcp import choose_genes, concatenate, gene_statistics
from gpcp.core.html import html_table
from simulators import SimulatedCells, SimulatedPairs, world


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.data: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def read(html: str) -> _Text:
    parser = _Text()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@given(
    st.text(st.characters(exclude_categories=["C"])), st.lists(st.lists(st.text("<>&\"'ab "), min_size=1), max_size=5)
)
def test_every_text_is_escaped(title: str, rows: list[list[str]]):
    found = read(html_table(title, rows, note="<b>"))
    assert found.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "p"}
    assert "".join(found.data) == title + "".join("".join(row) for row in rows) + "<b>"


def test_rows_beyond_the_last_are_counted():
    assert "7 more rows" in html_table("t", [[i] for i in range(10)], last=3)


SCM = world("scale_free/6").scm
PAIRS = concatenate(SimulatedPairs(scm=SCM, regime="interventional", n_pairs=64).pairs(batch_size=64, seed=0))
CELLS = next(iter(SimulatedCells(scm=SCM, n_cells=50).cells(batch_size=50, seed=0)))
FAILED = CheckResult(
    name="loss.finite", code="GP201", outcome="fail", message="a < b", next_step="mend", statistic=1.0, tolerance=0.0
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (PAIRS, ("PairBatch: 64 pairs x 6 genes", "scored_BG")),
        (CELLS, ("CellBatch: 50 cells x 6 genes", "measured_BG")),
        (SCM.graph, ("GeneGraph: 6 genes", "weight")),
        (choose_genes(gene_statistics(SimulatedCells(scm=SCM, n_cells=50)), n_genes=3), ("GenePanel: 3 genes",)),
        (levels_of(PAIRS, PAIRS, ridge_on=None), ("baseline",)),
        (
            score_graph(SCM.graph.weight_GG, SCM.graph, "direct", threshold=0.1, rng=np.random.default_rng(0)),
            ("AUPRC", "structural Hamming distance"),
        ),
        (Report(results=(FAILED,), world="mine", seed=(0,)), ("GP201 loss.finite", "a < b", "mend")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_shows_itself(value: Any, words: tuple[str, ...]):
    text = " ".join(read(value._repr_html_()).data)
    for word in words:
        assert word in text
