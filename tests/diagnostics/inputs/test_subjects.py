"""What a command line names becomes a subject: its training as ``fit``'s, checkpoints, cells matched two by two."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.subject import Subject
from diagnostics.commands.diagnose.page import page
from diagnostics.commands.diagnose.run import subject_asked
from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.subjects import subject_named
from diagnostics.results.card import Card
from gpcp.core.errors import InputError
from gpcp.loading.sharding import epoch_seed
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.opening.pairs import PairOptions, open_pairs
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from gpcp.training.loss import Objective
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.commands.verbs import request_of
from tests.gpcp.sources.h5ad.anndata_files import file_of

PAIRS = SimulatedPairs(scm=world("chain/5").scm, regime="interventional", n_pairs=4_000)


def named(*words: str) -> Subject:
    return subject_asked(request_of("diagnose", *words))


@pytest.mark.parametrize(("head", "objective"), [("per_gene_mlp", "squared"), ("mixture", "likelihood")])
def test_a_fitted_subject_takes_the_steps_of_fit(head: str, objective: Objective) -> None:
    model_config = replace(preset("default", 5), head=head)
    # As many warm-up steps as there are steps, so that the rate of each is known: fit's schedule is not the subject's.
    config = FitConfig(n_steps=3, batch_size=32, warmup_steps=0, accelerator="cpu", objective=objective)
    fitted = GenePerturbationTransformer(model_config, seed=3)
    fit(fitted, PAIRS, config)
    model = GenePerturbationTransformer(model_config, seed=3)
    subject = fitted_subject(model, PAIRS, config)
    assert subject.make_optimizer is not None
    optimizer = subject.make_optimizer(model)
    model.train()
    for step, batch in zip(range(3), PAIRS.pairs(batch_size=32, seed=epoch_seed(0, 0)), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate_at(step)
        subject.step(model, optimizer, batch)
    # The same operations in the same order; clipping is Fabric's there and torch's here.
    for name, value in fitted.state_dict().items():
        assert torch.allclose(value, model.state_dict()[name], rtol=1e-5, atol=1e-7), name


def test_a_likelihood_of_a_model_that_gives_a_mean_alone_is_refused() -> None:
    model = GenePerturbationTransformer(preset("default", 5))
    with pytest.raises(InputError, match="gives no distribution"):
        fitted_subject(model, PAIRS, FitConfig(objective="likelihood"))


def test_a_checkpoint_of_fit_holds_its_model_and_its_rate(tmp_path: Path) -> None:
    config = FitConfig(n_steps=2, batch_size=16, learning_rate=3e-3, accelerator="cpu")
    trained = GenePerturbationTransformer(preset("seed", 5))
    path = tmp_path / "weights.ckpt"
    fit(trained, PAIRS, config, checkpoint=path)
    for words in (["--checkpoint", str(path)], ["--checkpoint", str(path), "--model", "seed"]):
        subject = named("--source", "synthetic:chain/5", *words)
        assert subject.model is not None
        assert subject.make_optimizer is not None
        assert all(torch.equal(value, subject.model.state_dict()[name]) for name, value in trained.state_dict().items())
        assert subject.make_optimizer(subject.model).param_groups[0]["lr"] == 3e-3
    with pytest.raises(InputError, match="not of this model"):
        named("--source", "synthetic:chain/5", "--checkpoint", str(path), "--model", "default")
    with pytest.raises(InputError, match="has 5 genes"):
        named("--source", "synthetic:chain/6", "--checkpoint", str(path))


def test_a_preset_works_in_the_units_of_its_pairs() -> None:
    subject = named("--source", "synthetic:chain/5", "--model", "default")
    assert isinstance(subject.model, GenePerturbationTransformer)
    assert not np.allclose(subject.model.spread_G.numpy(), 1.0)
    assert subject.exact is not None


def test_a_model_of_ones_own_is_trained_only_at_a_rate_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from gpcp.model.transformer import GenePerturbationTransformer\nfrom gpcp.model.config import preset\n"
        "def build(n_genes):\n    return GenePerturbationTransformer(preset('default', n_genes))\n",
        encoding="utf-8",
    )
    words = ["--source", "synthetic:chain/5", "--model", f"{path}:build"]
    without, with_rate = named(*words), named(*words, "--learning-rate", "0.002")
    assert without.make_optimizer is None
    assert without.loss is None
    assert with_rate.make_optimizer is not None
    assert with_rate.model is not None
    assert with_rate.make_optimizer(with_rate.model).param_groups[0]["lr"] == 0.002


def test_a_factory_may_give_a_whole_subject(tmp_path: Path) -> None:
    path = tmp_path / "whole.py"
    path.write_text(
        "from diagnostics.faults.healthy import healthy_subject\n"
        "def build():\n    return healthy_subject('chain/6', regime='matched')\n",
        encoding="utf-8",
    )
    assert named("--model", f"{path}:build").n_genes == 6
    assert named("--model", f"{path}:build", "--source", "synthetic:chain/6").held_out is None
    with pytest.raises(InputError, match="leave --learning-rate out"):
        named("--model", f"{path}:build", "--learning-rate", "1")


def test_sequenced_cells_are_matched_two_by_two() -> None:
    words = ["--source", "synthetic:chain/5", "--library-size", "2000", "--n-cells", "300", "--n-cell-types", "2"]
    subject = named(*words)
    assert subject.model is None
    assert subject.exact is None
    assert subject.pairs is not None
    n_pairs = sum(len(batch) for batch in subject.pairs.pairs(batch_size=64, seed=0))
    # Every cell of a type finds another, but for one of each type at most.
    assert 149 <= n_pairs <= 150
    assert "same cell_type" in subject.name


def test_what_the_cells_of_a_file_were_taken_for_stands_in_every_report(tmp_path: Path):
    counts = np.random.default_rng(0).poisson(3, (60, 5)).astype(np.float32)
    opened = open_pairs(str(file_of(tmp_path, counts)), PairOptions(max_cells=60))
    report = diagnose(subject_named(opened, model=None), only=["data.two_cells"])
    card = Card.of(report, {})
    parts = page(report, card, [], {}, command=[], seconds=0.0)
    for shown in (report.text(), card.text(), json.dumps(report.to_json()), parts):
        words = " ".join(shown.replace("&#39;", "'").split())
        assert "layer 'X' of 'cells.h5ad' as counts" in words
        assert "totals over all 5 genes of the layer" in words
    assert set(report.taken_as) == {"cells"}
