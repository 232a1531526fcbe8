"""What diagnostics offers to sweeps: levels in their order, and a rate at which the model learns."""

import json

import pytest

from diagnostics.commands.sweep.advice import RateAdvice, advise, named_losses
from diagnostics.inputs.synthetic import synthetic_pairs
from gpcp.core.pairs import concatenate
from gpcp.model.config import ModelConfig
from gpcp.opening.pairs import PairOptions, open_pairs, split_pairs
from gpcp.training.config import FitConfig


def test_the_levels_of_a_world_are_in_their_order():
    named = synthetic_pairs("scale_free/5", PairOptions())
    assert named is not None
    sample, held_out = (concatenate(list(named.pairs.pairs(batch_size=2_000, seed=seed))[:1]) for seed in (1, 2))
    levels = named_losses(sample, held_out, named.exact)
    assert list(levels) == ["baseline", "ridge", "Bayes risk"]
    assert levels["Bayes risk"] < levels["ridge"] < levels["baseline"]
    assert "Bayes risk" not in named_losses(sample, held_out, None)


@pytest.mark.slow
def test_the_range_test_advises_a_rate_and_its_advice_survives_a_file():
    named = synthetic_pairs("scale_free/5", PairOptions())
    assert named is not None
    model = ModelConfig(n_genes=5, width=8, n_heads=2, n_decoder_blocks=1, n_rounds=1)
    advice = advise(model, FitConfig(accelerator="cpu"), named.pairs, 0)
    assert advice is not None
    low, high = advice.usable
    assert low <= max(low, min(advice.suggestion, high)) <= high
    assert advice.losses[min(advice.losses, key=lambda rate: advice.losses[rate] or 1e9)] is not None
    assert RateAdvice.from_json(json.loads(json.dumps(advice.to_json()))) == advice


def test_a_world_of_a_name_makes_pairs_or_cells():
    named = open_pairs("synthetic:scale_free/5", PairOptions(regime="matched"), n_cells=100)
    assert named.pairs.n_pairs == 50
    split = split_pairs(named, n_held_out=30, seed=0)
    assert len(split.held_out) == 30
    # Another draw of the same world: none of the training's pairs.
    first = next(iter(split.training.pairs(batch_size=30, seed=0)))
    assert not (first.before_BG == split.held_out.before_BG).all(axis=1).any()


@pytest.mark.parametrize("n_cells", [60, 400])
def test_cells_are_apart(n_cells: int):
    named = open_pairs("synthetic:scale_free/5", PairOptions(), n_cells=n_cells, library_size=500.0)
    split = split_pairs(named, n_held_out=1_000, seed=3)
    held = {*split.held_out.before_id_B.tolist(), *split.held_out.after_id_B.tolist()}
    trained = {
        name
        for batch in split.training.pairs(batch_size=64, seed=1)
        for name in (*batch.before_id_B.tolist(), *batch.after_id_B.tolist())
    }
    assert held
    assert not held & trained
    assert len(held) <= 0.2 * n_cells + 1
