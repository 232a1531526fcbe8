"""What a model reads: every check with the fault that it catches, planted between batch and model."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.model.batch import ModelBatch, model_batch
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.checks.subjects import Altered, PartlyMeasured, failures, found, pairs_of, subject, transformer


def own_and(reach: Altered) -> Altered:
    """A gene's own expression, a gene number, and something else; no path between genes but that."""

    def answer(model: nn.Module, batch: ModelBatch) -> Tensor:
        before_BL = torch.where(batch.measured_BL, batch.before_BL, 0.0)
        weight = next(model.parameters()).reshape(-1)[0]
        return weight * before_BL * (1 + 0.1 * batch.token_BL) + reach(model, batch)

    return answer


def logarithm(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(batch).log()


def dropout_in_evaluation(model: nn.Module, batch: ModelBatch) -> Tensor:
    return F.dropout(model(batch), 0.1, training=True)


def no_measured(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(replace(batch, measured_BL=torch.ones_like(batch.measured_BL)))


def product_with_measured(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(batch) + (batch.before_BL * batch.measured_BL).mean(dim=1, keepdim=True)


def chosen_too_late(model: nn.Module, batch: ModelBatch) -> Tensor:
    """The answer is right; the gradient of what torch.where dropped is 0 x NaN."""
    weight = next(model.parameters()).reshape(-1)[0]
    return model(batch) + torch.where(batch.measured_BL, batch.before_BL * weight, 0.0)


def target_everywhere(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(batch) + batch.target_BL


def no_expression(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(replace(batch, before_BL=torch.zeros_like(batch.before_BL)))


def perturbed_only(model: nn.Module, batch: ModelBatch) -> Tensor:
    return torch.where(batch.perturbed_BL, batch.target_BL, 0.0).sum(dim=1, keepdim=True) * (1 + batch.token_BL)


def nothing_attended(model: nn.Module, batch: ModelBatch) -> Tensor:
    """As soon as one gene is unmeasured, genes no longer see each other."""
    perturbed = 0.1 * perturbed_only(model, batch)
    if bool(batch.measured_BL.all()):
        return perturbed + batch.before_BL.mean(dim=1, keepdim=True)
    return perturbed


def no_perturbation(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(replace(batch, perturbed_BL=torch.zeros_like(batch.perturbed_BL)))


def perturbed_without_name(model: nn.Module, batch: ModelBatch) -> Tensor:
    perturbed = torch.where(batch.perturbed_BL, batch.target_BL + batch.target_BL**2, 0.0).sum(dim=1, keepdim=True)
    return perturbed + torch.where(batch.measured_BL, batch.before_BL, 0.0).mean(dim=1, keepdim=True)


def flag_only(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(replace(batch, target_BL=batch.perturbed_BL.to(batch.before_BL)))


def size_only(model: nn.Module, batch: ModelBatch) -> Tensor:
    return model(replace(batch, target_BL=batch.before_BL + (batch.target_BL - batch.before_BL).abs()))


FAULTS: list[tuple[str, Altered]] = [
    ("architecture.finite", logarithm),
    ("architecture.repeatable", dropout_in_evaluation),
    ("architecture.unmeasured", no_measured),
    ("architecture.unperturbed", target_everywhere),
    ("architecture.reads_expression", no_expression),
    ("architecture.reads_other_genes", own_and(perturbed_only)),
    ("architecture.reads_measured", own_and(nothing_attended)),
    ("architecture.reads_perturbation", no_perturbation),
    ("architecture.reads_which", own_and(perturbed_without_name)),
    ("architecture.reads_dose", flag_only),
    ("architecture.reads_sign", size_only),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_a_planted_fault_is_found_by_its_check_first(name: str, fault: Altered):
    assert failures(subject(forward=fault, pairs=PartlyMeasured(pairs_of())), "architecture")[0] == name


@pytest.mark.parametrize("pairs", [pairs_of(), PartlyMeasured(pairs_of())], ids=["all", "some"])
def test_a_nan_that_would_get_through_is_a_risk_where_none_is_stored(pairs: PairSource):
    result = found(subject(forward=product_with_measured, pairs=pairs), "architecture.nan_unmeasured")
    assert result.outcome == "pass"
    assert result.message.startswith("a risk")
    assert result.next_step


def test_a_nan_that_is_stored_and_gets_through_is_found():
    def stored(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
        batch, after_BL = model_batch(pairs)
        nan_BL = torch.where(batch.measured_BL, batch.before_BL, torch.nan)
        return replace(batch, before_BL=nan_BL), after_BL

    pairs = PartlyMeasured(pairs_of())
    asked = subject(forward=product_with_measured, pairs=pairs, collate=stored)
    assert found(asked, "architecture.nan_unmeasured").outcome == "fail"


def test_what_is_not_given_is_not_asked():
    by_flag = subject(forward=flag_only, intent=Intent(given="identity"))
    assert failures(by_flag, "architecture") == []
    assert found(by_flag, "architecture.reads_dose").outcome == "not_applicable"
    without = subject(forward=no_measured, intent=Intent(masked=False), pairs=PartlyMeasured(pairs_of()))
    assert failures(without, "architecture") == []
    assert found(without, "architecture.padding").outcome == "not_applicable"
    drawing = subject(forward=dropout_in_evaluation, intent=Intent(random=True))
    assert found(drawing, "architecture.repeatable").outcome == "not_applicable"


def one_slot(model: nn.Module, batch: ModelBatch) -> Tensor:
    """A model that takes one perturbed gene."""
    assert int(batch.perturbed_BL.sum(dim=1).max()) <= 1
    return model(batch)


def test_no_check_perturbs_more_genes_than_a_pair_can_have():
    one = SimulatedPairs(scm=world("scale_free/8").scm, regime="interventional", n_pairs=200, n_perturbed=(1, 1))
    assert failures(subject(forward=one_slot, pairs=one)) == []
    alone = Subject(model=transformer(), forward=one_slot, intent=Intent(most_perturbed=1))
    assert failures(alone, "architecture") == []


def test_a_nan_that_reaches_gradients_alone_is_seen():
    result = found(subject(forward=chosen_too_late), "architecture.nan_unmeasured")
    assert result.message.startswith("a risk")
    assert "gradients" in result.message


def test_a_model_whose_queries_never_meet_has_no_path_from_one_change_to_another_gene():
    result = found(subject(transformer("seed")), "architecture.perturbation_reaches_others")
    assert (result.outcome, result.cause, result.statistic) == ("fail", "architecture", 0.0)


def test_with_two_genes_what_takes_three_is_not_asked():
    assert found(subject(n_genes=2), "architecture.reads_which").outcome == "not_applicable"


def test_a_finding_says_what_it_was_judged_by():
    result = found(subject(forward=no_expression), "architecture.reads_expression")
    assert result.statistic is not None
    assert result.tolerance is not None
    assert result.statistic <= result.tolerance
    assert result.next_step
