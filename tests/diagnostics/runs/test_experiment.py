"""What decides a result is in the key of its experiment, and the configurations follow from its fields."""

import pickle
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.runs.experiment import FEW_GENES, Experiment, changes, one_thread, steps_for
from gpcp.core.errors import InputError
from gpcp.model.config import preset
from gpcp.training.config import FitConfig

RUN = Experiment(source="synthetic:chain/5", n_steps=5, batch_size=8, learning_rate=1e-3, n_held_out=10, seed=0)
OTHERS: dict[str, Any] = {
    "source": "synthetic:chain/6",
    "options": (("world_seed", 3),),
    "stamp": "of another file",
    "genes": "panel.txt",
    "n_genes": 7,
    "regime": "counterfactual",
    "n_perturbed": (1, 2),
    "dose_sd": 1.0,
    "n_pairs": 40,
    "n_held_out": 11,
    "preset": "seed",
    "changed": (("width", 8),),
    "n_steps": 6,
    "batch_size": 9,
    "learning_rate": 2e-3,
    "seed": 1,
    "replicate": 1,
    "thorough": True,
}


def test_every_field_is_in_the_key():
    assert set(OTHERS) == {field.name for field in fields(Experiment)}
    keys = {replace(RUN, **{name: value}).key for name, value in OTHERS.items()}
    assert len(keys | {RUN.key}) == len(OTHERS) + 1
    assert pickle.loads(pickle.dumps(RUN)).key == RUN.key


def test_a_world_is_of_the_seed_or_of_the_one_that_is_named():
    weights = [
        run.world().graph.weight_GG.tolist()
        for run in (RUN, replace(RUN, seed=1), replace(RUN, seed=1, options=(("world_seed", 0),)))
    ]
    assert weights[0] == weights[2] != weights[1]


def test_sequenced_cells_of_a_world_are_no_world():
    assert RUN.is_world
    assert not replace(RUN, options=(("library_size", 1000),)).is_world
    assert not replace(RUN, source="h5ad:cells.h5ad").is_world
    with pytest.raises(InputError, match="give --library-size too"):
        replace(RUN, options=(("dropout", 0.1),)).world()


@given(
    width=st.sampled_from([8, 16, 32]),
    skip=st.booleans(),
    dropout=st.sampled_from([0.0, 0.5]),
    patience=st.none() | st.integers(1, 9),
    preset_name=st.sampled_from(["default", "seed"]),
)
def test_changes_are_the_way_from_the_preset_to_the_configurations(
    width: int, skip: bool, dropout: float, patience: int | None, preset_name: str
):
    run = replace(RUN, preset=preset_name)
    before = run.configs(5)
    after = replace(before[0], width=width, skip=skip, dropout=dropout), replace(before[1], patience=patience)
    assert replace(run, changed=changes(*after, since=before)).configs(5) == after
    assert changes(*before, since=before) == ()
    assert before == (preset(preset_name, 5), FitConfig(batch_size=8, learning_rate=1e-3).lasting(5))


def test_more_genes_get_half_as_many_steps_again():
    assert steps_for(FEW_GENES, 600) == 600
    assert steps_for(FEW_GENES + 1, 600) == 900


def test_one_thread_gives_the_others_back():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
