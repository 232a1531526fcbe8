"""The situation that began this project is named: the first architecture, the plateau, and the author's gene panel.

Each part is asked by the commands that a user would give.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.diagnostics.commands.verbs import calling

diagnostics = calling("diagnose")
select_genes = calling("select-genes")


pytestmark = pytest.mark.slow

CELLS, TABLE = "pbmc68k_reduced.h5ad", "genes_homo_sapiens.csv.gz"


def report(arguments: list[str], folder: Path) -> dict[str, Any]:
    place = folder / "report.json"
    diagnostics([*arguments, "--json", str(place), "--quiet"])
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return {**found, "by_name": {one["name"]: one for one in found["results"]}}


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    asked = ["--source", "synthetic:scale_free/10", "--regime", "matched", "--model", "seed"]
    return report(asked, tmp_path_factory.mktemp("seed"))


def test_the_first_architecture_is_named(seed: dict[str, Any]) -> None:
    assert (seed["cause"], seed["diagnosis"]) == ("architecture", "architecture.perturbation_reaches_others")
    assert "architecture.identity" in seed["consequences"]


def test_the_plateau_and_what_is_left_to_learn_are_perturbed(seed: dict[str, Any]) -> None:
    """Half of the change of two unrelated cells is ``mean - x`` for free; ridge gains beyond it, the model nothing."""
    found = seed["by_name"]["learning.beats_baseline"]
    assert found["outcome"] in ("fail", "inconclusive")
    free = re.search(r"mean - x, which explains (\d+)% of the change for free", found["message"])
    assert free is not None, found["message"]
    # 1/2 exactly for two independent draws; some thousand pairs of ten genes leave a per cent or two.
    assert int(free[1]) == pytest.approx(50, abs=3)
    assert "the plateau at R2 = 0." in found["message"]
    ridge = re.search(r"ridge gets (\d+)", found["message"])
    assert ridge is not None
    assert int(ridge[1]) > 20
    assert abs(found["statistic"]) < 0.02


def on_panel(cells: Path, folder: Path, *rules: str) -> list[str]:
    """Arguments that name pairs of real cells and some of their genes."""
    out = folder / "panel.json"
    table = ["--gene-table", str(cells / TABLE), "--protein-coding"]
    assert select_genes(["--source", str(cells / CELLS), *table, *rules, "--out", str(out)]) == 0
    return ["--source", f"h5ad:{cells / CELLS}", "--cell-type-key", "bulk_labels", "--genes", str(out)]


def test_the_authors_panel_is_mostly_silent_and_a_chosen_one_is_not(shared_data: Path, tmp_path: Path) -> None:
    silent: list[dict[str, Any]] = []
    for rules in (("--by", "first", "--n-genes", "100"), ("--by", "variance", "--n-genes", "50")):
        asked = on_panel(shared_data / "cells", tmp_path, *rules)
        silent.append(report([*asked, "--only", "data"], tmp_path)["by_name"]["data.silent"])
    first, chosen = silent
    assert first["outcome"] == "inconclusive"
    assert first["statistic"] > 0.5
    assert "select-genes" in first["next_step"]
    assert chosen["statistic"] < first["statistic"]


def test_the_first_architecture_is_named_on_real_cells_too(shared_data: Path, tmp_path: Path) -> None:
    asked = on_panel(shared_data / "cells", tmp_path, "--by", "first", "--n-genes", "100")
    found = report([*asked, "--model", "seed", "--only", "exact"], tmp_path)
    assert (found["cause"], found["diagnosis"]) == ("architecture", "architecture.perturbation_reaches_others")
