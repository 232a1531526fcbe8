"""The command: two small worlds from end to end, resumed without any work, a file of one's own, bad use in one line."""

import csv
import json
from pathlib import Path

import pytest

from diagnostics.audit.metrics.plan import audit_metrics
from tests.diagnostics.audit.evaluation.screens import small_anndata
from tests.diagnostics.commands.verbs import calling

main = calling("audit-metrics")

SMALL = ["--world", "scale_free/40", "--targets", "4", "--cells", "30", "--controls", "60", "--descendants", "1"]


def test_two_worlds_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    arguments = [*SMALL, "--protocols", "mse", "de_auroc", "--seeds", "2", "--dials", "noise", "--out", str(out)]
    assert main(arguments) == 0
    first = capsys.readouterr()
    assert "scPertEval 0.2.0; mean over seeds" in first.out
    assert "dynamic range fraction" in first.out
    assert "copying noise beats the exact law in" in first.out
    assert "seed 1" in first.err
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    copies = [one for one in rows if one["answer"] == "copy of the reference" and one["metric"] == "mse"]
    assert [float(one["scaled"]) for one in copies] == pytest.approx([1], abs=1e-3)
    assert {one["dose"] for one in rows if one["dial"] == "noise"} == {"0", "0.25", "0.5", "0.75", "1"}
    held = json.loads((out / "audit.json").read_text())
    assert held["exact_answer_known"]
    assert held["subject"]["cells"] == 30
    assert (out / "dials.png").stat().st_size > 10_000
    assert (out / "answers.png").stat().st_size > 10_000
    monkeypatch.setattr("diagnostics.audit.metrics.audit.answers_of", None)
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().out in first.out


def test_a_screen_whose_law_nobody_knows(tmp_path: Path):
    path = tmp_path / "mine.h5ad"
    made = small_anndata()
    del made.uns["gpcp_screen"]
    made.write_h5ad(path)
    found = audit_metrics(path, protocols=["energy_distance_top_k=10"], seeds=[0, 1])
    (verdict,) = found.verdicts
    assert not found.known
    assert verdict.law is None
    assert verdict.copying_pays is None
    assert verdict.empirical is not None
    assert verdict.copy is not None
    assert verdict.copy.value > verdict.empirical.value


@pytest.mark.slow
def test_the_challenges_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    usual = ["--world", "erdos_renyi/60", "--targets", "6", "--cells", "60", "--controls", "120", "--descendants", "3"]
    assert main([*usual, "--protocols", "vcc2026", "--seeds", "2", "--out", str(out)]) == 0
    assert "vcc2026: 0 the scorer's baseline, 1 its replicate anchor" in capsys.readouterr().out
    held = {one["metric"]: one for one in json.loads((out / "audit.json").read_text())["verdicts"]}
    assert held["de_wilcoxon_sig_jaccard"]["copy"]["value"] > held["de_wilcoxon_sig_jaccard"]["mean"]["value"] + 0.5
    # What holds no information, and no spread either, gets most of the fidelity.
    fidelity = held["de_wilcoxon_direction_fidelity_yield_raw"]
    assert fidelity["free"]["value"] > 0.4
    assert "no spread" in fidelity["free_answer"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocols", "pearson_ctr"], "there is no protocol 'pearson_ctr'; nearest: pearson_ctrl"),
        (["--protocols", "mse", "--dials", "depht"], "there is no dial 'depht'; nearest: depth"),
        (["none.h5ad", "--protocols", "mse"], "AnnData file of the screen 'none.h5ad' does not exist"),
        (["none.h5ad", "--cells", "3"], "options of known worlds have no meaning"),
        (["--world", "nowhere/20", "--protocols", "mse"], "nowhere"),
    ],
)
def test_bad_use(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--quiet"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert message in shown.err
