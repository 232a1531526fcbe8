"""Models by name: a preset, ``package.module:factory`` or ``path/to/file.py:factory``; and their checkpoints.

What a user's own code raises is shown with the frames of that code alone.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from diagnostics.checks.engine.subject import Subject, input_columns
from diagnostics.checks.users_code import users_own
from diagnostics.inputs.own_parts import OwnParts
from gpcp.core.errors import InputError, nearest
from gpcp.core.perturbations import PerturbationVocab
from gpcp.model.config import PRESETS, ModelConfig, preset
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig

_N_INPUTS = "n_inputs"
"""The argument by which a factory asks for the columns of ``perturbation``."""

Model = str | Callable[..., object]
"""A preset, where a factory is, or the factory itself."""


def shown_model(model: Model | None) -> str:
    """What a model is called in messages."""
    return getattr(model, "__name__", type(model).__name__) if callable(model) else str(model)


def model_named(
    name: Model, n_genes: int | None, *, seed: int = 0, perturbations: PerturbationVocab | None = None
) -> nn.Module | Subject | OwnParts:
    """The model of a name, untrained.

    Parameters
    ----------
    name : str or callable
        Of a preset, or a factory, or where one is: ``module:factory`` or ``file.py:factory``. A factory takes the
        number of genes, or nothing, and ``n_inputs`` by that name where it asks for it: the columns of
        ``perturbation``, which are the genes and the targets that are not measured. It gives a module, a whole
        :class:`diagnostics.checks.engine.subject.Subject`, or a dict of what
        :func:`diagnostics.inputs.diagnose.diagnose` takes: the model, its loader, loss, optimiser and step.
    n_genes : int or None
        None where no source determines it.
    seed : int
        Of a preset's weights.
    perturbations : PerturbationVocab, optional
        Those of the source that have names, which a preset then reads.

    Raises
    ------
    InputError
        There is no such model, its code raises (the message holds the traceback), or it needs a number of genes.
    """
    n_inputs = n_genes
    if n_genes is not None and perturbations is not None:
        n_inputs = input_columns(perturbations, n_genes)[1]
    if callable(name):
        return made_by(shown_model(name), name, n_genes, n_inputs)
    location, colon, attribute = name.rpartition(":")
    if not colon:
        if name not in PRESETS:
            raise InputError(
                f"model {name!r} is no preset ({nearest(name, PRESETS)}) and names no factory: "
                "write package.module:factory or path/to/file.py:factory"
            )
        if n_genes is None:
            raise InputError(f"the number of genes of the model {name!r} is not known: give --source or --n-genes")
        return GenePerturbationTransformer(preset(name, n_genes, perturbations), seed=seed)
    return made_by(name, factory_at(location, attribute), n_genes, n_inputs)


def module_at(location: str, n_genes: int, n_inputs: int) -> nn.Module | Subject | OwnParts:
    """What the factory at ``module:factory`` or ``file.py:factory`` gives; or a preset, of genes alone.

    Raises
    ------
    InputError
        As :func:`model_named`.
    """
    place, colon, attribute = location.rpartition(":")
    if not colon:
        return model_named(location, n_genes)
    return made_by(location, factory_at(place, attribute), n_genes, n_inputs)


def factory_at(location: str, attribute: str) -> Callable[..., object]:
    """A factory in a file or a module.

    Raises
    ------
    InputError
        There is no such file, module or function, or its code raises.
    """
    factory = getattr(_module(location), attribute, None)
    if not callable(factory):
        known = [one for one, value in vars(_module(location)).items() if callable(value) and not one.startswith("_")]
        raise InputError(f"{location} has no function {attribute!r}; {nearest(attribute, known)}")
    return factory


def made_by(
    name: str, factory: Callable[..., object], n_genes: int | None, n_inputs: int | None
) -> nn.Module | Subject | OwnParts:
    """What a factory gives, called with the number of genes and of columns of ``perturbation``, if it takes them.

    Raises
    ------
    InputError
        It needs other arguments, its code raises, or it gives something else.
    """
    try:
        parameters = inspect.signature(factory).parameters
    except ValueError as error:
        raise InputError(f"{name}: its arguments cannot be read: write a function of the number of genes") from error
    n_needed = sum(
        one.default is one.empty
        and one.name != _N_INPUTS
        and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters.values()
    )
    if n_needed > 1:
        raise InputError(
            f"{name} needs {n_needed} arguments: a factory takes the number of genes, or nothing, and {_N_INPUTS}, the "
            "columns of perturbation, by that name"
        )
    if (n_needed or _N_INPUTS in parameters) and n_genes is None:
        raise InputError(f"{name} takes a number of genes, which is not known: give --source or --n-genes")
    numbers = {_N_INPUTS: n_inputs} if _N_INPUTS in parameters else {}
    made = users_own(f"{name} could not be called", partial(factory, **numbers), *([n_genes] if n_needed else []))
    if isinstance(made, Mapping):
        return OwnParts.of(cast("Mapping[str, Any]", made))
    if not isinstance(made, (nn.Module, Subject, OwnParts)):
        raise InputError(
            f"{name} gives a {type(made).__name__}: it must give a torch.nn.Module, or a dict of what diagnose() "
            "takes, such as {'model': ..., 'pairs': loader, 'loss': ...}"
        )
    return made


def _module(location: str) -> ModuleType:
    if not location.endswith(".py"):
        # `python -m` looks in the current folder first; so does this where it is not there yet.
        _first_on_path(Path.cwd())
        if not _found(location):
            raise InputError(f"there is no module {location!r}: name one that can be imported, or path/to/file.py")
        return cast("ModuleType", users_own(f"{location} could not be imported", importlib.import_module, location))
    path = Path(location).resolve()
    if not path.is_file():
        raise InputError(f"there is no file {location!r}")
    name = f"_of_user_{path.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{location!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    _first_on_path(path.parent)
    # Dataclasses and pickles of the file look their module up by its name.
    sys.modules[name] = module
    try:
        users_own(f"{location} could not be imported", spec.loader.exec_module, module)
    except InputError:
        del sys.modules[name]
        raise
    return module


def _found(location: str) -> bool:
    try:
        return importlib.util.find_spec(location) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _first_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


_ODD = (InputError, TypeError, KeyError, ValueError, AttributeError, RuntimeError, MemoryError, OverflowError)
"""What fields of another type, or sizes beyond all bounds, may end in."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a file of weights, under ``model`` the weights.

    ``made_with`` too where :func:`gpcp.training.fit.fit` wrote it.

    Raises
    ------
    InputError
        It is no file of weights.
    """
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A reader of damaged files may stumble over anything; it is the file that cannot be used all the same.
        raise InputError(f"{str(path)!r} is no file of weights ({type(error).__name__})") from error
    if isinstance(state, dict):
        held = cast("dict[str, Any]", state)
        for key in ("model", "state_dict", "model_state_dict"):
            if isinstance(held.get(key), dict):
                return {"model": held[key], "made_with": held.get("made_with")}
        if held and all(isinstance(value, torch.Tensor) for value in held.values()):
            return {"model": held, "made_with": None}
    raise InputError(f"{str(path)!r} holds no weights: neither a state_dict nor a checkpoint of gpcp")


def model_of_checkpoint(state: Mapping[str, Any], path: Path) -> GenePerturbationTransformer:
    """The model that a checkpoint of :func:`gpcp.training.fit.fit` was made with, without its weights yet.

    Raises
    ------
    InputError
        The checkpoint does not hold it.
    """
    try:
        config = ModelConfig(**state["made_with"]["model configuration"])
        n_values = sum(weight.numel() for weight in state["model"].values())
        # Numbers beyond those of the weights would take for ever to build.
        if any(isinstance(number, int) and number > n_values for number in config.to_json().values()):
            raise ValueError("a size is larger than all weights together")
        return GenePerturbationTransformer(config)
    except _ODD as error:
        raise InputError(f"{str(path)!r} does not hold the configuration of its model: give --model too") from error


def fit_config_of(state: Mapping[str, Any]) -> FitConfig | None:
    """How the weights of a checkpoint were trained; None where it does not hold that."""
    try:
        return FitConfig(**state["made_with"]["fit configuration"])
    except _ODD:
        return None


def load_weights(model: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Put a checkpoint's weights into a model.

    Raises
    ------
    InputError
        They are of another model.
    """
    try:
        model.load_state_dict(state["model"])
    except _ODD as error:
        detail = " ".join(str(error).split())
        raise InputError(f"the weights of {str(path)!r} are not of this model: {detail[:300]}") from error
