"""The model of a checkpoint is the one that training ends with, and knows its genes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import FixedPairs
from gpcp.core.predictors import control_of, perturbation_of
from gpcp.model.config import preset
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from gpcp.training.trained import GENES, trained_predictor
from simulators.sources import SimulatedPairs
from simulators.worlds import world

PAIRS = SimulatedPairs(scm=world("chain/4").scm, regime="interventional", n_pairs=200)
BATCH = next(PAIRS.pairs(batch_size=20, seed=1))


def trained(path: Path, *, early: bool = False) -> GenePerturbationTransformer:
    model = GenePerturbationTransformer(preset("default", 4), seed=0)
    rate = 1.0 if early else 1e-2
    config = FitConfig(
        n_steps=60 if early else 12, batch_size=16, learning_rate=rate, evaluate_every=2, patience=2 if early else None
    )
    fit(model, PAIRS, config, held_out=BATCH if early else None, checkpoint=path)
    return model


@pytest.mark.parametrize("early", [False, True])
def test_it_answers_as_the_model_that_was_trained(tmp_path: Path, early: bool):
    path = tmp_path / "checkpoint.pt"
    model = trained(path, early=early)
    if early:
        last = torch.load(path, weights_only=True)["model"]
        assert any(not torch.equal(last[name], value) for name, value in model.state_dict().items())
    found = trained_predictor(path)
    assert found.vocab == PAIRS.vocab
    expected = ModelPredictor(model, PAIRS.vocab).predict(control_of(BATCH), perturbation_of(BATCH))
    assert np.array_equal(found.predict(control_of(BATCH), perturbation_of(BATCH)), expected)


def test_a_model_in_double_precision_stays_one(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    trained(path)
    state = torch.load(path, weights_only=True)
    state["model"] = {name: value.double() * (1 + 1e-12) for name, value in state["model"].items()}
    torch.save(state, path)
    found = trained_predictor(path).model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state["model"].items())


def test_a_checkpoint_from_before_genes_were_kept(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    trained(path)
    state = torch.load(path, weights_only=True)
    del state["made_with"][GENES]
    torch.save(state, path)
    with pytest.raises(InputError, match="does not say which genes its 4 tokens are"):
        trained_predictor(path)
    with pytest.raises(InputError, match="of a model of 4 genes, and not of these 3"):
        trained_predictor(path, vocab=GeneVocab(feature_id=PAIRS.vocab.feature_id[:3]))
    assert trained_predictor(path, vocab=PAIRS.vocab).vocab == PAIRS.vocab
    trained(path)  # It is gone on with, too.


def test_what_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(InputError, match=r"checkpoint '.*none.pt' does not exist"):
        trained_predictor(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match=r"is no checkpoint of gpcp \(\w+\)$"):
        trained_predictor(tmp_path / "text.pt")


def test_training_does_not_go_on_with_other_genes(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    trained(path)
    turned = FixedPairs(held=BATCH.genes(np.arange(4)[::-1]))
    config = FitConfig(n_steps=12, batch_size=16, learning_rate=1e-2, evaluate_every=2)
    with pytest.raises(InputError, match="made with another set of genes"):
        fit(GenePerturbationTransformer(preset("default", 4), seed=0), turned, config, checkpoint=path)
