"""Copies of any module, and one draw of random numbers for everything that a model or a step may draw from."""

import copy
import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from gpcp.model.torch_seed import torch_seed

_DEPTH = 6


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


@contextmanager
def drawn_from(seed: int) -> Generator[None]:
    """Within the block torch, numpy and Python draw from ``seed``; afterwards their generators stand as before."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the global one is what is lent)
    with torch_seed(seed):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
