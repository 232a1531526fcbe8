"""Progress away from a terminal, and the line of a finished run."""

import io
from dataclasses import dataclass

import pytest

from diagnostics.commands.recover_graph.progress import RunsProgress
from diagnostics.commands.recover_graph.table import finishing_line
from tests.diagnostics.records import example_record


@dataclass(frozen=True)
class Steps:
    name: str = "one"
    n_steps: int = 3


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_away_from_a_terminal_is_one_line_a_run(quiet: bool) -> None:
    stream = io.StringIO()
    with RunsProgress([Steps(), Steps()], quiet=quiet, stream=stream) as progress:
        for index in (1, 0):
            progress.step(index, 2, 0.5)
            progress.done(index, example_record(seed=index, n_steps=3), resumed=False)
    lines = stream.getvalue().splitlines()
    assert quiet or "steps" in lines[0]
    assert not (quiet and lines)
    ended = [line for line in lines if line.startswith("run ")]
    assert len(ended) == (0 if quiet else 2)
    assert all("skill" in line and "Bayes" in line for line in ended)


def test_a_finishing_line_without_a_bayes_risk_names_the_best_linear_predictor() -> None:
    line = finishing_line(example_record(bayes_risk=None, skill=None))
    assert "best linear 0.9000" in line
    assert len(line) <= 120
