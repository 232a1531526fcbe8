"""Checks of paths through the model: gradients to every parameter, and information from gene to gene."""

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.architecture.uncalled import never_called
from diagnostics.checks.engine.batches import able_last, able_positions, invented, set_before, with_one
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import copied
from diagnostics.checks.engine.identities import Deviation, deviation, must_move, shown, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.optimiser.one_step import until_updated, watched
from diagnostics.results.check_result import CheckResult
from gpcp.model.batch import ModelBatch
from gpcp.model.transformer import GenePerturbationTransformer

_STEPS = 5
"""Steps after which a parameter that had no gradient because another was 0 has one: a layer that begins at 0 takes
one, a second behind it another."""

_RANK_SLACK = 1e-9
_N_EVALUATED = 6
"""Genes whose predictions the rank is taken over."""

_FROZEN = (
    "are frozen (requires_grad is False)",
    "set requires_grad to True for what is to be trained",
)
_DETACHED = (
    "get no gradient whatever the weights are, though predictions depend on them",
    "look for detach(), no_grad(), .data, an argmax or rounding between them and the prediction",
)
_ASLEEP = (
    f"get no gradient at the initial weights, nor after {_STEPS} steps",
    "initialise otherwise: weights that are all 0 keep each other at 0, and a ReLU whose inputs are all negative "
    "passes nothing",
)
"""What is wrong with some parameters, and what to do about it."""


@check(
    "GP319",
    "architecture.gradients",
    "Does every parameter get a gradient?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def gradients(probe: Probe) -> CheckResult:
    """Of the predictions for measured genes, at the model's own weights; what gets none is examined further.

    What is frozen from the start is taken as meant, unless nothing is left to train. What no prediction depends on is a
    part that is not used here, and a fault nowhere.
    """
    model, intent = copied(probe.exact_model), probe.subject.intent
    n_parameters = len(list(model.parameters()))
    if not n_parameters:
        return CheckResult(outcome="not_applicable", message="the model has no parameters")
    frozen = [name for name, one in model.named_parameters() if one.is_floating_point() and not one.requires_grad]
    if frozen and len(frozen) == n_parameters:
        return _without(frozen, n_parameters, *_FROZEN)
    notes = _noted([name for name in frozen if not intent.is_frozen(name)], "are frozen (requires_grad is False)")
    if not _differentiable(probe, model):
        return _in_the_step(probe, notes)
    silent = _silent(probe, model)
    if silent is None:
        return verdict(
            good=False, message="gradients of finite predictions are not finite", statistic=1.0, tolerance=0.0,
            next_step="look for a root or a norm at 0, a division by 0, or a torch.where after the arithmetic",
        )  # fmt: skip
    detached = _both(silent, _silent(probe, copied(probe.generic_model))) if silent else []
    unused = [name for name in detached if intent.is_unused(name) or not enters(probe, name)]
    detached = [name for name in detached if name not in unused and not intent.is_frozen(name)]
    # A codebook has a term of the objective of its own.
    pulled = _pulled_by_the_step(probe) if silent else set[str]()
    detached, silent = ([name for name in some if name not in pulled] for some in (detached, silent))
    left_out = [name for name in detached if not _held(probe, name)]
    if left_out and left_out == detached:
        notes += _noted(left_out, "get no gradient, and the optimiser does not hold them")
        detached, silent = [], [name for name in silent if name not in left_out]
    silent = [name for name in silent if name not in unused and not intent.is_frozen(name)]
    notes += _idle(probe, [name for name in unused if not intent.is_unused(name)])
    if detached:
        return _without(detached, n_parameters, *_DETACHED)
    for _ in range(_STEPS if silent else 0):
        _step(probe, model)
    asleep = _both(silent, _silent(probe, model)) if silent else []
    if asleep and not enters(probe, *asleep, model=probe.exact_model):
        # An expert that no pair is routed to yet: whatever it held would change nothing.
        notes += _noted(asleep, "are reached by none of the pairs that were asked")
        asleep, silent = [], [name for name in silent if name not in asleep]
    if asleep:
        return _without(asleep, n_parameters, *_ASLEEP)
    n_trained = n_parameters - len(frozen) - len(unused) - len(left_out)
    if not n_trained:
        return _without(unused, n_parameters, "enter no prediction", "let forward use the layers that are trained")
    later = f", {len(silent)} of them only once another has moved from 0" if silent else ""
    return CheckResult(
        outcome="pass", message="; ".join([f"all {n_trained} parameters that are used get a gradient{later}", *notes]),
        next_step="if that is not on purpose: set requires_grad, or let forward use them; if it is, Intent says so"
        if notes else "", statistic=0.0, null=0.0, tolerance=0.0, n=n_parameters,
    )  # fmt: skip


def _idle(probe: Probe, names: list[str]) -> list[str]:
    """What is noted of parameters that enter no prediction."""
    dead = [name for name in never_called(probe, names) if _held(probe, name)]
    notes = _noted([name for name in names if name not in dead], "enter no prediction")
    called = "enter no prediction, and the training step, whose optimiser holds them, never calls them"
    return notes + _noted(dead, called)


def _differentiable(probe: Probe, model: nn.Module) -> bool:
    """Whether an answer has a gradient at all: a user's ``predict`` may well turn gradients off."""
    batch, _ = probe.exact(probe.few)
    return probe.subject.predict(model, batch).requires_grad or not any(one.requires_grad for one in model.parameters())


def _in_the_step(probe: Probe, notes: list[str]) -> CheckResult:
    """Where predictions come without gradients: those that some updates of the training step compute."""
    if probe.subject.training_step is None:
        return _without(
            [name for name, _ in probe.exact_model.named_parameters()],
            len(list(probe.exact_model.parameters())),
            *_DETACHED,
        )
    pulled: set[str] = set()
    with probe.trial("gradients of the step", dropout=False) as (model, optimizer):
        for _ in range(_STEPS + 1):
            with watched(model) as seen:
                until_updated(probe, model, optimizer, probe.few)
            pulled |= {name for name, gradient in seen.items() if bool((gradient != 0).any())}
        wanted = [name for name, one in model.named_parameters() if one.requires_grad]
    intent = probe.subject.intent
    lost = [one for one in wanted if one not in pulled and not intent.is_frozen(one) and not intent.is_unused(one)]
    lost = [name for name in lost if enters(probe, name) and _held(probe, name)]
    if lost:
        return _without(lost, len(wanted), f"get no gradient in {_STEPS + 1} training steps", _DETACHED[1])
    message = f"predictions come without gradients; in the training step all {len(wanted)} parameters that are used "
    return CheckResult(
        outcome="pass", message="; ".join([f"{message}get one", *notes]), statistic=0.0, null=0.0, tolerance=0.0,
        n=len(wanted),
    )  # fmt: skip


def _pulled_by_the_step(probe: Probe) -> set[str]:
    """Parameters to which one's own training step gives a gradient, whatever of it predictions have."""
    if probe.subject.training_step is None:
        return set()
    with probe.trial("pulled by the step", dropout=False) as (model, optimizer), watched(model) as seen:
        until_updated(probe, model, optimizer, probe.few)
    return {name for name, gradient in seen.items() if bool((gradient != 0).any())}


def _held(probe: Probe, name: str) -> bool:
    """Whether the optimiser that is given holds a parameter; True where none is given."""
    if probe.subject.make_optimizer is None or probe.subject.model is None:
        return True
    groups = probe.subject.make_optimizer(probe.subject.model).param_groups
    held = {id(one) for group in groups for one in group["params"]}
    return id(dict(probe.subject.model.named_parameters())[name]) in held


def _noted(names: list[str], why: str) -> list[str]:
    return [f"{len(names)} parameters {why}: {shown(names)}"] if names else []


def enters(probe: Probe, *names: str, model: nn.Module | None = None) -> bool:
    """Whether a prediction changes with some parameters together; under generic weights by default."""
    usual = probe.generic_model if model is None else model
    changed = copied(usual)
    parameters, rng = dict(changed.named_parameters()), probe.rng("entering")
    with torch.no_grad():
        for name in names:
            one = parameters[name]
            one.copy_(torch.as_tensor(rng.standard_normal(tuple(one.shape))).to(one))
    return any(
        not deviation(probe.answer(batch, usual), probe.answer(batch, changed), batch.measured_BL).equal
        for batch in _questions(probe)
    )


def _without(names: list[str], n_parameters: int, why: str, next_step: str) -> CheckResult:
    return verdict(
        good=False, message=f"{len(names)} of {n_parameters} parameters {why}: {shown(names)}", next_step=next_step,
        statistic=float(len(names)), null=0.0, tolerance=0.0, n=n_parameters,
    )  # fmt: skip


def _both(some: list[str], others: list[str] | None) -> list[str]:
    return [name for name in some if name in (others or ())]


def _questions(probe: Probe) -> list[ModelBatch]:
    return [
        probe.exact(probe.few)[0],
        *(invented(probe, f"gradients {share}", p_perturbed=share) for share in (0.1, 0.6)),
    ]


def _pull(probe: Probe, model: nn.Module, batch: ModelBatch, number: int) -> None:
    """Accumulate the gradients of a random sum of the predictions for measured genes, spreads among them."""
    parts = [probe.subject.predict(model, batch)[batch.measured_BL]]
    if isinstance(model, GenePerturbationTransformer) and model.gives_distribution:
        distribution = model.distribution(batch)
        parts += [value_BLM[batch.measured_BL].flatten() for value_BLM in distribution.parameters]
    answer = torch.cat(parts)
    weight = torch.as_tensor(probe.rng("weights of answers", number).standard_normal(answer.numel())).to(answer)
    if answer.requires_grad:
        (answer * weight).sum().backward()  # pyright: ignore[reportUnknownMemberType]


def _silent(probe: Probe, model: nn.Module) -> list[str] | None:
    """Parameters whose gradient is 0 throughout; None where one is not finite."""
    seen: set[str] = set()
    for number, batch in enumerate(_questions(probe)):
        model.zero_grad()
        _pull(probe, model, batch, number)
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                continue
            if not bool(parameter.grad.isfinite().all()):
                return None
            if bool((parameter.grad != 0).any()):
                seen.add(name)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad and name not in seen]


def _step(probe: Probe, model: nn.Module) -> None:
    """Each entry moves by a thousandth, as Adam would move it, so that what a 0 multiplied gets a gradient."""
    model.zero_grad()
    for number, batch in enumerate(_questions(probe)):
        _pull(probe, model, batch, number)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(1e-3 * parameter.grad.sign())


@check(
    "GP320",
    "architecture.identity",
    "Are genes of equal expression distinguished?",
    cause="architecture", kind="exact", needs=("model",),
)  # fmt: skip
def identity(probe: Probe) -> CheckResult:
    """Half of the genes at the same value, 0 and another, and others perturbed: predictions must be able to differ."""
    batch = invented(probe, "identity", p_perturbed=1 / 3)
    if batch.before_BL.shape[1] < 2:
        return CheckResult(outcome="not_applicable", message="there is only one gene")
    lost: list[float] = []
    n_positions = batch.before_BL.shape[1]
    able = able_positions(probe, batch)
    alike = able_last(able, np.arange(n_positions))[: max(2, n_positions // 2)]
    alike_L = torch.as_tensor(np.isin(np.arange(n_positions), alike), device=probe.device)
    batch = with_one(replace(batch, perturbed_BL=batch.perturbed_BL & ~alike_L), np.setdiff1d(able, alike))
    found = deviation(batch.before_BL, batch.before_BL)
    # A half of the range is 0 nowhere but where the range is symmetric.
    for value in (0.0, 0.25 * probe.value_range[0] + 0.75 * probe.value_range[1]):
        question = set_before(batch, batch.measured_BL & alike_L, value)

        def apart(model: nn.Module, question: ModelBatch = question) -> Deviation:
            answer_BL = probe.answer(question, model)[:, alike_L]
            return deviation(answer_BL, answer_BL[:, :1].expand_as(answer_BL))

        found = probe.most_moved(apart)
        if found.equal:
            lost.append(value)
            break
    everywhere = bool(lost) and lost[0] != 0
    return must_move(
        found,
        moves="genes of equal expression get predictions of their own",
        stays=f"all genes of expression {lost[0] if lost else 0:.3g} get the same prediction",
        next_step="give each gene an embedding and use it"
        if everywhere
        else "add the gene's identity to its token: identity x value is 0 for every gene where the value is 0; or give "
        "each gene an output of its own, not one module in every place ([head] * n)",
    )


@check(
    "GP321",
    "architecture.rank",
    "Does more than one number pass between genes?",
    cause="architecture", kind="exact", needs=("model",),
)  # fmt: skip
def rank(probe: Probe) -> CheckResult:
    """Rank of the derivatives of some genes' predictions by the inputs of others: 1 is a bottleneck.

    A gene's own input is left out, since a shortcut for it would hide what is between genes.
    """
    batch = invented(probe, "rank", p_perturbed=1 / 3, n_pairs=3)
    n_positions = batch.before_BL.shape[1]
    if n_positions < 4:
        return CheckResult(outcome="not_applicable", message="it takes four genes: two to predict and two to vary")
    able, n_evaluated = able_positions(probe, batch), min(_N_EVALUATED, n_positions // 2)
    evaluated = np.sort(able_last(able, probe.rng("asked").permutation(n_positions))[:n_evaluated])
    batch = replace(batch, perturbed_BL=batch.perturbed_BL.clone(), before_BL=batch.before_BL.clone())
    batch.perturbed_BL[:, evaluated] = False
    batch = with_one(batch, np.setdiff1d(able, evaluated))
    found = 0
    for draw in range(3):
        # Where most predictions have no derivatives, as under a ReLU, another draw of weights gives some.
        found = max(found, _rank(probe, _slopes(probe, probe.generic(draw), batch, evaluated)))
        if found > 1:
            break
    if not found:
        return CheckResult(
            outcome="not_applicable", message="the predictions have no derivatives by the inputs of other genes"
        )
    return verdict(
        good=found > 1,
        message=f"other genes reach the predictions for {len(evaluated)} genes through {found} independent "
        f"{'numbers' if found > 1 else 'number'} at least",
        next_step="widen what lies between the genes: pooling to a scalar only lets all predictions move together",
        statistic=float(found), null=1.0, tolerance=1.0, n=len(batch),
    )  # fmt: skip


def _rank(probe: Probe, slopes: NDArray[np.float64] | None) -> int:
    """The largest of all pairs; 0 where there are no derivatives, or none that is finite."""
    if slopes is None or not slopes.any() or not np.isfinite(slopes).all():
        return 0
    singular = np.linalg.svd(slopes, compute_uv=False)
    slack = _RANK_SLACK if probe.exact_dtype == torch.float64 else 1e-4
    return int((singular > slack * singular[:, :1]).sum(axis=1).max())


def _slopes(
    probe: Probe, model: nn.Module, batch: ModelBatch, evaluated: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Derivatives of the chosen predictions by before and target of all other genes, (B, evaluated, 2 varied)."""
    inputs = [batch.before_BL.clone().requires_grad_(), batch.target_BL.clone().requires_grad_()]
    answer_BL = probe.subject.predict(model, replace(batch, before_BL=inputs[0], target_BL=inputs[1]))
    if not answer_BL.requires_grad:
        return None
    others = np.setdiff1d(np.arange(answer_BL.shape[1]), evaluated)
    rows: list[Tensor] = []
    for position in evaluated.tolist():
        gradients = cast(
            "tuple[Tensor | None, ...]",
            torch.autograd.grad(answer_BL[:, position].sum(), inputs, retain_graph=True, allow_unused=True),
        )
        rows.append(torch.cat([torch.zeros_like(batch.before_BL) if one is None else one for one in gradients], dim=1))
    columns = np.concatenate((others, answer_BL.shape[1] + others))
    return torch.stack(rows, dim=1).double().cpu().numpy()[:, :, columns]
