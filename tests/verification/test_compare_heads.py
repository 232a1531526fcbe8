"""``compare_heads`` names the bottleneck, and ties exactly where the paired interval holds 0, in trainings of its own.

A world of 10 genes, 4 seeds and 120 steps: about 5 s a training. The pooled scalar ends about half way between
knowing nothing and the exact answer, an order of magnitude further from the others than seeds lie apart.
"""

import json

import pytest

from gpcp.core.intervals import paired_difference
from tests.diagnostics.commands.verbs import calling

main = calling("compare")

pytestmark = pytest.mark.slow

WORDS = ["--source", "synthetic:scale_free/10", "--seeds", "4", "--steps", "120"]


@pytest.mark.parametrize("reference", [[], ["--reference", "linear"]])
def test_the_bottleneck_is_named_and_ties_are_intervals_that_hold_0(
    reference: list[str], tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
):
    # The second time every training is found finished.
    out = tmp_path_factory.getbasetemp() / "compare_heads"
    assert main([*WORDS, "--heads", "linear", "mlp", "pooled_scalar", "--out", str(out), "--quiet", *reference]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    content = json.loads((out / "compared.json").read_text(encoding="utf-8"))
    judged = {one["name"]: one for one in content["compared"]}

    scalar = judged["pooled_scalar"]
    assert (scalar["outcome"], scalar["loses_information"], scalar["rank"]) == ("worse", True, 1)
    assert "pooled_scalar loses information: its answers lie on a line (rank 1)" in shown
    assert content["needed_rank"] > 1
    # Nothing of rank 1 comes near: not even the best that was found, and what is proved lies below that.
    assert content["bayes"] + content["rank_bounds"]["1"] < content["rank_losses"][1] < scalar["loss"]
    for name in ("linear", "mlp"):
        assert not judged[name]["loses_information"]
        # Proved, not just measured: no answer of rank 1 is expected there.
        assert judged[name]["loss"] < content["bayes"] + content["rank_bounds"]["1"]

    losses = [[judged[name]["losses"][str(seed)] for seed in range(4)] for name in ("linear", "mlp")]
    level = 1 - 0.05 / (2 if reference else 3)
    expected = paired_difference(*losses, level=level)
    (pair,) = [one for one in content["pairs"] if (one["first"], one["second"]) == ("linear", "mlp")]
    assert (pair["low"], pair["high"]) == pytest.approx((expected.low, expected.high))
    assert pair["tie"] == (expected.low <= 0 <= expected.high)
    assert ("linear and mlp tie" in shown) == pair["tie"]
    if reference:
        assert (judged["mlp"]["outcome"] == "tie") == pair["tie"]
    for loss in (judged["linear"]["loss"], judged["mlp"]["loss"]):
        assert content["bayes"] < loss < content["baseline"]
