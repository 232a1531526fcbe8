"""Copies of any module, and one draw of random numbers for everything that a model or a step may draw from."""

import copy
import random
from collections.abc import Sequence
from typing import Any, TypeAlias, cast, final

import numpy as np
import torch
from torch import Tensor, nn

from gpcp.model.torch_seed import SEED_LIMIT, seed_torch

_DEPTH = 6

Generator: TypeAlias = torch.Generator | np.random.Generator | np.random.RandomState | random.Random
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def copied(model: nn.Module) -> nn.Module:
    """A deep copy of a module, whatever it keeps of its last pass; of a compiled one, of what was compiled.

    Tensors with a graph, such as attention weights kept for a figure or a weight that a hook computes before each
    pass, cannot be copied by :func:`copy.deepcopy`: the copy holds their values alone.
    """
    model = cast("nn.Module", getattr(model, "_orig_mod", model))
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name, value in cast("dict[str, object]", vars(module)).items():
            if name not in ("_parameters", "_modules"):
                _without_graphs(value, memo, _DEPTH)
    # deepcopy keeps what it met in `memo`, which this function need not.
    return copy.deepcopy(model, memo)


def _without_graphs(value: object, memo: dict[int, Any], depth: int) -> None:
    if isinstance(value, Tensor):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
        return
    if not depth or isinstance(value, (nn.Module, str, bytes)):
        return
    if isinstance(value, dict):
        held = list(cast("dict[object, object]", value).values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = list(cast("list[object]", value))
    else:
        held = list(cast("dict[str, object]", getattr(value, "__dict__", {})).values())
    for one in held:
        _without_graphs(one, memo, depth - 1)


@final
class Drawn:
    """Within the block torch, numpy and Python draw from a seed; afterwards their generators stand as before.

    Entered again, it goes on where its last block ended: a user's loader draws its batches one by one. So do ``own``,
    generators that somebody's code holds.
    """

    def __init__(self, seed: int, own: Sequence[Generator] = ()) -> None:
        self._inside: tuple[Any, ...] | None = None
        self._outside: tuple[Any, ...] = ()
        self._seed, self._own = seed, own

    def __enter__(self) -> None:
        self._outside = *_states(), [state_of(one) for one in self._own]
        if self._inside is not None:
            self._set(*self._inside)
            return
        seed_torch(self._seed)
        random.seed(self._seed)
        np.random.seed(self._seed % 2**32)  # noqa: NPY002  (the global one is what is lent)
        # Generators that stand alike stay alike: two loaders of one seed are shuffled alike.
        states = [_whole(one) for one in self._outside[-1]]
        for one, state in zip(self._own, states, strict=True):
            _seed(one, self._seed + states.index(state))

    def __exit__(self, *ended: object) -> None:
        self._inside = *_states(), [state_of(one) for one in self._own]
        self._set(*self._outside)

    def _set(self, *states: Any) -> None:
        *usual, own = states
        _set(*usual)
        for one, state in zip(self._own, own, strict=True):
            put_state(one, state)


def state_of(generator: Generator) -> Any:
    """The state of a generator."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _whole(state: Any) -> object:
    """A state as something to compare: torch's are printed in part."""
    return state.numpy().tobytes() if isinstance(state, Tensor) else repr(state)


def put_state(generator: Generator, state: Any) -> None:
    """Put a generator into a state that it was in."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _seed(generator: Generator, seed: int) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = type(generator.bit_generator)(seed % 2**64).state
    elif isinstance(generator, torch.Generator):
        generator.manual_seed(seed % SEED_LIMIT)
    else:
        generator.seed(seed % 2**32)


def _states() -> tuple[Any, ...]:
    of_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return torch.get_rng_state(), of_cuda, np.random.get_state(), random.getstate()  # noqa: NPY002


def _set(of_torch: Any, of_cuda: Any, of_numpy: Any, of_python: Any) -> None:
    torch.set_rng_state(of_torch)
    torch.cuda.set_rng_state_all(of_cuda)
    np.random.set_state(of_numpy)  # noqa: NPY002
    random.setstate(of_python)
