"""Healthy subjects alarm no exact check: every combination of the model's parts, plain modules, few and many genes."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from gpcp.model.attention import NORMS
from gpcp.model.config import ModelConfig
from gpcp.model.embedding import VALUE_EMBEDDINGS
from gpcp.model.heads.registry import HEADS, gives_distribution
from gpcp.model.queries import QUERY_FORMS
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.loss import OBJECTIVES, Objective
from tests.diagnostics.checks.subjects import (
    Linear,
    Mlp,
    PartlyMeasured,
    failures,
    found,
    made,
    pairs_of,
    report,
    subject,
    transformer,
)

SEED = {
    *("perturbation_reaches_others", "reads_which", "reads_dose", "reads_sign", "identity", "rank"),
    *("distinguishes_genes", "reads_every_perturbation"),
}
"""What the seed rightly fails, each query by itself: no path from one gene's perturbation to another's value (and so
none for its name, dose and sign, or for one beside others); identity x value is 0 where the value is 0, so that all
unperturbed genes make the same query and get the same prediction, one number for all."""

COMBINATIONS = [
    # Every head, value embedding and norm is met by those that are fast; the slow rest is all combinations.
    pytest.param(head, value, form, norm, marks=[pytest.mark.slow] * bool((i + j) % 4 or (i + k) % 3))
    for (i, head), (j, value), form, (k, norm) in product(
        enumerate(HEADS), enumerate(VALUE_EMBEDDINGS), QUERY_FORMS, enumerate(NORMS)
    )
    if HEADS[head][0] == "pooled" or form == "all_genes"
]


def rightly(head: str, value: str) -> list[str]:
    """Where the identity is lost at value 0 and no output of its own gives it back, or where all answers lie on one
    line, that is what is found."""
    nameless = value == "product" and head in ("linear", "mlp")
    on_a_line = head == "pooled_scalar"
    return ["architecture.identity"] * nameless + ["architecture.rank"] * on_a_line


@pytest.mark.parametrize("measured", [pytest.param("all", marks=pytest.mark.slow), "some"])
@pytest.mark.parametrize("name", ["default", "seed", "seed_perturbed"])
def test_the_presets_fail_what_their_architecture_cannot_do_and_nothing_else(name: str, measured: str):
    pairs = pairs_of(12) if measured == "all" else PartlyMeasured(pairs_of(12))
    expected = SEED if name == "seed" else set[str]()
    model = transformer(name, 12, whole=True)
    assert set(failures(subject(model, pairs=pairs))) == {f"architecture.{one}" for one in expected}


def test_the_seeds_diagnosis_is_the_path_that_is_missing():
    diagnosis = report(subject(transformer("seed", 12, whole=True), n_genes=12)).diagnosis
    assert diagnosis is not None
    assert (diagnosis.name, diagnosis.cause) == ("architecture.perturbation_reaches_others", "architecture")


@pytest.mark.parametrize(("head", "value", "form", "norm"), COMBINATIONS)
def test_every_combination_of_the_models_parts(head: str, value: str, form: str, norm: str):
    config = ModelConfig(
        n_genes=6, width=16, head=head, value_embedding=value, query_form=form, norm=norm, dropout=0.2
    )  # fmt: skip
    model = GenePerturbationTransformer(config, seed=1)
    pairs = PartlyMeasured(pairs_of(6))
    assert failures(subject(model, pairs=pairs), "architecture", "optimiser.gradients") == rightly(head, value)


@pytest.mark.parametrize(
    ("head", "objective"),
    [
        # The likelihood of one head is met by what is fast; the slow rest is all of them.
        pytest.param(head, objective, marks=[pytest.mark.slow] * ((head, objective) != ("gaussian", "likelihood")))
        for head, objective in product(filter(gives_distribution, HEADS), OBJECTIVES)
    ],
)
def test_a_head_that_gives_a_distribution_as_fit_trains_it(head: str, objective: Objective):
    model = GenePerturbationTransformer(ModelConfig(n_genes=6, width=16, head=head), seed=0)
    asked = fitted_subject(model, pairs_of(6), FitConfig(objective=objective, batch_size=64))
    assert failures(asked) == []


def test_a_likelihood_s_step_that_turns_the_gradient_is_found():
    model = GenePerturbationTransformer(ModelConfig(n_genes=6, width=16, head="gaussian"), seed=0)
    asked = fitted_subject(model, pairs_of(6), FitConfig(objective="likelihood", batch_size=64))

    def turned(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
        loss = asked.composed_loss(model, pairs)
        optimizer.zero_grad()
        (-loss).backward()
        optimizer.step()
        return loss

    assert failures(replace(asked, training_step=turned)) != []


@pytest.mark.parametrize("n_genes", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4))])
@pytest.mark.parametrize("name", ["default", "seed_perturbed"])
def test_a_few_genes(n_genes: int, name: str):
    assert failures(subject(transformer(name, n_genes), n_genes=n_genes)) == []


@pytest.mark.parametrize("make", [Linear, Mlp])
@pytest.mark.parametrize("measured", ["all", "some"])
@pytest.mark.parametrize("n_genes", [2, 8])
def test_plain_modules(make: Callable[[int], nn.Module], measured: str, n_genes: int):
    pairs = pairs_of(n_genes) if measured == "all" else PartlyMeasured(pairs_of(n_genes))
    assert failures(subject(made(lambda: make(n_genes)), pairs=pairs)) == []


def test_a_model_alone_is_asked_what_can_be_asked():
    results = report(Subject(model=transformer())).results
    assert {result.outcome for result in results} == {"pass", "not_applicable"}
    assert sum(result.outcome == "pass" for result in results) > 20


def test_single_precision_is_enough_where_a_model_knows_no_other():
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Mlp(8)

        def forward(self, before_BG, target_BG, measured_BG, perturbed_BG):
            return self.inner.float()(before_BG.float(), target_BG.float(), measured_BG, perturbed_BG)

    assert failures(subject(made(Single))) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "seed_perturbed"])
def test_two_thousand_genes(name: str):
    assert failures(subject(transformer(name, 2000), pairs=PartlyMeasured(pairs_of(2000, n_pairs=20)))) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_other_draws_alarm_no_more(seed: int):
    assert [one.name for one in report(subject(n_genes=5), seed=seed).results if one.outcome == "fail"] == []


def test_a_report_of_exact_checks_is_a_pass():
    assert report(subject()).passed
    assert found(subject(), "architecture.finite").seconds is not None
