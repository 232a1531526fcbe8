"""transformers: a callback that diagnoses a ``Trainer``'s training before its first step.

The model's own loss is judged: it is called with a batch of the trainer's loader, and answers with ``loss`` and
``logits``, as the trainer expects.
"""

from typing import Any, Unpack, cast, final

import torch
from torch import Tensor, nn

from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.frameworks.options import Options
from diagnostics.results.report import Report
from gpcp.imports import need

need("transformers", extra="transformers", use="the callback for transformers")

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments  # noqa: E402


@final
class DiagnoseTrainerCallback(TrainerCallback):
    """Diagnoses a training where it begins: ``Trainer(..., callbacks=[DiagnoseTrainerCallback(fields=...)])``.

    Parameters
    ----------
    stop : bool
        Whether a training with a cause is ended before its first step.
    **options
        As in :func:`diagnostics.inputs.diagnose.diagnose`; ``predict`` is ``model(**batch).logits`` by default.
    """

    def __init__(self, *, stop: bool = False, **options: Unpack[Options]) -> None:
        self.stop = stop
        self.report: Report | None = None
        """The report, once the training has begun."""
        self._options = options

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        """Diagnose with the trainer's model, loader and optimiser; all is put back afterwards."""
        model, optimizer = cast("nn.Module", parts["model"]), parts["optimizer"]
        optimizer = cast("torch.optim.Optimizer", getattr(optimizer, "optimizer", optimizer))

        def training_step(batch: Any) -> Tensor:
            model.train()
            optimizer.zero_grad()
            loss = cast("Tensor", model(**batch).loss)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            if args.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), float(args.max_grad_norm))
            optimizer.step()
            return loss.detach()

        def predict(asked: nn.Module, batch: Any) -> Tensor:
            return cast("Tensor", asked(**batch).logits)

        options = {"predict": predict, **self._options}
        self.report = diagnose(
            model, parts["train_dataloader"], held_out=parts.get("eval_dataloader"), optimizer=optimizer,
            training_step=training_step, **cast("Options", options),
        )  # fmt: skip
        print(self.report.text())
        if self.stop and self.report.diagnosis is not None:
            control.should_training_stop = True
