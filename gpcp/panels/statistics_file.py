"""The statistics of a first pass as a file, so that another choice of genes needs no second pass.

Numbers are stored exactly: a panel chosen from the file is the one chosen from the pass.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.files import existing_file, write_with
from gpcp.core.genes import GeneVocab
from gpcp.panels.annotation import GeneAnnotation
from gpcp.panels.statistics import GeneStatistics

FORMAT = "gpcp gene statistics"
VERSION = 1

_ARRAYS = ("n_measured_G", "n_expressed_G", "n_nonzero_G", "mean_nonzero_G", "squares_nonzero_G")

_KINDS: Mapping[str, type] = {
    "n_cells": int,
    "sampled": bool,
    "datasets": list,
    "provenance": str,
    "about": str,
    "asked": dict,
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SavedStatistics:
    """What a file of statistics holds.

    Parameters
    ----------
    statistics : GeneStatistics
    about : GeneAnnotation
        Symbols and kinds that the source itself gave.
    provenance : str
        What the source says of itself.
    asked : mapping of str to str
        What the pass was asked for: the source by name and its options.
    """

    statistics: GeneStatistics
    about: GeneAnnotation = field(default_factory=GeneAnnotation)
    provenance: str = ""
    asked: Mapping[str, str] = field(default_factory=dict[str, str])


def save_statistics(path: str | Path, saved: SavedStatistics) -> None:
    """Write statistics; the folder is made where it is missing. See :func:`load_statistics`."""
    found = saved.statistics
    head = {
        "format": FORMAT,
        "version": VERSION,
        "n_cells": found.n_cells,
        "sampled": found.sampled,
        "datasets": list(found.dataset_S),
        "provenance": saved.provenance,
        "about": saved.about.summary,
        "asked": dict(saved.asked),
    }
    genes = found.vocab.feature_id
    arrays: dict[str, Any] = {name: getattr(found, name) for name in _ARRAYS}
    arrays["head"] = np.array(json.dumps(head))
    arrays["feature_id"] = np.array(genes)
    arrays["feature_name"] = np.array([saved.about.symbol_of.get(gene, "") for gene in genes])
    arrays["feature_type"] = np.array([saved.about.biotype_of.get(gene, "") for gene in genes])
    arrays["measured_KW"] = np.packbits(found.measured_SG, axis=1)

    def write(passing: Path) -> None:
        # An open file: numpy adds .npz to names that do not end in it.
        with passing.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_with(Path(path), write)


def load_statistics(path: str | Path) -> SavedStatistics:
    """Read statistics that :func:`save_statistics` wrote.

    Raises
    ------
    InputError
        The file does not exist (the message names the nearest), holds no statistics, is of another version of the
        format, or is damaged.
    """
    file = existing_file(path, what="file of gene statistics")
    try:
        # An open file: numpy leaves one that it opened itself open where the archive is torn.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
        head: Any = json.loads(str(arrays["head"]))
        format_name, version = head["format"], head["version"]
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(
            f"{file.name!r} cannot be read as gene statistics ({' '.join(str(error).split())}): it is another file, or "
            "damaged; let diagnostics.commands.select_genes.command write it again"
        ) from None
    if (format_name, version) != (FORMAT, VERSION):
        raise InputError(
            f"{file.name!r} is {format_name!r} of version {version!r}, and what is read here is {FORMAT!r} of version "
            f"{VERSION}: let diagnostics.commands.select_genes.command write it again"
        )
    try:
        return _saved(head, arrays)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"gene statistics {file.name!r} are damaged: {error}") from None


def _saved(head: dict[str, Any], arrays: dict[str, Any]) -> SavedStatistics:
    """The statistics of the arrays of a file."""
    for name, kind in _KINDS.items():
        if type(head[name]) is not kind:
            raise TypeError(f"{name} is {head[name]!r}, not {kind.__name__}")
    for name in ("feature_id", "feature_name", "feature_type"):
        if arrays[name].dtype.kind != "U" or arrays[name].ndim != 1:
            raise TypeError(f"{name} is no row of texts")
    genes: tuple[str, ...] = tuple(arrays["feature_id"].tolist())
    names: list[str] = arrays["feature_name"].tolist()
    kinds: list[str] = arrays["feature_type"].tolist()
    statistics = GeneStatistics(
        vocab=GeneVocab(feature_id=genes),
        n_cells=int(head["n_cells"]),
        dataset_S=tuple(str(name) for name in head["datasets"]),
        measured_SG=np.unpackbits(arrays["measured_KW"], axis=1, count=len(genes)).astype(np.bool_),
        sampled=bool(head["sampled"]),
        **{name: arrays[name] for name in _ARRAYS},
    )
    return SavedStatistics(
        statistics=statistics,
        about=GeneAnnotation(
            symbol_of={gene: name for gene, name in zip(genes, names, strict=True) if name},
            biotype_of={gene: kind for gene, kind in zip(genes, kinds, strict=True) if kind},
            summary=str(head["about"]),
        ),
        provenance=str(head["provenance"]),
        asked={str(name): str(value) for name, value in head["asked"].items()},
    )
