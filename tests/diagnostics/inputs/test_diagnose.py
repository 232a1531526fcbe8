"""``diagnose`` for users: training steps of every arity, parts that are missing, and everything put back.

Dimension key: ``B`` pairs.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from diagnostics.checks.engine.subject import Subject, existing
from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.own_subject import step_call
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss
from simulators.sources import SimulatedPairs
from simulators.worlds import world

PAIRS = SimulatedPairs(scm=world("chain/5").scm, regime="interventional", n_pairs=400)


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = GenePerturbationTransformer(preset("default", 5), seed=1)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)


def update(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch, *, clear: bool = True) -> float:
    batch, after_BL = model_batch(pairs)
    if clear:
        optimizer.zero_grad()
    loss = masked_loss(model(batch), after_BL, batch.scored_BL)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


STEPS: dict[str, Callable[[nn.Module, torch.optim.Optimizer], Callable[..., float]]] = {
    "batch": lambda model, optimizer: lambda batch: update(model, optimizer, batch),
    "model and batch": lambda model, optimizer: lambda model, batch: update(model, optimizer, batch),
    "all three": lambda model, optimizer: update,
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_healthy_step_of_any_arity_passes_and_is_put_back(
    step: Callable[[nn.Module, torch.optim.Optimizer], Callable[..., float]],
) -> None:
    model, optimizer = parts()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = diagnose(
        model, PAIRS, loss=masked_loss, optimizer=optimizer, training_step=step(model, optimizer), only=["optimiser"]
    )
    assert report.diagnosis is None, report.text()
    assert any(one.outcome == "pass" for one in report.results)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not optimizer.state


def lowered(model: nn.Module, batch: PairBatch) -> torch.Tensor:
    """A Laplace likelihood: not the squared error that is reported."""
    asked, after_BL = model_batch(batch)
    return (model(asked) - after_BL).abs()[asked.scored_BL].mean()


def test_an_objective_apart_from_the_loss_makes_the_step() -> None:
    model, optimizer = parts()
    report = diagnose(
        model, PAIRS, loss=masked_loss, optimizer=optimizer, objective=lowered, only=["optimiser", "GP210"]
    )
    assert report.diagnosis is None, report.text()
    assert [one.outcome for one in report.results if one.code == "GP210"] == ["pass"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optimizer": None}, "optimizer= too"),
        ({"training_step": update}, "leave one out"),
        ({"objective": lambda model, batch: lowered(model, batch).item()}, "without a gradient"),
    ],
)
def test_an_objective_that_cannot_be_lowered_is_refused(given: dict[str, object], words: str) -> None:
    model, optimizer = parts()
    with pytest.raises(InputError, match=words):
        diagnose(model, PAIRS, **({"optimizer": optimizer, "objective": lowered} | given), only=["optimiser"])  # pyright: ignore


def test_a_step_that_never_clears_is_named() -> None:
    model, optimizer = parts()
    report = diagnose(
        model,
        PAIRS,
        loss=masked_loss,
        optimizer=optimizer,
        training_step=lambda batch: update(model, optimizer, batch, clear=False),
        only=["optimiser"],
    )
    assert report.diagnosis is not None
    assert report.diagnosis.cause in ("bug", "optimiser")


def test_what_is_not_given_is_not_judged() -> None:
    model, _ = parts()
    outcomes = {one.name: one.outcome for one in diagnose(model, None, only=["exact"]).results}
    assert {outcome for name, outcome in outcomes.items() if name.startswith("data.")} == {"not_applicable"}
    assert outcomes["loss.scored_only"] == "not_applicable"
    assert outcomes["architecture.finite"] == "pass"
    alone = diagnose(None, PAIRS, only=["exact"])
    assert alone.diagnosis is None
    assert {one.outcome for one in alone.results if one.name.startswith("architecture.")} == {"not_applicable"}


def test_neither_model_nor_pairs() -> None:
    with pytest.raises(InputError, match="nothing to diagnose"):
        diagnose(None, None)


def test_steps_of_other_arities_are_refused() -> None:
    with pytest.raises(InputError, match=r"takes \(a, b, c, d\)"):
        step_call(lambda a, b, c, d: 0.0, has_optimizer=True)
    with pytest.raises(InputError, match="give optimizer="):
        step_call(update, has_optimizer=False)


def test_a_step_that_gives_nothing_is_one_error_before_anything_is_judged() -> None:
    model, optimizer = parts()
    with pytest.raises(InputError, match=r"gives nothing: it must give the loss.*\n.*return loss"):
        diagnose(model, PAIRS, optimizer=optimizer, training_step=lambda batch: None, only=["optimiser"])


def test_a_subject_and_its_parts_are_diagnosed_alike() -> None:
    model, optimizer = parts()
    subject = Subject(
        pairs=PAIRS,
        model=model,
        loss=masked_loss,
        make_optimizer=existing(optimizer),
        name="GenePerturbationTransformer",
    )
    whole, apart = (
        [replace(one, seconds=None) for one in report.results]
        for report in (
            diagnose(subject, only=["loss"], seed=3),
            diagnose(model, PAIRS, loss=masked_loss, optimizer=optimizer, only=["loss"], seed=3),
        )
    )
    assert whole == apart


def test_a_part_beside_a_subject_is_refused() -> None:
    with pytest.raises(InputError, match="loss is given beside a Subject"):
        diagnose(Subject(pairs=PAIRS), loss=masked_loss)
