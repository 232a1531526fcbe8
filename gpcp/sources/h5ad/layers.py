"""Which matrix of an AnnData file is read where none is named, and what else could have been.

``X`` if it holds counts; else counts that are known by their name (a layer called ``counts``, or ``raw``); else ``X``
or ``raw`` if they hold log values. A layer of another name, such as ``ambiguous``, ``binary`` or a mask, is whole
numbers too and means something else: it is taken only where it is named, or is the only one of the kind asked for.
"""

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.kinds import KIND_IN_WORDS, Kind, Look, Sparse, look_at

Values = Literal["auto", "counts", "log"]

COUNTS_NAMES = frozenset(
    {"counts", "count", "rawcounts", "rawcount", "countsraw", "raw", "umi", "umis", "umicounts", "readcounts"}
)
"""Names of layers that say that they hold counts, in lower case and without other signs."""

_COUNTS: tuple[Kind, ...] = ("counts", "fractional")
_ALLOWED: dict[Values, tuple[Kind, ...]] = {
    "auto": (*_COUNTS, "log", "binary"),
    "counts": (*_COUNTS, "binary", "unclear", "linear"),
    "log": ("log", "unclear", "root", "fractional"),
}
"""What a layer may look like where its kind is asked for, the surest first."""
_AGREE = 0.999
"""Share of values in which two matrices of the same counts agree."""


def sample_of(file: H5adFile, layer: str, row_N: NDArray[np.int64] | None = None) -> Sparse:
    """Some cells from all over a layer; where these are empty, the first block that is not.

    ``row_N`` (N,) are the cells that count, all by default.
    """
    kept_N = np.ones(len(file.obs), dtype=np.bool_)
    if row_N is not None:
        kept_N = np.isin(np.arange(len(file.obs)), row_N)

    def kept(start: int, block: Sparse) -> Sparse:
        rows: Sparse = block[np.flatnonzero(kept_N[start : start + block.shape[0]])]
        return rows

    parts = [kept(start, block) for start, block in file.blocks(layer, sample=True)]
    if not any(part.nnz for part in parts):
        later = (kept(start, block) for start, block in file.blocks(layer))
        parts = next(([part] for part in later if part.nnz), parts)
    sample: Sparse = sp.vstack(parts, format="csr") if parts else sp.csr_array((0, 0), dtype=np.float64)
    return sample


def look_at_layer(file: H5adFile, layer: str, row_N: NDArray[np.int64] | None = None) -> Look:
    """What a layer's values look like, as :func:`sample_of`. Fractions of a layer called ``counts`` are counts."""
    found = look_at(sample_of(file, layer, row_N))
    return Look(kind="fractional") if found.kind in ("linear", "unclear") and _called_counts(layer) else found


def agree(file: H5adFile, layer: str, other: str) -> bool:
    """Whether two matrices hold the same values for the genes that both have, as far as some cells show."""
    genes, others = file.var_of(layer).index, file.var_of(other).index
    if not (genes.is_unique and others.is_unique):
        return len(genes) == len(others) or layer == other
    place_G = others.get_indexer(genes)
    both_G = np.flatnonzero(place_G >= 0)
    values, rivals = sample_of(file, layer)[:, both_G], sample_of(file, other)[:, place_G[both_G]]
    if values.shape != rivals.shape:
        return True
    # Entries that are 0 in both are left out: nearly all are.
    differ = abs(values - rivals) > 1e-4 * (abs(values) + abs(rivals))
    n_values = (abs(values) + abs(rivals)).count_nonzero()
    return int(differ.count_nonzero()) <= (1 - _AGREE) * int(n_values)


def choose_layer(file: H5adFile, values: Values) -> tuple[str, str]:
    """The matrix to read, and why, with the others that could be.

    Raises
    ------
    InputError
        None is what ``values`` asks for, or none is it by its name; the message lists what there is.
    """
    looks_of = {layer: look_at_layer(file, layer) for layer in file.matrices}
    # Roots of counts themselves can be undone, as logarithms of counts can.
    found: dict[str, Kind] = {
        layer: "log" if look.kind == "root" and not look.normalised else look.kind for layer, look in looks_of.items()
    }
    usable: dict[str, Kind] = {layer: kind for layer, kind in found.items() if kind in _ALLOWED[values]}
    known = _by_name(usable, values)
    if not known and len(usable) == 1:
        # Whole numbers may be anything; log values, or what was asked for, are hardly something else.
        known = [layer for layer, kind in usable.items() if kind == "log" or values != "auto"]
    # Whole counts come before corrected ones, and are named beside them; two of one kind that differ are rivals.
    alike = [layer for layer in known[1:] if found[layer] == found[known[0]] and found[layer] in _COUNTS]
    disagreeing = [layer for layer in alike if not agree(file, known[0], layer)]
    if disagreeing:
        raise InputError(
            f"layers {', '.join(map(repr, (known[0], *disagreeing)))} of {file.name!r} all look like counts and hold "
            "different ones: name the one meant with layer="
        )
    if known:
        rivals = [layer for layer in usable if layer != known[0]]
        return known[0], f"layer {known[0]!r} looks like {KIND_IN_WORDS[found[known[0]]]}" + _not_used(found, rivals)
    looks = "; ".join(f"{layer!r} {KIND_IN_WORDS[kind]}" for layer, kind in found.items()) or "there is none"
    wanted = {"auto": "counts or log values", "counts": "counts", "log": "log values"}[values]
    if usable:
        raise InputError(
            f"no layer of {file.name!r} is known by its name to hold {wanted} ({looks}): name the one meant with layer="
        )
    raise InputError(f"no layer of {file.name!r} looks like {wanted} ({looks}): name one with layer= and values=")


def other_layers(file: H5adFile, layer: str) -> str:
    """Which other layers could be used, as the end of a message."""
    found: dict[str, Kind] = {other: look_at_layer(file, other).kind for other in file.matrices if other != layer}
    usable = [f"layer={other!r} looks like {KIND_IN_WORDS[found[other]]}" for other in found if _usable(found[other])]
    return ", ".join(usable) if usable else "no other layer looks like counts or log values"


def _by_name(usable: Mapping[str, Kind], values: Values) -> list[str]:
    """Matrices that are known by their names for what they hold, the best first."""
    named = [layer for layer in usable if layer not in ("X", "raw") and _called_counts(layer)]
    counts = [
        layer for kind in _COUNTS for layer in ("X", *named, "raw") if usable.get(layer) == kind and values != "log"
    ]
    binary = [layer for layer in named if usable[layer] == "binary"]
    others = [layer for layer in ("X", *binary, "raw") if layer in usable and layer not in counts]
    return counts + sorted(others, key=lambda layer: _ALLOWED[values].index(usable[layer]))


def _called_counts(layer: str) -> bool:
    return layer != "raw" and re.sub(r"[^a-z]", "", layer.lower()) in COUNTS_NAMES


def _usable(kind: Kind) -> bool:
    return kind == "log" or kind in _COUNTS


def _not_used(found: Mapping[str, Kind], rivals: list[str]) -> str:
    if not rivals:
        return ""
    return " (not used: " + ", ".join(f"{layer!r}, {KIND_IN_WORDS[found[layer]]}" for layer in rivals) + ")"
