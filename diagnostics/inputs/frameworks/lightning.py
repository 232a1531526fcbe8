"""Lightning: a callback that diagnoses a training before its first step, and a module diagnosed with its data module.

The module's own ``training_step`` is what is judged, with the optimiser that its ``configure_optimizers`` makes.
"""

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Unpack, cast, final

import torch

from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.frameworks.options import Options
from diagnostics.results.report import Report
from gpcp.core.errors import InputError
from gpcp.core.imports import need

need("lightning.pytorch", extra="lightning", use="the callback for Lightning")

from lightning.pytorch import LightningDataModule, LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import Callback  # noqa: E402


def diagnose_lightning(
    trainer: Trainer | None,
    module: LightningModule,
    datamodule: LightningDataModule | Any,
    **options: Unpack[Options],
) -> Report:
    """Diagnose a module with its data as ``trainer.fit(module, datamodule)`` would train it.

    Parameters
    ----------
    trainer : Trainer or None
        Of its settings, the clipping of gradients is used.
    module : LightningModule
        With automatic optimisation.
    datamodule : LightningDataModule or DataLoader
    **options
        As in :func:`diagnostics.inputs.diagnose.diagnose`; ``fields`` at least, where entries of a batch bear other
        names.

    Raises
    ------
    InputError
        The module optimises by hand, has several optimisers, or something cannot be called as it stands.
    """
    loader, held_out = _loaders(datamodule)
    return _diagnosed(module, loader, held_out, optimizer_of(module), trainer, options)


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
        self.report = _diagnosed(
            pl_module, trainer.train_dataloader, held_out or None, optimizer, trainer, self._options
        )
        print(self.report.text())
        if self.stop and self.report.diagnosis is not None:
            trainer.should_stop = True


def optimizer_of(module: LightningModule) -> torch.optim.Optimizer:
    """The one optimiser that a module configures.

    Raises
    ------
    InputError
        It configures none or several.
    """
    made: Any = module.configure_optimizers()
    if isinstance(made, Mapping):
        made = cast("Mapping[str, Any]", made)["optimizer"]
    if isinstance(made, (tuple, list)):
        parts = cast("Sequence[Any]", made)
        nested = cast("Sequence[Any]", parts[0] if parts and isinstance(parts[0], (tuple, list)) else parts)
        return _only_one([one["optimizer"] if isinstance(one, dict) else one for one in nested])
    return _only_one([] if made is None else [made])


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


def _diagnosed(
    module: LightningModule,
    loader: Any,
    held_out: Any,
    optimizer: torch.optim.Optimizer,
    trainer: Any,
    options: Options,
) -> Report:
    if not module.automatic_optimization:
        raise InputError(
            f"{type(module).__name__} optimises by hand: give diagnose() a training_step of your own, a function of "
            "(batch) that does one whole update"
        )
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
        return loss.detach()

    return diagnose(module, loader, held_out=held_out, optimizer=optimizer, training_step=training_step, **options)


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
