"""Everything of a subject called once before anything is judged.

What fails or gives something else than it must is one error that names what was passed, what came back, the line of the
user's own code, and what to write instead.
"""

import torch
from torch import Tensor

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.users_code import users_own
from diagnostics.inputs.loaders.batch_fields import read, steps_of
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch


def tried_once(subject: Subject, few: PairBatch, *, held: str) -> None:
    """Ask the model for some pairs, score its answer, and take one training step that is put back.

    Parameters
    ----------
    subject : Subject
        With a model.
    few : PairBatch
    held : str
        What the user's code is called with, in words.

    Raises
    ------
    InputError
        A part fails or gives something else than it must.
    """
    probe = Probe(subject)
    with probe.trial("tried once") as (model, optimizer):
        batch, after_BL = subject.collate(few)
        first = next(iter(model.parameters()), None)
        dtype = torch.float32 if first is None else first.dtype
        model.eval()
        with torch.no_grad():
            answer = users_own(f"the model fails on {held}:", subject.predict, model, batch.to(probe.device, dtype))
        assert isinstance(answer, Tensor)
        if subject.loss is not None:
            counted_BL = subject.counted(batch).to(answer.device)
            _scored_once(subject, answer, after_BL.to(answer), counted_BL)
        model.train()
        if subject.training_step is not None:
            users_own(f"training_step fails on {held}:", subject.training_step, model, optimizer, few)
        if subject.on_epoch is not None:
            users_own("on_epoch fails, which is called without arguments:", subject.end_epoch)


def _scored_once(subject: Subject, answer_BL: Tensor, after_BL: Tensor, counted_BL: Tensor) -> None:
    assert subject.loss is not None
    shape = tuple(answer_BL.shape)
    found = users_own(
        f"loss(prediction {shape}, after {shape}, which count {shape}) fails:",
        subject.loss, answer_BL.detach().clone().requires_grad_(), after_BL, counted_BL,
        mend="a loss is called with (prediction, after) or (prediction, after, mask); leave loss= out where training "
        "lowers something else than a function of the prediction",
    )  # fmt: skip
    if not isinstance(found, Tensor) or found.numel() != 1:
        raise InputError(
            f"loss(prediction, after) gives {shape_of(found)}, and a loss is one number: take its mean, such as\n"
            "    loss=lambda prediction, after: my_loss(prediction, after).mean()"
        )


def described(batch: object) -> str:
    """The entries of a batch with their shapes."""
    return ", ".join(f"{step!r} {shape_of(read(batch, step))}" for step in steps_of(batch)[:8]) or type(batch).__name__


def shape_of(value: object) -> str:
    """Shape and dtype of a tensor or an array, the type of anything else."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{tuple(shape)} {dtype}"
