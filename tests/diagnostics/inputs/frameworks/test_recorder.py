"""Plain loops, recorded as they run: a healthy one, and one with each fault; nothing of them is changed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import Intent
from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.frameworks.recorder import record
from diagnostics.results.report import Report
from gpcp.model.torch_seed import torch_seed

N_STEPS = 60


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N_STEPS, 32, 4, generator=generator)
    return list(zip(x, x.flip(2) + 1, strict=True))


def model_of() -> nn.Sequential:
    with torch_seed(0):
        return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.1), nn.ReLU(), nn.Linear(16, 4))


def loop(fault: str = "", **options: Any) -> tuple[Report, nn.Module]:
    model = model_of()
    parameters = model[0].parameters() if fault == "half held" else model.parameters()
    optimizer = torch.optim.Adam(parameters, lr=0.0 if fault == "no rate" else 1e-2)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5 if fault == "over" else 1.0)
    with torch_seed(1), record(model, optimizer, **options) as recording:
        for step, (x, y) in enumerate(batches()):
            if fault != "not cleared":
                optimizer.zero_grad()
            if fault == "eval" and step == 30:
                model.eval()
            answer = model[3](model[:3](x).detach()) if fault == "detached" else model(x)
            loss = (answer - y).square().mean() * (float("nan") if fault == "nan" and step == 40 else 1.0)
            if fault == "penalty":
                loss = loss + sum(one.square().sum() for one in model.parameters())
            loss.backward()
            if fault == "clipped":
                nn.utils.clip_grad_norm_(model.parameters(), 1e-4)
            optimizer.step()
            schedule.step()
    return diagnose(recording), model


def outcome(report: Report, name: str) -> str:
    return next(one.outcome for one in report.results if one.name.endswith(name))


def test_a_healthy_loop_passes_and_is_not_changed():
    report, model = loop()
    assert {one.outcome for one in report.results} == {"pass"}, report.text()
    plain = model_of()
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-2)
    with torch_seed(1):
        for x, y in batches():
            optimizer.zero_grad()
            (plain(x) - y).square().mean().backward()
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), model.parameters(), strict=True))
    assert Tensor.backward.__module__ == "torch._tensor"


@pytest.mark.parametrize(
    ("fault", "name", "expected"),
    [
        ("not cleared", "cleared", "fail"),
        ("half held", "holds_parameters", "fail"),
        ("no rate", "learning_rate", "fail"),
        ("over", "learning_rate", "fail"),
        ("nan", "gradients", "fail"),
        ("nan", "loss", "fail"),
        ("eval", "mode", "fail"),
        ("detached", "gradients", "inconclusive"),
        ("clipped", "clipping", "inconclusive"),
        ("clipped", "step", "pass"),
        ("penalty", "step", "inconclusive"),
    ],
)
def test_a_fault_is_seen(fault: str, name: str, expected: str):
    assert outcome(loop(fault)[0], name) == expected


def test_what_is_meant_is_no_fault():
    report, _ = loop("half held", intent=Intent(frozen=("3.*",)))
    assert outcome(report, "holds_parameters") == "pass"


def test_accumulation_is_no_fault():
    model = model_of()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with record(model, optimizer) as recording:
        for step, (x, y) in enumerate(batches()):
            (model(x) - y).square().mean().backward()
            if step % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    assert len(recording.steps) == N_STEPS // 4
    assert outcome(recording.report(), "cleared") == "pass"


def test_without_a_step_nothing_is_judged():
    model = model_of()
    with record(model, torch.optim.SGD(model.parameters(), lr=1e-2)) as recording:
        pass
    assert {one.outcome for one in recording.report().results} == {"not_applicable"}
