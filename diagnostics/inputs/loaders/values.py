"""Values of somebody's batch as arrays, and arrays as values of the same kind."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.inputs.loaders.batch_fields import Entry, read
from gpcp.core.errors import InputError

Floats = NDArray[np.float32]


def array(value: Any) -> NDArray[np.generic]:
    """A tensor, an array or a sparse matrix as an array."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    toarray = getattr(value, "toarray", None)
    return np.asarray(value if toarray is None else toarray())


def matrix(batch: object, entry: Entry, name: str) -> NDArray[np.float64]:
    """An entry of shape (pairs, genes), float64.

    Raises
    ------
    InputError
        It is none.
    """
    value = array(read(batch, entry))
    if value.ndim != 2 or value.dtype.kind not in "biuf":
        raise InputError(
            f"fields: {name!r} is {value.dtype} of shape {value.shape}, expected numbers of shape (pairs, genes)"
        )
    return value.astype(np.float64)


def content_names(value_BG: Floats, perturbed_BG: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """A number for each row's content, int64 (B,)."""
    rows = np.ascontiguousarray(value_BG)
    extra = rows[:, :0] if perturbed_BG is None else np.packbits(perturbed_BG, axis=1)
    digests = [
        blake2b(row.tobytes() + more.tobytes(), digest_size=8).digest() for row, more in zip(rows, extra, strict=True)
    ]
    return np.frombuffer(b"".join(digests), dtype=np.int64).copy() if digests else np.zeros(0, dtype=np.int64)


def is_by_row(value: object, n: int) -> bool:
    """Whether a value has one item for each of ``n`` pairs."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim > 0 and len(cast("Tensor", value)) == n
    return isinstance(value, (list, tuple)) and len(cast("list[object]", value)) == n


def stacked(values: list[Any], like: object, precise: Tensor) -> object:
    """Items of several pairs in the kind of another value; floating tensors in the precision of ``precise``."""
    if isinstance(like, Tensor):
        made = torch.stack(values).to(precise.device)
        return made.to(precise.dtype) if made.is_floating_point() else made
    if isinstance(like, np.ndarray):
        return np.stack(values)
    return type(cast("list[Any]", like))(values)


def gathered(parts: list[tuple[Any, int, int]], precise: Tensor) -> Any:
    """Some rows of an entry of several batches, in the kind of the first; what has no rows is that of the first.

    Parameters
    ----------
    parts : list of (value, row, rows of its batch)
        A value may be a mapping of others, such as of covariates by their names.
    precise : Tensor
    """
    like, _, n_rows = parts[0]
    if is_by_row(like, n_rows):
        return stacked([value[row] for value, row, _ in parts], like, precise)
    if not isinstance(like, Mapping):
        return like
    held = cast("Mapping[str, Any]", like)
    return {key: gathered([(value[key], row, n) for value, row, n in parts], precise) for key in held}


def as_like(value: NDArray[np.generic], like: Any, precise: Tensor) -> Any:
    """Values in the kind and dtype of another entry; floating ones in the precision that is asked for."""
    if isinstance(like, Tensor):
        made = torch.as_tensor(np.ascontiguousarray(value)).to(precise.device)
        return made.to(precise.dtype if like.is_floating_point() else like.dtype)
    return np.asarray(value).astype(np.asarray(like).dtype)
