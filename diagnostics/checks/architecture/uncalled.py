"""Layers that are built and never called: what a training step leaves out of a model whose optimiser holds it."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.optimiser.one_step import until_updated, watched

_STEPS = 2
"""Training steps that are watched: a part that is trained in turn with another has its own."""


def never_called(probe: Probe, names: Sequence[str]) -> list[str]:
    """Those of some parameters whose layer no watched training step calls, and to which none gives a gradient.

    A layer whose weights are read without a call, as attention reads those of its output, gets a gradient.
    """
    subject = probe.subject
    if not names or (subject.make_optimizer is None and subject.training_step is None):
        return []
    called: set[int] = set()

    def note(module: nn.Module, _asked: object) -> None:
        called.add(id(module))

    moved: set[str] = set()
    with probe.trial("called in the step", dropout=False) as (model, optimizer):
        handle = register_module_forward_pre_hook(note)
        try:
            for _ in range(_STEPS):
                with watched(model) as seen:
                    until_updated(probe, model, optimizer, probe.few)
                moved |= {name for name, gradient in seen.items() if bool(torch.any(gradient != 0))}
        finally:
            handle.remove()
        owner_of = {name: id(model.get_submodule(name.rpartition(".")[0])) for name in names}
    return [name for name in names if name not in moved and owner_of[name] not in called]
