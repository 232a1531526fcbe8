"""Worlds, an AnnData file, a Census store and screens go through every verb by the same ``--source``: tiny runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diagnostics.__main__ import main
from simulators.census.embedded import embedded_census
from simulators.screens.design import ScreenDesign
from simulators.screens.files import screen_anndata
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world
from tests.diagnostics.commands.recover_graph.test_cells import log_file

pytestmark = pytest.mark.slow

Sources = dict[str, list[str]]
Content = dict[str, Any]

KNOWN = {"linear": "synthetic:chain/4", "tanh": "synthetic:fork/4/tanh"}
SCREENS = ("screen", "bare screen")
"""A known world as a screen, and the same file without what it holds of the world: as a real one."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The arguments that name each source, the same for every verb."""
    folder = tmp_path_factory.mktemp("sources")
    made = simulated_screen(
        world("scale_free/6", seed=0), ScreenDesign(n_targets=4, cells_per_target=40, n_controls=80)
    )
    screen = screen_anndata(made)
    screen.write_h5ad(folder / "screen.h5ad")
    screen.uns.clear()
    screen.write_h5ad(folder / "bare.h5ad")
    embedded_census(folder / "census", name="scale_free/5", n_cells=400, n_genes=10, n_datasets=1, p_unmeasured=0.0)
    return {
        **{name: ["--source", text] for name, text in KNOWN.items()},
        "h5ad": ["--source", f"h5ad:{log_file(folder)}", "--values", "log", "--cell-type-key", "kind"],
        "screen": ["--source", f"screen:{folder / 'screen.h5ad'}"],
        "bare screen": ["--source", f"screen:{folder / 'bare.h5ad'}"],
        "census": ["--source", f"census:{folder / 'census'}"],
    }


def recovered(found: Content, *, known: bool) -> None:
    for row in found["regimes"]:
        best = row["bayes_risk"] if known else row["best_linear_loss"] or row["ridge_loss"]
        if row["regime"] == "screen":
            scores = [row[name] for name in ("auprc", "ceiling_auprc", "base_rate", "target")]
            assert [one is None for one in scores] == [not known] * 4
            outcomes = {one["name"]: one["outcome"] for one in found["report"]["results"]}
            assert (outcomes["screen: recovers the graph"] == "not_applicable") == (not known)
        assert best < row["baseline_loss"]
        assert row["loss"] > 0
        assert (row["skill"] is None) == (row["bayes_risk"] is None) == (not known)


def diagnosed(found: Content, *, known: bool) -> None:
    assert {"pass"} <= {row["outcome"] for row in found["results"]}
    assert not found["errors"]
    (signal,) = [row for row in found["results"] if row["name"] == "data.signal"]
    assert "of the loss of the input-free baseline" in signal["message"]


def audited(found: Content, *, known: bool) -> None:
    assert all(panel["parts"]["mean_square"]["value"] > 0 for panel in found["panels"])


def swept(found: Content, *, known: bool) -> None:
    (trial,) = found["trials"]
    assert trial["loss"] > 0
    assert known or "Bayes risk" not in found["levels"]
    assert {"baseline", "ridge"} <= set(found["levels"])


def timed(found: Content, *, known: bool) -> None:
    assert found["passes"]


def fitted(found: Content, *, known: bool) -> None:
    assert found["loss"] > 0
    assert (found["levels"]["bayes_risk"] is None) == (found["skill"] is None)
    assert known or found["skill"] is None


def compared(found: Content, *, known: bool) -> None:
    assert {one["name"] for one in found["compared"]} == {"linear", "mlp"}
    assert all(one["loss"] > 0 for one in found["compared"])
    assert (found["bayes"] is None) == (found["needed_rank"] is None) == (not known)
    assert found["ridge"] is not None


def curved(found: Content, *, known: bool) -> None:
    for row in found["runs"]:
        assert 0 < (row["bayes_risk"] if known else row["best_linear_loss"]) < row["baseline_loss"]
        assert row["loss"] > 0
        assert row["target"] is None or known


TINY = ["--seeds", "1", "--steps", "4", "--workers", "1"]
SWEEP = ["--over", "learning_rate", "--trials", "1", "--seeds", "1", "--epochs", "1", "--epoch-pairs", "64"]
VERBS: dict[str, tuple[str, Callable[..., None], list[str]]] = {
    "recover-graph": ("results.json", recovered, [*TINY, "--batch-size", "32"]),
    "diagnose": ("diagnosis.json", diagnosed, ["--only", "data"]),
    "audit": ("audit.json", audited, []),
    "sweep": ("sweep.json", swept, [*SWEEP, "--held-out", "64", "--no-range-test"]),
    "throughput": ("results.json", timed, ["--batches", "3", "--rounds", "2", "--batch-size", "8", "--device", "cpu"]),
    "train": ("results.json", fitted, ["--steps", "4", "--batch-size", "8", "--held-out", "64"]),
    "compare": ("compared.json", compared, [*TINY, "--heads", "linear", "mlp"]),
    "learning-curve": ("results.json", curved, [*TINY, "--pairs", "60", "--capacity", "width=4"]),
}
"""Of each verb: its file of results, what that must hold, and the options that keep it small."""

GENES = {"recover-graph", "compare", "learning-curve"}
"""Verbs that choose genes of cells for themselves; the others take all that there are."""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("source", [*KNOWN, "h5ad", "census", *SCREENS])
def test_every_source_goes_through_every_verb(verb: str, source: str, sources: Sources, tmp_path: Path) -> None:
    file, check, small = VERBS[verb]
    words = [verb, *sources[source], *small, "--quiet"]
    if verb in GENES and source not in KNOWN:
        words += ["--n-genes", "5"]
    exact = source in KNOWN or (source == "screen" and verb in GENES)
    words += ["--json", str(tmp_path / file)] if verb == "diagnose" else ["--out", str(tmp_path)]
    assert main(words) in (0, 1)
    check(json.loads((tmp_path / file).read_text(encoding="utf-8")), known=exact)
    if verb == "recover-graph":
        assert 'role="img"' in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recover-graph", "--regime", "matched"], "--regime is for simulated worlds"),
        (["recover-graph", "--n-perturbed", "2"], "--n-perturbed is for simulated worlds"),
        (["recover-graph", "--dose-sd", "1"], "what was done to each cell is in its file"),
        (["compare", "--n-perturbed", "2"], "--n-perturbed has no meaning for a screen"),
        (["learning-curve", "--pairs", "60", "--n-perturbed", "2"], "--n-perturbed has no meaning for a screen"),
        (["learning-curve", "--graph-genes", "10"], "a known world is needed"),
        (["train", "--n-perturbed", "2"], "--n-perturbed has no meaning for a screen"),
    ],
)
def test_what_makes_no_sense_of_a_screen_is_refused_in_a_line(
    words: list[str], message: str, sources: Sources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *sources["screen"], "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
