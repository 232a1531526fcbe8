"""Lightning: a callback that diagnoses a training before its first step, and a module diagnosed with its data module.

The module's own ``training_step`` is what is judged, with the optimiser that its ``configure_optimizers`` makes.
"""

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, Unpack, cast, final

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.frameworks.options import Options
from diagnostics.inputs.own_parts import OwnParts
from diagnostics.results.report import Report
from gpcp.core.errors import InputError
from gpcp.imports import need

need("lightning.pytorch", extra="lightning", use="the callback for Lightning")

from lightning.pytorch import LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import Callback  # noqa: E402


def training_of(trainer: Trainer, module: LightningModule, datamodule: Any) -> OwnParts:
    """A module with its data as ``trainer.fit(module, datamodule)`` would train it.

    Parameters
    ----------
    trainer : Trainer
        Of its settings, the clipping of gradients is used.
    module : LightningModule
        With automatic optimisation.
    datamodule : LightningDataModule or DataLoader

    Raises
    ------
    InputError
        The module optimises by hand, or has several optimisers.
    """
    if not isinstance(module, LightningModule):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError("with a Trainer give its module and its data: diagnose(trainer, module, datamodule)")
    loader, held_out = _loaders(datamodule)
    optimizer, schedules = configured(module)
    return _parts(module, loader, held_out, optimizer, schedules, trainer)


@final
class DiagnoseCallback(Callback):
    """Diagnoses a training where it starts: ``Trainer(callbacks=[DiagnoseCallback(fields=...)])``.

    Parameters
    ----------
    stop : bool
        Whether a training with a cause is ended before its first step.
    **options
        As in :func:`diagnostics.inputs.diagnose.diagnose`.
    """

    def __init__(self, *, stop: bool = False, **options: Unpack[Options]) -> None:
        super().__init__()
        self.stop = stop
        self.report: Report | None = None
        """The report, once the training has started."""
        self._options = options

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Diagnose with the loaders and the optimiser of the trainer; all is put back afterwards."""
        loaders: Any = trainer.val_dataloaders
        held_out: Any = next(iter(cast("list[Any]", loaders)), None) if isinstance(loaders, list) else loaders
        optimizer = _only_one(list(trainer.optimizers))
        schedules = [(one.scheduler, one.interval) for one in trainer.lr_scheduler_configs]
        parts = _parts(pl_module, trainer.train_dataloader, held_out or None, optimizer, schedules, trainer)
        self.report = diagnose(
            pl_module, parts.pairs, held_out=parts.held_out, optimizer=parts.optimizer,
            training_step=parts.training_step, on_epoch=parts.on_epoch, **self._options,
        )  # fmt: skip
        print(self.report.text())
        if self.stop and self.report.diagnosis is not None:
            trainer.should_stop = True


Schedules: TypeAlias = "list[tuple[Any, str]]"
"""Each with what it counts: ``"step"`` or ``"epoch"``."""


def configured(module: LightningModule) -> tuple[torch.optim.Optimizer, Schedules]:
    """The one optimiser that a module configures, and its schedules.

    Raises
    ------
    InputError
        It configures none or several.
    """
    made: Any = module.configure_optimizers()
    if isinstance(made, (tuple, list)):
        parts = cast("Sequence[Any]", made)
        if parts and isinstance(parts[0], (tuple, list)):
            return _only_one(list(cast("Sequence[Any]", parts[0]))), [_schedule(one) for one in parts[1]]
        made = parts[0] if len(parts) == 1 else parts
    if isinstance(made, Mapping):
        both = cast("Mapping[str, Any]", made)
        known = [_schedule(both["lr_scheduler"])] if "lr_scheduler" in both else []
        return _only_one([both["optimizer"]]), known
    several = cast("list[Any]", [] if made is None else made if isinstance(made, (tuple, list)) else [made])
    return _only_one(list(several)), []


def _schedule(given: Any) -> tuple[Any, str]:
    if isinstance(given, Mapping):
        named = cast("Mapping[str, Any]", given)
        return named["scheduler"], str(named.get("interval", "epoch"))
    return given, "epoch"


def _only_one(optimizers: list[Any]) -> torch.optim.Optimizer:
    if len(optimizers) != 1:
        raise InputError(
            f"the module has {len(optimizers)} optimisers, and one can be judged at a time: give diagnose() a "
            "training_step of your own"
        )
    found: Any = getattr(optimizers[0], "optimizer", optimizers[0])
    return cast("torch.optim.Optimizer", found)


def _loaders(datamodule: Any) -> tuple[Any, Any]:
    if not hasattr(datamodule, "train_dataloader"):
        return datamodule, None
    datamodule.prepare_data()
    datamodule.setup("fit")
    held_out = datamodule.val_dataloader() if _overrides(datamodule, "val_dataloader") else None
    return datamodule.train_dataloader(), held_out


def _overrides(datamodule: Any, name: str) -> bool:
    method: Any = getattr(cast("type[object]", type(datamodule)), name)
    return "DataHooks" not in method.__qualname__


def _parts(
    module: LightningModule, loader: Any, held_out: Any, optimizer: torch.optim.Optimizer, schedules: Schedules,
    trainer: Any,
) -> OwnParts:  # fmt: skip
    if not module.automatic_optimization:
        raise InputError(
            f"{type(module).__name__} optimises by hand: give diagnose() a training_step of your own, a function of "
            "(batch) that does one whole update"
        )
    # One that follows a measured quantity has nothing to follow in a trial.
    stepped = [(one, each) for one, each in schedules if not isinstance(one, ReduceLROnPlateau)]
    of_steps, of_epochs = ([one for one, each in stepped if each == kind] for kind in ("step", "epoch"))
    clip = getattr(trainer, "gradient_clip_val", None)
    step = cast("Callable[..., Any]", module.training_step)  # pyright: ignore[reportUnknownMemberType]
    with_index = len(inspect.signature(step).parameters) > 1

    def training_step(batch: Any) -> Any:
        module.train()
        optimizer.zero_grad()
        with _without_logging(module):
            found: Any = step(batch, 0) if with_index else step(batch)
        if found is None:
            return None
        loss: Any = cast("Mapping[str, Any]", found)["loss"] if isinstance(found, Mapping) else found
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(module.parameters(), float(clip))
        optimizer.step()
        for one in of_steps:
            one.step()
        return loss.detach()

    def on_epoch() -> None:
        for one in of_epochs:
            one.step()

    return OwnParts(
        model=module, pairs=loader, held_out=held_out, optimizer=optimizer, training_step=training_step,
        on_epoch=on_epoch if of_epochs else None,
    )  # fmt: skip


@contextmanager
def _without_logging(module: Any) -> Generator[None]:
    """Within the block nothing is logged: trial steps are no part of anybody's curves."""

    def nothing(*values: Any, **options: Any) -> None:
        del values, options

    module.__dict__["log"] = module.__dict__["log_dict"] = nothing
    try:
        yield
    finally:
        del module.__dict__["log"], module.__dict__["log_dict"]
