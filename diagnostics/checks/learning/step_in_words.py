"""What a training step that does not teach does otherwise than a plain one, measured, for the messages of checks."""

from dataclasses import replace

import numpy as np
import torch

from diagnostics.checks.engine.identities import shown
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import entries, flat
from diagnostics.checks.optimiser.gradients import in_turn
from diagnostics.checks.optimiser.one_step import habits_of, one_step, other_answers, true_loss

_N_STEPS, _N_LAST = 60, 5
"""Steps after which a training that goes on still moves the weights, and those at the end that are looked at."""

_LARGE = 0.5
"""Share of a gradient that no target enters, from which on it is worth a word."""

_VANISHING = 1e-4
"""Ratio of the relative gradients of two layers, from which on one of them is hardly trained."""


def step_in_words(probe: Probe) -> str:
    """What is seen in the step's gradients and moves, each after a semicolon; nothing where nothing stands out."""
    found = [_pairs_left_out(probe), *_against_plain(probe), _stops(probe)] if not habits_of(probe).random else []
    return "".join(f"; {one}" for one in found if one)


def slow_parts(probe: Probe) -> str:
    """Layers whose gradient is next to nothing beside that of others, at the first weights."""
    model = probe.exact_model
    names = [name for name, _ in model.named_parameters()]
    relative = {
        name: float(np.linalg.norm(entries(gradient, one)) / np.linalg.norm(entries(one, one)))
        for name, one, gradient in zip(names, model.parameters(), true_loss(probe)[1], strict=True)
        if gradient is not None and one.ndim > 1 and bool((one != 0).any())
    }
    most = max(relative.values(), default=0.0)
    slow = [name for name, value in relative.items() if 0 < value < _VANISHING * most]
    if not slow:
        return ""
    least = min(relative[name] for name in slow) / most
    return (
        f"; at the first weights the gradients of {shown(slow)} are as little as {least:.1g} times those of others, "
        "for their weights' size: they vanish on their way (sigmoid or tanh, depth, small first weights)"
    )


def _pairs_left_out(probe: Probe) -> str:
    """How many pairs of a batch have targets that change nothing in the step's gradients."""
    few, other = probe.few, other_answers(probe)
    if probe.subject.intent.set_size > 1:
        return ""
    usual, n_silent = one_step(probe), 0
    for row in range(len(few)):
        after_BG = few.after_BG.copy()
        after_BG[row] = other.after_BG[row]
        altered = one_step(probe, pairs=replace(few, after_BG=after_BG))
        n_silent += not usual.differs(replace(altered, reported=usual.reported))
    if not n_silent or n_silent == len(few):
        return ""
    return (
        f"the targets of {n_silent} of the {len(few)} pairs of a batch change nothing in the step's gradients "
        "(zero_grad() inside a loop over its parts, or a slice)"
    )


def _against_plain(probe: Probe) -> list[str]:
    """The step's gradient beside that of the squared error, or of the loss that is given."""
    parameters = list(probe.exact_model.parameters())
    own, plain = in_turn(probe, one_step(probe).gradient), true_loss(probe)[1]
    own_E, plain_E = flat(own, parameters), flat(plain, parameters)
    sizes = float(np.linalg.norm(own_E)), float(np.linalg.norm(plain_E))
    if not (np.isfinite(sizes).all() and min(sizes) > 0):
        return []
    words: list[str] = []
    cosine = float(own_E @ plain_E) / (sizes[0] * sizes[1])
    if cosine < _LARGE:
        words.append(f"its first gradient has a cosine of {cosine:.2g} with that of the loss (1 where they agree)")
    other = other_answers(probe)
    by_target_E = flat(one_step(probe, pairs=other).gradient, parameters) - own_E
    plain_by_target_E = flat(true_loss(probe, other)[1], parameters) - plain_E
    along = float(plain_by_target_E @ plain_by_target_E)
    factor = float(by_target_E @ plain_by_target_E) / along if along > 0 else 0.0
    beside = float(np.linalg.norm(own_E - factor * plain_E)) / sizes[0]
    if factor < 0:
        words.append("a term of its loss pushes predictions away from the targets: look at its sign")
        return words
    unlike = float(np.linalg.norm(by_target_E - factor * plain_by_target_E))
    if factor > 0 and beside > _LARGE and unlike < 0.1 * float(np.linalg.norm(by_target_E)):
        words.append(f"{min(beside, 1.0):.0%} of its gradient is of a term that no target enters, such as a penalty")
    return words


def _stops(probe: Probe) -> str:
    """Whether the weights no longer move after some dozens of steps."""
    with probe.trial("step in words") as (model, optimizer):
        passing = probe.batches("step in words")
        last: list[bool] = []
        for _ in range(_N_STEPS):
            before = [one.detach().clone() for one in model.parameters()]
            probe.subject.step(model, optimizer, next(passing))
            last.append(all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True)))
    if not all(last[-_N_LAST:]) or all(last):
        return ""
    n_moving = max(place for place, still in enumerate(last) if not still) + 1
    return f"after {n_moving} steps no further step moves the weights: look for what stops the training, or skips steps"
