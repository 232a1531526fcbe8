"""The data of an experiment on a screen: no cell on two sides, and the exact answer of the world in the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnostics.inputs.data import screen_data_of
from diagnostics.runs.experiment import Experiment
from diagnostics.scoring.errors import errors_of
from gpcp.core.errors import InputError
from simulators.screens.design import design_named
from simulators.screens.files import screen_anndata
from simulators.screens.means import exact_mean
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world


def run_on(path: Path, **fields: object) -> Experiment:
    run = Experiment(
        source=f"screen:{path}", n_held_out=400, n_steps=1, batch_size=8, learning_rate=1e-3, seed=0, stamp=str(path)
    )
    return replace(run, **fields)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A screen of a world of 6 genes, one of whose batches is like the other."""
    design = design_named("ideal", n_targets=3, cells_per_target=60, n_controls=80, values="log")
    made = simulated_screen(world("scale_free/6", seed=0), design, seed=0)
    path = tmp_path_factory.mktemp("screen") / "screen.h5ad"
    screen_anndata(made).write_h5ad(path)
    return path


def test_no_cell_is_on_two_sides(file: Path) -> None:
    data = screen_data_of(run_on(file), validation_share=0.2)
    assert data.validation_pairs is not None
    sides = (data.training_pairs, data.held_out_pairs, data.validation_pairs)
    cells = [set(map(int, (*side.perturbed_N, *side.control_N))) for side in sides]
    assert sum(map(len, cells)) == len(set.union(*cells)) == 260
    assert len(data.held_out) == data.held_out_pairs.n_pairs
    assert len(set(data.held_out.after_id_B.tolist())) == len(data.held_out)


def test_the_exact_answer_is_the_worlds_mean_of_each_name(file: Path) -> None:
    data = screen_data_of(run_on(file, options=(("layer", "X"), ("values", "log"))))
    exact, pairs = data.exact(), data.held_out
    assert exact is not None
    assert pairs.applied is not None
    made = simulated_screen(
        world("scale_free/6", seed=0),
        design_named("ideal", n_targets=3, cells_per_target=60, n_controls=80, values="log"),
        seed=0,
    )
    means = exact_mean(made, n_cells=16_384)
    of_name_BG = np.stack([means.row(label, made.contexts[0], unit="log") for label in pairs.applied.labels()])
    assert (np.abs(exact.mean_BG - of_name_BG) < 5 * exact.standard_error_BG + 0.01).all()
    levels = data.held_out_levels()
    assert levels.bayes_risk is not None
    assert levels.bayes_risk < levels.baseline
    assert errors_of(exact.mean_BG, pairs).loss == pytest.approx(levels.bayes_risk, rel=0.01)
    assert len(data.graphs) == 1


def test_a_file_without_its_world_has_no_exact_answer(file: Path, tmp_path: Path) -> None:
    import anndata as ad

    bare = ad.read_h5ad(file)
    bare.uns.clear()
    bare.write_h5ad(tmp_path / "bare.h5ad")
    data, known = screen_data_of(run_on(tmp_path / "bare.h5ad")), screen_data_of(run_on(file))
    assert data.exact() is None
    assert data.graphs == ()
    assert np.array_equal(data.held_out.after_BG, known.held_out.after_BG)


def test_what_has_no_meaning_is_refused(file: Path) -> None:
    with pytest.raises(InputError, match="--n-perturbed has no meaning for a screen"):
        screen_data_of(run_on(file, n_perturbed=(1, 2)))
    with pytest.raises(InputError, match="to hold out is not in the screen"):
        screen_data_of(run_on(file, options=(("hold_out", ("nobody",)), ("hold_out_by", "perturbation"))))
