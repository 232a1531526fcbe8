"""What is done, what is left and the loss so far come at least every ten seconds, whatever the output is."""

import io
import re
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cli.progress import EVERY_S, EndingRuns, Progress, Stages
from diagnostics.commands.recover_graph.progress import RunsProgress
from tests.diagnostics.records import example_record


class Clock:
    """Time that a test makes pass."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(stream: io.StringIO, clock: Callable[[], float], *, total: int | None = 100, quiet: bool = False):
    return Progress("training", total, unit="steps", quiet=quiet, stream=stream, clock=clock, ticking=False)


def test_the_first_line_comes_at_once():
    stream = io.StringIO()
    with progress(stream, Clock()):
        assert stream.getvalue() == "    0 s  training: 0 of 100 steps, 100 left\n"


def test_a_line_says_what_is_done_what_is_left_and_the_loss():
    stream, clock = io.StringIO(), Clock()
    with progress(stream, clock) as shown:
        clock.now_s = 20.0
        shown.reach(40, "loss 0.731")
    assert stream.getvalue().splitlines()[-1] == ("   20 s  training: 40 of 100 steps, 60 left, about 30 s; loss 0.731")


@given(st.lists(st.floats(min_value=0.0, max_value=30.0), max_size=60))
def test_no_two_lines_are_further_apart_than_ten_seconds_and_a_tick(pauses_s: list[float]):
    stream, clock = io.StringIO(), Clock()
    seen_s = [0.0]
    with progress(stream, clock, total=1000) as shown:
        n_lines = 1
        for pause_s in pauses_s:
            clock.now_s += pause_s
            shown.advance()
            lines = stream.getvalue().splitlines()
            if len(lines) > n_lines:
                seen_s.append(clock.now_s)
            elif pauses_s:
                assert clock.now_s - seen_s[-1] < EVERY_S
            n_lines = len(lines)


def test_a_line_comes_though_nothing_is_counted():
    stream, clock = io.StringIO(), Clock()
    with progress(stream, clock) as shown:
        clock.now_s = EVERY_S
        shown.tick()
        shown.tick()
    assert len(stream.getvalue().splitlines()) == 2


def test_a_thread_ticks_and_ends_with_the_progress(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("diagnostics.cli.progress._TICK_S", 0.001)
    stream, clock = io.StringIO(), Clock()
    with Progress("training", 3, unit="steps", stream=stream, clock=clock) as shown:
        clock.now_s = 60.0
        while "60 s" not in stream.getvalue():
            pass
        thread = shown._thread  # pyright: ignore[reportPrivateUsage]
    assert thread is not None
    assert not thread.is_alive()


def test_what_was_found_says_nothing_of_the_time_left():
    stream, clock = io.StringIO(), Clock()
    with progress(stream, clock) as shown:
        shown.reach(50, found=True)
        clock.now_s = 10.0
        shown.reach(60)
    assert stream.getvalue().splitlines()[-1].endswith("60 of 100 steps, 40 left, about 40 s")


def test_quiet_shows_nothing_on_any_stream():
    for stream in (io.StringIO(), Terminal()):
        clock = Clock()
        with progress(stream, clock, quiet=True) as shown:
            clock.now_s = 100.0
            shown.reach(40, "loss 0.7")
            shown.say("a line")
        assert stream.getvalue() == ""


def test_there_is_no_escape_code_where_there_is_no_terminal():
    stream, clock = io.StringIO(), Clock()
    with progress(stream, clock) as shown:
        clock.now_s = 100.0
        shown.reach(40, "[bold]loss[/bold]")
        shown.say("[red]a line")
    assert "\x1b" not in stream.getvalue()
    assert "[red]a line\n" in stream.getvalue()


def test_a_terminal_has_a_bar_and_lines_above_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream, clock = Terminal(), Clock()
    with progress(stream, clock) as shown:
        clock.now_s = 20.0
        shown.reach(40, "loss [0.731]")
        shown.say("run [1] ended")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "40 of 100 steps" in text
    assert "about 30 s" in text
    assert "loss [0.731]" in text
    assert "run [1] ended" in text
    assert "    0 s" not in text


def test_a_dumb_terminal_has_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with progress(stream, Clock()):
        pass
    assert stream.getvalue().startswith("    0 s  training")


def test_results_go_to_stdout_though_the_bar_is_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    with progress(Terminal(), Clock()) as shown:
        shown.say("a result", stream=sys.stdout)
    assert capsys.readouterr().out == "a result\n"


def test_stages_are_named_as_they_begin():
    stream, clock = io.StringIO(), Clock()
    with Stages(3, stream=stream, clock=clock, ticking=False) as stages:
        stages("reading")
        clock.now_s = 4.0
        stages("fitting")
        stages.within("cells")(5, 9)
        clock.now_s = 14.0
        stages.progress.tick()
    assert stream.getvalue().splitlines() == [
        "    0 s  reading",
        "    4 s  fitting",
        "   14 s  fitting: 1 of 3 stages, 2 left, about 28 s; 5 of 9 cells",
    ]


def test_coarse_stages_have_a_line_for_each_part():
    stream = io.StringIO()
    with Stages(4, coarse=True, stream=stream, clock=Clock(), ticking=False) as stages:
        for name in ("warm-up: a", "warm-up: b", "round 1: a", "round 1: b"):
            stages(name)
    assert stream.getvalue().splitlines() == ["    0 s  warm-up", "    0 s  round 1"]


def test_runs_are_told_of_as_they_end():
    stream, clock = io.StringIO(), Clock()
    with EndingRuns(10, unit="trainings", roughly_s=240, stream=stream, clock=clock, ticking=False) as runs:
        runs.step(9, 20, 1.25)
        clock.now_s = 3.0
        # Five were found finished.
        runs.ended(4, "linear, seed 0: loss 0.71")
    assert stream.getvalue().splitlines() == [
        "    0 s  runs: 0 of 10 trainings, 10 left; all of them take roughly 4 min",
        "    3 s  runs: 6 of 10 trainings, 4 left, about 12 s; last: linear, seed 0: loss 0.71",
    ]


def test_the_loss_of_a_run_that_goes_on_is_shown():
    stream, clock = io.StringIO(), Clock()
    with EndingRuns(2, unit="trainings", stream=stream, clock=clock, ticking=False) as runs:
        clock.now_s = 12.0
        runs.step(1, 1200, 0.7312345)
    assert stream.getvalue().splitlines()[-1] == (
        "   12 s  runs: 0 of 2 trainings, 2 left; run 2, step 1,200: loss 0.7312"
    )


class Job:
    def __init__(self, name: str) -> None:
        self.name, self.n_steps = name, 100

    def to_json(self) -> dict[str, str]:
        return {"name": self.name}


def test_runs_of_recover_graph_show_the_losses_so_far():
    stream, clock = io.StringIO(), Clock()
    jobs = [Job("matched_seed0"), Job("matched_seed1"), Job("matched_seed2")]
    with RunsProgress(jobs, stream=stream, clock=clock, ticking=False) as runs:
        runs.done(2, example_record(seed=2), resumed=True)
        runs.step(0, 1, 1.5)
        # From a checkpoint: the steps before it cost no time.
        runs.step(1, 51, 0.9)
        clock.now_s = 10.0
        runs.step(0, 50, 1.25)
        runs.done(0, example_record(seed=0), resumed=False)
    first, found, line, ended = stream.getvalue().splitlines()
    assert first.endswith("training: 0 of 300 steps, 300 left")
    assert found.startswith("run 1 of 3: interventional seed 2")
    assert found.endswith("(found finished)")
    assert line.endswith("training: 201 of 300 steps, 99 left, about 20 s; loss matched_seed0 1.25, matched_seed1 0.9")
    assert ended.startswith("run 2 of 3: ")


def test_many_runs_at_a_time_fit_a_line():
    stream, clock = io.StringIO(), Clock()
    jobs = [Job(f"interventional_seed{number}") for number in range(32)]
    with RunsProgress(jobs, stream=stream, clock=clock, ticking=False) as runs:
        for number in range(32):
            clock.now_s += 10.0
            runs.step(number, 1, 0.123456)
    assert "and 28 more" in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= 200
