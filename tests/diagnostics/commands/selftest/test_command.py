"""The selftest: healthy subjects, the two habits, resuming after a kill, intervals, table and exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from diagnostics.faults.healthy import (
    beats_a_constant,
    ground_of,
    healthy_numbered,
    overfits_one_batch,
)
from gpcp.model.transformer import GenePerturbationTransformer
from tests.diagnostics.commands.verbs import calling
from tests.diagnostics.runs.cluster import REPO, local_cluster

main = calling("selftest")

SHORT = ("--only", "loss", "architecture", "--seeds", "1", "--healthy", "0")
"""What makes a run of it short."""


def asked(out: Path, *more: str) -> int:
    return main([*SHORT, "--out", str(out), *more])


def test_found_faults_meet_the_aims_and_what_is_done_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert asked(tmp_path, "--faults", "loss_sign", "position_leak") == 0
    first = capsys.readouterr()
    assert "architecture.gene_order" in first.out
    assert first.err.count("last: ") == 2
    path = tmp_path / "runs.jsonl"
    whole = path.read_bytes()
    # A kill in the middle of the second line.
    path.write_bytes(whole[:-20])

    assert asked(tmp_path, "--faults", "loss_sign", "position_leak", "--json", str(tmp_path / "found.json")) == 0
    second = capsys.readouterr()
    assert second.err.count("last: ") == 1
    assert json.loads((tmp_path / "found.json").read_text())["right first diagnosis"]["n_found"] == 2
    assert [json.loads(line)["fault"] for line in path.read_bytes().splitlines()] == ["loss_sign", "position_leak"]
    assert (tmp_path / "selftest.md").read_text(encoding="utf-8") == first.out.removesuffix("\n")


def test_a_fault_that_is_missed_fails_the_aims(tmp_path: Path):
    assert asked(tmp_path, "--faults", "rate_too_small", "--quiet") == 1


def test_bad_use_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert asked(tmp_path / "new", "--faults", "loss_sgin") == 2
    assert "loss_sign" in capsys.readouterr().err
    assert main(["--only", "exat", "--out", str(tmp_path / "new")]) == 2
    (tmp_path / "file").touch()
    assert asked(tmp_path / "file" / "below", "--faults", "loss_sign") == 2
    assert not (tmp_path / "new").exists()


def test_healthy_subjects_are_distinct_and_the_same_again():
    subjects = [healthy_numbered(number) for number in range(24)]
    assert len({one.name for one in subjects}) == 24
    words = " ".join(one.name for one in subjects)
    assert all(word in words for word in ("hill", "tanh", "matched", "counterfactual", "interventional", "pooled"))
    again = healthy_numbered(5)
    assert again.name == subjects[5].name
    assert isinstance(again.model, GenePerturbationTransformer)
    assert subjects[5].model is not None
    state = subjects[5].model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.model.state_dict().items())


def test_the_ground_of_a_fault_keeps_out_of_regimes_in_which_it_is_none():
    assert "counterfactual" in ground_of(1, not_in=("matched", "interventional")).name


@pytest.mark.slow
def test_the_two_habits_accept_a_healthy_subject_and_leave_it_as_it_was():
    subject = ground_of(0)
    assert subject.model is not None
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    assert overfits_one_batch(subject)
    assert beats_a_constant(subject)
    assert all(torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())


TEN = (
    *("loss_sign", "loss_sum", "loss_detached", "loss_mask_missing", "loss_of_means"),
    *("position_leak", "target_leak", "zero_genes", "same_order", "double_log"),
)


@pytest.mark.slow
def test_a_cluster_gives_the_same_table_and_goes_on_after_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--faults", *TEN, "--quiet"]
    assert asked(tmp_path / "processes", *options, "--workers", "2") in (0, 1)
    table = capsys.readouterr().out
    with local_cluster(tmp_path) as address:
        assert asked(tmp_path / "cluster", *options, "--scheduler", address) in (0, 1)
        assert capsys.readouterr().out == table
        out = tmp_path / "killed"
        killed_after(3, out, "--faults", *TEN, "--scheduler", address)
        assert 3 <= len((out / "runs.jsonl").read_bytes().splitlines()) < 10
        assert asked(out, *options, "--scheduler", address) in (0, 1)
        assert capsys.readouterr().out == table
    faults = [json.loads(line)["fault"] for line in (out / "runs.jsonl").read_bytes().splitlines()]
    assert sorted(faults) == sorted(TEN)


def killed_after(n_runs: int, out: Path, *options: str) -> None:
    """Run the command in a process of its own, and kill it when so many runs have ended."""
    command = [sys.executable, "-m", "diagnostics", "selftest", *SHORT]
    store = out / "runs.jsonl"
    with subprocess.Popen([*command, "--out", str(out), *options], cwd=REPO, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and (not store.exists() or store.read_bytes().count(b"\n") < n_runs):
            time.sleep(0.05)
        process.kill()
