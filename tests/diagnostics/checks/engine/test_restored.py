"""What a training step keeps beside its model comes back from a trial as it was, wherever it is kept."""

import copy
import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from diagnostics.checks.engine.copies import Drawn, copied
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.restored import schedulers
from diagnostics.checks.engine.subject import Subject, TrainingStep, existing
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import Mlp, adamw, failures, found, made, pairs_of, subject

N_CALLS = 0


def update(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
    batch, after_BL = model_batch(pairs)
    optimizer.zero_grad()
    target_BL = torch.where(batch.perturbed_BL, batch.target_BL, 0.0)
    loss = masked_loss(
        model(batch.before_BL, target_BL, batch.measured_BL, batch.perturbed_BL), after_BL, batch.scored_BL
    )
    loss.backward()
    optimizer.step()
    return loss.detach()


class Trainer:
    """Whose method the step is."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=40)
        self.averaged = AveragedModel(model)
        self.losses: list[float] = []
        self.n_steps = 0
        self.generator = torch.Generator().manual_seed(3)
        self.shadow = {"first": torch.zeros(3)}

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        loss = float(update(model, optimizer, pairs))
        self.schedule.step()
        self.averaged.update_parameters(model)
        self.losses.append(loss)
        self.n_steps += 1
        self.shadow["first"] += torch.rand(3, generator=self.generator)
        return loss

    def seen(self) -> list[Any]:
        averaged = [one.detach().clone() for one in self.averaged.state_dict().values()]
        schedule = {name: value for name, value in self.schedule.state_dict().items() if name != "_anneal_func_type"}
        shadow = self.shadow["first"].clone()
        return [averaged, str(schedule), list(self.losses), self.n_steps, self.generator.get_state(), shadow]


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(itertools.starmap(alike, zip(one, other, strict=True)))
    return one == other


def test_what_a_step_holds_as_a_method_is_put_back_and_a_trial_may_outlast_its_schedule():
    model = made(lambda: Mlp(8))
    optimizer = adamw(model)
    trainer = Trainer(model, optimizer)
    asked = subject(model, make_optimizer=existing(optimizer), training_step=trainer.step)
    batch = next(pairs_of().pairs(batch_size=16, seed=0))
    asked.step(model, optimizer, batch)
    before, groups = trainer.seen(), copy.deepcopy(optimizer.state_dict()["param_groups"])
    for rate in (None, 0.5):
        with Probe(asked).trial("long", learning_rate=rate) as (lent, lent_optimizer):
            for _ in range(60):
                asked.step(lent, lent_optimizer, batch)
            assert not alike(trainer.seen(), before)
            assert rate is None or {group["lr"] for group in lent_optimizer.param_groups} == {rate}
        assert alike(trainer.seen(), before)
        assert optimizer.state_dict()["param_groups"] == groups
    for _ in range(39):
        asked.step(model, optimizer, batch)
    with pytest.raises(ValueError, match="Tried to step"):
        asked.step(model, optimizer, batch)


def step_of_closures() -> tuple[TrainingStep, Callable[[], list[Any]]]:
    generator, count = np.random.default_rng(1), 0
    noise = np.zeros(4)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> Tensor:
        global N_CALLS
        nonlocal count
        N_CALLS, count = N_CALLS + 1, count + 1
        noise[:] = generator.random(4)
        return update(model, optimizer, pairs)

    return step, lambda: [N_CALLS, count, noise.tolist(), str(generator.bit_generator.state)]


def test_what_a_step_holds_in_cells_and_globals_is_put_back():
    step, seen = step_of_closures()
    model = made(lambda: Mlp(8))
    asked = subject(model, training_step=step)
    before = seen()
    with Probe(asked).trial("one") as (lent, optimizer):
        asked.step(lent, optimizer, next(pairs_of().pairs(batch_size=8, seed=0)))
        assert all(one != other for one, other in zip(seen(), before, strict=True))
    assert seen() == before


def test_the_schedules_of_an_optimiser_are_found_once_each():
    model = made(lambda: Mlp(8))
    optimizer = adamw(model)
    assert schedulers(optimizer) == []
    kinds = torch.optim.lr_scheduler
    parts = [kinds.LinearLR(optimizer, 0.1, total_iters=3), kinds.ExponentialLR(optimizer, 0.9)]
    whole = kinds.SequentialLR(optimizer, parts, milestones=[3])
    assert schedulers(optimizer) == [whole]


@pytest.mark.parametrize("n_steps", [1, 30])
def test_a_diagnosis_takes_no_step_of_a_training(n_steps: int):
    model = made(lambda: Mlp(8))
    optimizer = adamw(model)
    trainer = Trainer(model, optimizer)
    asked = subject(model, make_optimizer=existing(optimizer), training_step=trainer.step)
    for _ in range(n_steps):
        asked.step(model, optimizer, next(pairs_of().pairs(batch_size=16, seed=0)))
    before = trainer.seen()
    failures(asked, "optimiser")
    assert alike(trainer.seen(), before)


class Kept(nn.Module):
    """Keeps tensors of its last pass, one in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 32)
        self.last: Tensor | None = None
        self.all: dict[str, list[Tensor]] = {"weights": []}

    def forward(self, value: Tensor) -> Tensor:
        self.last = last = self.linear(value)
        self.all["weights"] = [last.softmax(-1)]
        return last


class Logarithm(nn.Module):
    """Whose only parameter must be positive."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((32,), 2.0))

    def forward(self, value: Tensor) -> Tensor:
        return value + self.scale.log()


def normed() -> nn.Module:
    return torch.nn.utils.parametrizations.weight_norm(nn.Linear(32, 32))


def spectral() -> nn.Module:
    return torch.nn.utils.parametrizations.spectral_norm(nn.Linear(32, 32))


@pytest.mark.parametrize("part", [Kept, Logarithm, normed, spectral])
def test_layers_that_are_hard_to_copy_are_healthy(part: Callable[[], nn.Module]):
    model = made(lambda: Mlp(8, extra=part()))
    asked = subject(model, training_step=lambda one, optimizer, pairs: update(one, optimizer, pairs))
    update(model, adamw(model), next(pairs_of().pairs(batch_size=16, seed=0)))
    assert failures(asked) == []


def test_a_copy_holds_the_values_that_were_kept():
    model = Kept()
    model(torch.ones(2, 32))
    assert model.last is not None
    other = copied(model)
    assert isinstance(other, Kept)
    assert other.last is not None
    assert other.last is not model.last
    assert torch.equal(other.last, model.last)
    assert other.last.is_leaf
    assert torch.equal(other.all["weights"][0], model.all["weights"][0])


def test_a_compiled_model_is_copied_as_what_was_compiled():
    model = made(lambda: Mlp(8))
    asked = Subject(pairs=pairs_of(), model=torch.compile(model, backend="eager"))  # pyright: ignore[reportArgumentType]
    assert isinstance(Probe(asked).exact_model, Mlp)
    assert found(asked, "architecture.repeatable").outcome == "pass"


def test_one_seed_is_every_generators():
    drawn: list[tuple[float, float, float]] = []
    states = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist(), torch.get_rng_state()  # noqa: NPY002
    for seed in (0, 0, 1):
        with Drawn(seed):
            drawn.append((random.random(), float(np.random.random()), float(torch.rand(()))))  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[1], drawn[2], strict=True))
    assert random.getstate() == states[0]
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == states[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
