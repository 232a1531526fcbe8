"""Files of simulated screens: each tool's columns, what X holds, the truth, and the same screen made again."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

from gpcp.core.errors import InputError
from simulators.screens.conventions import CONVENTIONS
from simulators.screens.design import design_named
from simulators.screens.files import ESCAPED, KEY, screen_anndata, screen_of, write_screen
from simulators.screens.means import exact_mean, log_values
from simulators.screens.simulated import SimulatedScreen, simulated_screen
from simulators.worlds import world


def screen(**changes: Any) -> SimulatedScreen:
    small = {"n_targets": 4, "n_combinations": 2, "cells_per_target": 6, "n_controls": 9, "n_contexts": 2}
    return simulated_screen(world("scale_free/15", seed=1), design_named("plain", **(small | changes)), seed=5)


def dense(values: Any) -> np.ndarray:
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)


@pytest.mark.parametrize("tool", list(CONVENTIONS))
@pytest.mark.parametrize("values", ["counts", "log", "latent"])
def test_a_file_holds_the_labels_and_values_of_its_screen(tool: str, values: str, tmp_path: Path):
    one = screen(values=values, rewired=0.1)
    path = tmp_path / "screen.h5ad"
    write_screen(path, screen_anndata(one, seed=3, tool=tool))
    read = anndata.read_h5ad(path)
    convention = CONVENTIONS[tool]
    assert tuple(read.var_names) == one.vocab.feature_id
    assert (read.obs[convention.perturbation] == convention.control).sum() == 18
    for guides in one.perturbations:
        for context in one.contexts:
            rows = (read.obs[convention.perturbation] == convention.label(guides)).to_numpy()
            rows &= (read.obs[convention.context] == context).to_numpy()
            cells = one.sampler(guides.label, context, one.n_cells(guides.label), 3)
            assert rows.sum() == one.n_cells(guides.label)
            expected = {
                "counts": cells.count_BG,
                "log": log_values(cells.count_BG, one.design.log_total),
                "latent": cells.latent_BG,
            }[values]
            np.testing.assert_allclose(dense(read.X)[rows], expected, rtol=1e-6)
            np.testing.assert_array_equal(read.obs[ESCAPED].to_numpy()[rows], cells.escaped_B)
            if values == "log":
                np.testing.assert_array_equal(dense(read.layers["counts"])[rows], cells.count_BG)


def test_a_screen_is_made_again_from_its_file(tmp_path: Path):
    one = screen(hidden_targets=0.5)
    path = tmp_path / "screen.h5ad"
    means = exact_mean(one, n_cells=64)
    write_screen(path, screen_anndata(one, means=means))
    read = anndata.read_h5ad(path)
    again = screen_of(read.uns)
    assert again is not None
    assert again.perturbations == one.perturbations
    assert again.vocab == one.vocab
    for context in one.contexts:
        first, second = (each.sampler(one.labels[2], context, 10, 8).count_BG for each in (one, again))
        np.testing.assert_array_equal(first, second)
    held = read.uns[KEY]
    assert held["labels"][0] == "non-targeting"
    assert held["mean"]["count"].shape == (2 * 7, len(one.vocab))
    np.testing.assert_array_equal(held["mean"]["log"][1], means.log_context_label_G[0, 1])
    assert len(held["graphs"]["context_1"]["weight"]) == one.world.graph.n_edges


def test_a_truth_that_cannot_be_made_again_is_refused():
    assert screen_of({}) is None
    uns = dict(screen_anndata(screen()).uns)
    with pytest.raises(InputError, match="has format 99"):
        screen_of({KEY: {**uns[KEY], "format": 99}})
    with pytest.raises(InputError, match="this version of gpcp makes another"):
        screen_of({KEY: {**uns[KEY], "world_seed": 2}})


def test_an_unknown_tool_is_refused():
    with pytest.raises(InputError, match="no convention of 'geers'; nearest: gears"):
        screen_anndata(screen(), tool="geers")
