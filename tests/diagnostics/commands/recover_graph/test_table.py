"""The table fits 100 columns whatever a run measured, and never rounds a score up to a perfect one."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cli.text import WIDTH, number, score, span
from diagnostics.commands.recover_graph.table import header, table
from diagnostics.results.run_record import RunRecord
from tests.diagnostics.records import example_record, run_records


@given(st.lists(run_records(), min_size=1, max_size=5))
def test_the_table_fits_100_columns(records: list[RunRecord]) -> None:
    shown = header(records) + "\n" + table(records)
    assert max(len(line) for line in shown.splitlines()) <= WIDTH == 100


@given(st.lists(run_records(), min_size=1, max_size=5))
def test_every_run_has_its_row(records: list[RunRecord]) -> None:
    text = table(records)
    assert all(re.search(rf"^\s*{record.seed} ", text, re.MULTILINE) for record in records)


@given(run_records())
def test_a_record_survives_json(record: RunRecord) -> None:
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record


@given(st.floats(min_value=0, max_value=1), st.integers(min_value=2, max_value=4))
def test_a_share_is_never_rounded_up(value: float, decimals: int) -> None:
    shown = float(score(value, decimals))
    # 1e-9 forgives binary fractions just below a decimal, such as .29.
    assert shown <= value + 1e-9
    assert value - shown < 10**-decimals + 1e-9


def test_an_imperfect_score_does_not_look_perfect() -> None:
    assert score(0.99999) == "0.9999"
    assert score(1.0, 3) == "1.000"


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_loss_fits_its_column(value: float) -> None:
    assert len(number(value)) <= 10


def test_scores_stand_beside_their_target_and_ceiling() -> None:
    text = table([example_record(seed=0), example_record(seed=1, skill=0.97)])
    assert "INTERVENTIONAL" in text
    assert "target: direct" in text
    assert "inverted means* 0.98" in text
    assert "single-gene response 0.50 (ceiling 0.54)" in text


def test_span_names_both_ends() -> None:
    assert span([0.5, None, 0.75]) == "0.50 .. 0.75"
    assert span([None]) == "-"
