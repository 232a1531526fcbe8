"""Text is plain in files, within the terminal's width, and tables hold what their cells say to the letter."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cli import text

CELL = st.text(alphabet="abc[]019.-%", min_size=1, max_size=9)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=5))
def test_every_cell_of_a_table_is_there_and_aligned(rows: list[tuple[str, str, str]]):
    shown = text.table(["name", "first", "second"], rows, gap=1).splitlines()
    assert len(shown) == len(rows) + 1
    assert [line.split() for line in shown[1:]] == [list(row) for row in rows]
    assert len({len(line) for line in shown}) == 1


def test_a_table_has_no_more_columns_than_it_needs():
    shown = text.table(["name", "loss"], [["a", "0.25"], ["longer", "12.5"]])
    assert shown == "name    loss\na       0.25\nlonger  12.5"


def test_a_row_may_be_short_and_end_in_text():
    shown = text.table(["name", "loss", "outcome"], [["a"], ["b", "1", "tie"]], align="lrl")
    assert shown.splitlines() == ["name  loss  outcome", "a", "b        1  tie"]


@given(st.text(alphabet="ab ", max_size=300), st.integers(min_value=10, max_value=100))
def test_lines_are_not_wider_than_asked(words: str, columns: int):
    words = re.sub(r"\S{8,}", "word", words)
    lines = text.wrap(words, indent="  ", columns=columns)
    assert all(len(line) <= columns for line in lines)
    assert " ".join(lines).split() == words.split()


@pytest.mark.parametrize(("columns", "found"), [("20", 60), ("80", 80), ("300", 100)])
def test_the_width_is_the_terminals_within_bounds(columns: str, found: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert text.width() == found


def test_away_from_a_terminal_lines_have_100_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert text.width() == 100


def test_what_is_shown_away_from_a_terminal_is_plain(capsys: pytest.CaptureFixture[str]):
    text.show("PASS  [a] one\nFAIL  two")
    assert capsys.readouterr().out == "PASS  [a] one\nFAIL  two\n"


def test_outcomes_are_coloured_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    text.show("PASS  [a] one 12")
    shown = capsys.readouterr().out
    assert "\x1b[" in shown.partition("[a]")[0]
    assert shown.endswith("  [a] one 12\n")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "0 s"), (89, "89 s"), (120, "2 min"), (5400, "1 h 30 min"), (-1, "0 s")]
)
def test_durations(seconds: float, shown: str):
    assert text.duration(seconds) == shown


def test_shares_and_intervals():
    assert text.share(0.256) == "26%"
    assert text.share(None) == "-"
    assert text.interval("0.50", "0.75") == "0.50 .. 0.75"
    assert text.interval("0.50", "0.50") == "0.50"
    assert text.whole_span(1, 19) == "1-19"
    assert text.plural(1, "seed") == "1 seed"
    assert text.plural(3, "seed") == "3 seeds"


@given(st.text("ab é\t\n", max_size=80), st.integers(min_value=8, max_value=40))
def test_a_cut_text_is_one_line_of_at_most_so_many_characters(words: str, longest: int):
    shown = text.cut(words, longest)
    assert len(shown) <= longest
    assert "\n" not in shown
