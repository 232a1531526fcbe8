"""The coordinate check: exponents of the width that theory gives, for a standard parametrisation and for muP."""

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.optimiser.width import KEEPS, PREDICTION, growths
from tests.diagnostics.checks.sources import pairs_of
from tests.diagnostics.checks.subjects import Linear, found, made, subject, transformer

NAME = "optimiser.width"
PAIRS = pairs_of(n_pairs=500)


class Wide(nn.Module):
    """Two hidden layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(32, width), nn.Linear(width, width), nn.Linear(width, 8)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        given = torch.cat((before_BG, target_BG, measured_BG.to(before_BG), perturbed_BG.to(before_BG)), dim=1)
        return self.last(torch.relu(self.second(torch.relu(self.first(given)))))


def mup(width: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Table 8 of Yang et al. 2021 for Adam: rates of matrices whose inputs grow, and the output's first weights."""
    model = Wide(width)
    nn.init.normal_(model.last.weight, std=1 / width)
    grows = [model.second.weight, model.last.weight]
    others = [one for one in model.parameters() if not any(one is other for other in grows)]
    rate = 1e-2
    groups = [{"params": grows, "lr": rate * 32 / width}, {"params": others, "lr": rate}]
    return model, torch.optim.Adam(groups)


def asked(**parts) -> Subject:
    return subject(made(lambda: Wide(32)), pairs=PAIRS, **parts)


def test_one_rate_for_all_layers_grows_with_the_width():
    result = found(asked(of_width=Wide), NAME)
    assert result.outcome == "fail"
    assert "muP" in result.next_step


def test_mup_keeps_every_size():
    result = found(asked(of_width=mup), NAME)
    assert result.outcome == "pass", result.message


def exponents(of_width) -> dict[tuple[str, str], float]:
    return {(one.layer, one.what): one.exponent.value for one in growths(Probe(asked()), of_width)}


def test_the_exponents_are_those_of_theory():
    """Adam's first updates have entries of one size: behind n inputs they add up to n, behind a fixed number to 1."""

    def last_alone(width: int) -> nn.Module:
        model = Wide(width).requires_grad_(False)
        # The bias would add a part that does not grow.
        model.last.weight.requires_grad_(True)
        return model

    exponent = exponents(last_alone)
    # What never changes has no exponent.
    assert set(exponent) == {
        *((name, "activations") for name in ("first", "second", "last")),
        *((name, "changes") for name in ("last", PREDICTION)),
    }
    assert exponent[PREDICTION, "changes"] == pytest.approx(1, abs=0.15)
    for layer in ("first", "second"):
        assert exponent[layer, "activations"] == pytest.approx(0, abs=0.15)
    everything = exponents(Wide)
    assert everything["first", "changes"] == pytest.approx(0, abs=0.15)
    # A part that is passed on from the first layer, and one that grows with the width.
    assert KEEPS < everything["second", "changes"] < 1


@pytest.mark.slow
def test_the_librarys_own_model_needs_no_factory_and_others_do():
    result = found(subject(transformer("default", 8), pairs=PAIRS), NAME)
    assert result.outcome in ("pass", "fail")
    assert "of_width=" in found(subject(made(lambda: Linear(8)), pairs=PAIRS), NAME).message


def test_a_prediction_that_is_not_the_models_says_so():
    own = made(lambda: Wide(32))

    def forward(model, batch):
        del model
        return own(batch.before_BL, batch.target_BL, batch.measured_BL, batch.perturbed_BL)

    result = found(asked(of_width=Wide, forward=forward), NAME)
    assert (result.outcome, "predict=" in result.message) == ("not_applicable", True)
