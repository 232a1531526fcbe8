"""What must leave an answer as it is: every check with the fault that it catches."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from gpcp.model.batch import ModelBatch
from tests.diagnostics.checks.subjects import Altered, Mlp, PartlyMeasured, failures, found, made, pairs_of, subject


def by_position(model: nn.Module, batch: ModelBatch) -> Tensor:
    """A positional encoding."""
    return model(batch) + 0.1 * torch.arange(batch.before_BL.shape[1]).to(batch.before_BL)


def rolled_identities(model: nn.Module, batch: ModelBatch) -> Tensor:
    """Each value meets its neighbour's gene."""
    return model(replace(batch, token_BL=batch.token_BL.roll(1, dims=1)))


def batch_mean(model: nn.Module, batch: ModelBatch) -> Tensor:
    answer_BL = model(batch)
    return answer_BL + 0.1 * torch.where(batch.measured_BL, batch.before_BL, 0.0).mean()


def first_pairs_genes_only(model: nn.Module, batch: ModelBatch) -> Tensor:
    """The mask of the first pair serves all."""
    measured_BL = batch.measured_BL & batch.measured_BL[:1]
    answer_BL = model(replace(batch, measured_BL=measured_BL, perturbed_BL=batch.perturbed_BL & measured_BL))
    return torch.where(measured_BL, answer_BL, batch.before_BL)


def first_pair_only(model: nn.Module, batch: ModelBatch) -> Tensor:
    """The perturbation reaches the first pair of a batch only."""
    first_B1 = (torch.arange(len(batch)) == 0)[:, None]
    return model(replace(batch, perturbed_BL=batch.perturbed_BL & first_B1))


def padding_identity(model: nn.Module, batch: ModelBatch) -> Tensor:
    """Values are dropped where unmeasured, and the genes there still count: the attention mask is missing."""
    before_BL = torch.where(batch.measured_BL, batch.before_BL, 0.0)
    return model(replace(batch, before_BL=before_BL, measured_BL=torch.ones_like(batch.measured_BL)))


def mean_over_positions(model: nn.Module, batch: ModelBatch) -> Tensor:
    """Padding values are dropped, and padding positions counted."""
    before_BL = torch.where(batch.measured_BL, batch.before_BL, 0.0)
    return model(batch) + before_BL.mean(dim=1, keepdim=True)


class OtherInTraining(nn.Module):
    """Shrinks what it is given while training."""

    def forward(self, value: Tensor) -> Tensor:
        return value * (0.5 if self.training else 1.0)


class NoisyInTraining(nn.Module):
    """A dropout of its own."""

    def forward(self, value: Tensor) -> Tensor:
        return torch.dropout(value, 0.5, self.training)


class ListOfLayers(nn.Module):
    """Layers in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(32, 32)]

    def forward(self, value: Tensor) -> Tensor:
        return self.layers[0](value)


class LosesItsWeight(nn.Module):
    """Takes no weights back."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 32)
        self._register_load_state_dict_pre_hook(self._forget)

    def _forget(self, state: dict[str, Tensor], prefix: str, *_: object) -> None:
        state[f"{prefix}linear.bias"] = torch.zeros(32)

    def forward(self, value: Tensor) -> Tensor:
        return self.linear(value)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("architecture.gene_order", by_position),
        ("architecture.gene_order", rolled_identities),
        ("architecture.other_cells", batch_mean),
        ("architecture.other_cells", first_pairs_genes_only),
        ("architecture.other_cells", first_pair_only),
        ("architecture.padding", mean_over_positions),
        ("architecture.padding", padding_identity),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)  # fmt: skip
def test_a_planted_fault_is_found_by_its_check_first(name: str, fault: Altered):
    assert failures(subject(forward=fault, pairs=PartlyMeasured(pairs_of())), "architecture")[0] == name


@pytest.mark.parametrize("fault", [by_position, mean_over_positions, padding_identity])
def test_what_takes_an_unmeasured_gene_to_do_harm_is_a_risk_where_all_are_measured(fault: Altered):
    assert failures(subject(forward=fault), "architecture") == []
    names = ("architecture.gene_order", "architecture.padding")
    results = [found(subject(forward=fault), name) for name in names]
    noted = [one for one in results if one.message.startswith("a risk")]
    assert noted
    assert all(one.outcome == "pass" and one.next_step for one in noted)


def mean_of_sets(model: nn.Module, batch: ModelBatch) -> Tensor:
    """Every three cells are answered together."""
    value_BL = torch.where(batch.measured_BL, batch.before_BL, 0.0)
    return model(batch) + value_BL.reshape(-1, 3, value_BL.shape[1]).mean(dim=1).repeat_interleave(3, dim=0)


def test_cells_of_a_set_may_depend_on_each_other_and_on_no_other_set():
    sets = Intent(set_size=3)
    assert failures(subject(forward=mean_of_sets, intent=sets), "architecture") == []
    mixed = subject(forward=batch_mean, intent=sets)
    assert failures(mixed, "architecture") == ["architecture.other_cells"]
    assert found(subject(forward=batch_mean, intent=Intent(set_size=12)), "architecture.other_cells").outcome == "fail"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("architecture.state_dict", ListOfLayers),
        ("architecture.state_dict", LosesItsWeight),
        ("architecture.modes", OtherInTraining),
    ],
)
def test_a_faulty_layer_is_found_by_its_check_first(name: str, part: type[nn.Module]):
    model = made(lambda: Mlp(8, extra=part()))
    assert failures(subject(model), "architecture")[0] == name


@pytest.mark.parametrize("part", [lambda: nn.Dropout(0.3), lambda: nn.AlphaDropout(0.3)])
def test_dropout_layers_are_no_difference_between_the_modes(part: type[nn.Module]):
    assert found(subject(made(lambda: Mlp(8, extra=part()))), "architecture.modes").outcome == "pass"


@pytest.mark.parametrize("part", [lambda: nn.BatchNorm1d(32), NoisyInTraining])
def test_what_differs_between_the_modes_by_design_is_named_and_not_judged(part: type[nn.Module]):
    asked = subject(made(lambda: Mlp(8, extra=part())))
    assert found(asked, "architecture.modes").outcome == "not_applicable"
    assert failures(asked, "architecture") == []


@pytest.mark.parametrize(("momentum", "outcome"), [(0.1, "not_applicable"), (0.0, "fail")])
def test_running_statistics_must_follow(momentum: float, outcome: str):
    model = made(lambda: Mlp(8, extra=nn.BatchNorm1d(32, momentum=momentum)))
    result = found(subject(model), "architecture.modes")
    assert result.outcome == outcome, result.message
