"""All in their order on small cells, with models of every kind; it stops where one fails."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.commands.ladder.rungs.asked import Budget, LadderRun
from diagnostics.commands.ladder.rungs.cells import grouped, ladder_cells
from diagnostics.commands.ladder.rungs.ladder import climbed, ladder, rungs_named
from diagnostics.commands.ladder.rungs.states import clusters
from gpcp.core.errors import InputError
from tests.simulators.twins.test_twin import counted, whole

SHORT = Budget(n_steps=3, batch_size=16)


class Mean(nn.Module):
    """Four dense tensors to an answer that ignores them."""

    def __init__(self, n_genes: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(n_genes))

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.mean.expand_as(before_BG)


def record(name: str, skill: float) -> dict[str, Any]:
    """Of a known world."""
    return {"rung": name, "skill": skill, "factor": 1.0, "seconds": 0.0}


def test_it_stops_at_the_first_that_fails_and_asks_other_rates_there():
    asked: list[tuple[str, float]] = []

    def do(wanted: Any) -> list[dict[str, Any]]:
        asked.extend(wanted)
        return [record(name, 0.1) for name, _ in wanted]

    results, twin, complete = climbed(["counterfactual", "interventional"], do, go_on=False)
    assert [one.rung for one in results] == ["counterfactual"]
    assert (twin, complete) == (None, True)
    assert {name for name, _ in asked} == {"counterfactual"}
    assert len(asked) > 2


def test_all_are_asked_where_that_is_wanted():
    results, _, complete = climbed(
        ["counterfactual", "interventional"],
        lambda wanted: [record(name, 0.1) for name, _ in wanted],
        go_on=True,
    )
    assert [one.passed for one in results] == [False, False]
    assert not complete


def test_names_are_put_in_order_and_a_wrong_one_is_refused():
    assert rungs_named(["real", "exact"]) == ("exact", "real")
    assert "twin" not in rungs_named([])
    with pytest.raises(InputError, match="no rung is named 'rael'; nearest: real"):
        rungs_named(["rael"])


@pytest.mark.slow
def test_a_module_of_ones_own_that_ignores_its_input_is_found_at_once():
    found = ladder(counted(n_genes=8), Mean, n_genes=8, budget=SHORT)
    assert found.first is not None
    assert found.first.rung == "exact"
    assert found.exit_code == 1
    assert found.to_json()["cause"] == found.cause
    assert found.model == "Mean"


@pytest.mark.slow
def test_every_kind_of_cells_gives_finite_figures():
    found = ladder(
        counted(n_genes=8, n_cell_types=2), "mixing", n_genes=8, budget=SHORT, go_on=True,
        rungs=("pairing", "assay", "spike-in", "real", "twin"),
    )  # fmt: skip
    assert [one.rung for one in found.results] == ["pairing", "assay", "spike-in", "real"]
    for one in found.results:
        assert all(np.isfinite(one.record[name]) for name in ("loss", "baseline", "ceiling"))
    assert found.twin is not None
    assert 0 <= found.twin["auc"] <= 1
    assert found.cause in ("open", *(one.cause for one in found.results))


@pytest.mark.slow
def test_types_are_found_where_they_are_clear_and_named_none():
    cells = whole(counted(n_cell_types=3, cell_type_sd=3.0))
    true_B = cells.covariates["cell_type"]
    code_B = clusters(cells)
    assert code_B is not None
    for label in np.unique(true_B):
        of_label = code_B[true_B == label]
        assert np.bincount(of_label).max() / len(of_label) > 0.9
    assert clusters(whole(counted())) is None


def test_cells_are_split_and_paired_by_their_type():
    cells = ladder_cells(counted(n_genes=8, n_cell_types=2), n_genes=6)
    assert len(cells.vocab) == 6
    assert not set(cells.training.cell_id_B.tolist()) & set(cells.held_out.cell_id_B.tolist())
    assert cells.match_on == ("cell_type",)
    assert not cells.states_found
    assert np.unique(grouped(cells.training, cells.match_on).covariates["cell_type"]).size == 2
    assert np.unique(grouped(cells.training, ()).covariates["cell_type"]).size == 1


def test_the_key_holds_all_that_decides_and_the_rate_is_that_of_the_kind_of_model():
    run = LadderRun(rung="exact", source="h5ad:a.h5ad")
    assert run.key != run.on("real").key != run.on("real", 0.1).key
    assert run.budget.learning_rate == 1.5e-2
    assert LadderRun(rung="exact", source="h5ad:a.h5ad", model="m.py:make").budget.learning_rate == 1e-3
