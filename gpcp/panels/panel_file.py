"""Gene panels as JSON files, written atomically and checked when they are read.

There is a line for each gene, so that a text editor shows them and a difference of two files shows genes.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.files import existing_file, write_text
from gpcp.core.genes import GeneVocab, without_version
from gpcp.panels.annotation import GeneAnnotation
from gpcp.panels.panel import GenePanel, Rule
from gpcp.panels.statistics import GeneStatistics, dataset_table

FORMAT = "gpcp gene panel"
VERSION = 1

_T = TypeVar("_T")


def save_panel(path: str | Path, panel: GenePanel) -> None:
    """Write a panel; the folder is made where it is missing. See :func:`load_panel`."""
    found = panel.statistics
    head = {
        "format": FORMAT,
        "version": VERSION,
        "n_genes": len(panel),
        "chosen_by": panel.chosen_by,
        "rules": [
            {"summary": rule.summary, "n_failing": rule.n_failing, "n_failing_alone": rule.n_failing_alone}
            for rule in panel.rules
        ],
        "notes": list(panel.notes),
        "provenance": panel.provenance,
        "about": panel.about.summary,
        "n_cells": found.n_cells,
        "sampled": found.sampled,
        "datasets": {
            name: np.packbits(measured_G).tobytes().hex()
            for name, measured_G in zip(found.dataset_S, found.measured_SG, strict=True)
        },
    }
    genes = ",\n".join(f"    {json.dumps(row, allow_nan=False)}" for row in _rows(panel))
    text = json.dumps(head, indent=2, allow_nan=False).removesuffix("\n}")
    write_text(Path(path), f'{text},\n  "genes": [\n{genes}\n  ]\n}}\n')


def _rows(panel: GenePanel) -> list[dict[str, Any]]:
    """One mapping for each gene: what is read again, and for information shares and moments."""
    found = panel.statistics
    columns: dict[str, Sequence[Any]] = {
        "feature_id": panel.feature_id,
        "feature_name": [panel.about.symbol_of.get(gene) for gene in panel.feature_id],
        "feature_type": [panel.about.biotype_of.get(gene) for gene in panel.feature_id],
        "kept": [gene in panel.kept for gene in panel.feature_id],
        "n_measured": found.n_measured_G.tolist(),
        "n_expressed": found.n_expressed_G.tolist(),
        "n_nonzero": found.n_nonzero_G.tolist(),
        "mean_nonzero": found.mean_nonzero_G.tolist(),
        "squares_nonzero": found.squares_nonzero_G.tolist(),
        "measured_share": _shown(found.measured_share_G),
        "expressed_share": _shown(found.expressed_share_G),
        "mean": _shown(found.mean_G),
        "variance": _shown(found.variance_G),
        "n_datasets": found.n_datasets_G.tolist(),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _shown(number_G: NDArray[np.float64]) -> list[float | None]:
    """Six digits, null where there is no number."""
    return [None if np.isnan(number) else float(f"{number:.6g}") for number in number_G.tolist()]


def load_panel(path: str | Path) -> GenePanel:
    """Read a panel that :func:`save_panel` wrote.

    Raises
    ------
    InputError
        The file does not exist (the message names the nearest), is no panel, is of another version of the format, or
        what it holds is damaged or contradicts itself; the message says where.
    """
    file = existing_file(path, what="gene panel")
    try:
        content: Any = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"gene panel {file.name!r} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or cast("dict[str, Any]", content).get("format") != FORMAT:
        raise InputError(
            f"{file.name!r} is not a gene panel: it is JSON without the format {FORMAT!r}; "
            "gpcp select-genes writes panels"
        )
    read = _Reader(cast("dict[str, Any]", content))
    version = cast("dict[str, Any]", content).get("version")
    if version != VERSION:
        raise InputError(
            f"gene panel {file.name!r} is of version {version!r} of the format, this gpcp reads {VERSION}: choose the "
            "genes again, or use the gpcp that wrote it"
        )
    try:
        return _panel(read)
    except (InputError, OverflowError) as error:
        raise InputError(f"gene panel {file.name!r} is damaged: {error}; write it again") from None


@final
class _Reader:
    """The fields of a panel file, each of the type stated or refused."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def field(self, name: str, kind: type[_T]) -> _T:
        """One field of the file."""
        return self.checked(self._content, name, kind, "")

    def checked(self, row: dict[str, Any], name: str, kind: type[_T], where: str) -> _T:
        """A value of a mapping; a whole number is a float, too."""
        value = row.get(name)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            have = f"is {value!r}" if name in row else "is missing"
            raise InputError(f"{name}{where} {have}, not {kind.__name__}")
        return value

    def mappings(self, name: str) -> list[dict[str, Any]]:
        """A list of mappings."""
        rows = cast("list[Any]", self.field(name, list))
        for place, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InputError(f"{name}[{place}] is {row!r}, not a mapping")
        return rows

    def column(self, rows: list[dict[str, Any]], name: str, kind: type[_T]) -> list[_T]:
        """One field of every gene."""
        return [self.checked(row, name, kind, f" of genes[{place}]") for place, row in enumerate(rows)]


def _panel(read: _Reader) -> GenePanel:
    """The panel of the fields of a file."""
    rows = read.mappings("genes")
    if len(rows) != read.field("n_genes", int):
        raise InputError(f"it holds {len(rows)} genes and says {read.field('n_genes', int)}")
    genes = tuple(read.column(rows, "feature_id", str))
    kept = read.column(rows, "kept", bool)
    dataset_S, measured_SG = _datasets(cast("dict[str, Any]", read.field("datasets", dict)), len(genes))
    return GenePanel(
        statistics=GeneStatistics(
            vocab=GeneVocab(feature_id=genes),
            n_cells=read.field("n_cells", int),
            n_measured_G=np.array(read.column(rows, "n_measured", int), dtype=np.int64),
            n_expressed_G=np.array(read.column(rows, "n_expressed", int), dtype=np.int64),
            n_nonzero_G=np.array(read.column(rows, "n_nonzero", int), dtype=np.int64),
            mean_nonzero_G=np.array(read.column(rows, "mean_nonzero", float), dtype=np.float64),
            squares_nonzero_G=np.array(read.column(rows, "squares_nonzero", float), dtype=np.float64),
            dataset_S=dataset_S,
            measured_SG=measured_SG,
            sampled=read.field("sampled", bool),
        ),
        chosen_by=read.field("chosen_by", str),
        rules=tuple(
            Rule(
                summary=read.checked(row, "summary", str, " of a rule"),
                n_failing=read.checked(row, "n_failing", int, " of a rule"),
                n_failing_alone=read.checked(row, "n_failing_alone", int, " of a rule"),
            )
            for row in read.mappings("rules")
        ),
        kept=frozenset(gene for gene, is_kept in zip(genes, kept, strict=True) if is_kept),
        notes=tuple(str(note) for note in cast("list[Any]", read.field("notes", list))),
        provenance=read.field("provenance", str),
        about=GeneAnnotation(
            symbol_of=_known(rows, "feature_name"),
            biotype_of=_known(rows, "feature_type"),
            summary=read.field("about", str),
        ),
    )


def _datasets(packed_of: dict[str, Any], n_genes: int) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """The datasets, and the genes that each measures."""
    measured_of: dict[str, NDArray[np.bool_]] = {}
    for name, packed in packed_of.items():
        try:
            bits = np.frombuffer(bytes.fromhex(packed), dtype=np.uint8)
        except (TypeError, ValueError):
            raise InputError(f"the genes of dataset {name!r} are {packed!r}, not a hexadecimal text") from None
        if len(bits) != (n_genes + 7) // 8:
            raise InputError(f"the genes of dataset {name!r} are {8 * len(bits)} bits for {n_genes} genes")
        measured_of[name] = np.unpackbits(bits, count=n_genes).astype(np.bool_)
    return dataset_table(measured_of, n_genes)


def _known(rows: list[dict[str, Any]], name: str) -> dict[str, str]:
    """A text that not every gene has."""
    return {row["feature_id"]: str(row[name]) for row in rows if row.get(name) is not None}


def read_genes(path: str | Path) -> tuple[str, ...]:
    """The genes of a panel file, or of a plain text.

    Parameters
    ----------
    path : str or Path
        A file of :func:`save_panel`, or a text with an id at the beginning of each line; what follows it after a
        blank, a comma or a tab, empty lines, lines that begin with ``#`` and a first line ``feature_id`` are passed
        over.

    Returns
    -------
    tuple of str
        Without versions, in the order of the file.

    Raises
    ------
    InputError
        The file does not exist, names no gene or one twice, or is a damaged panel.
    """
    file = existing_file(path, what="file of genes")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"file of genes {file.name!r} cannot be read as text: {error}") from None
    if text.lstrip().startswith("{"):
        return load_panel(file).feature_id
    lines = [re.split(r"[\s,;]", line.strip(), maxsplit=1)[0].strip("\"'") for line in text.splitlines()]
    genes = [without_version(line) for line in lines if line and not line.startswith("#")]
    genes = genes[1:] if genes[:1] == ["feature_id"] else genes
    if not genes:
        raise InputError(f"file of genes {file.name!r} names no gene: write an id at the beginning of each line")
    try:
        return GeneVocab(feature_id=tuple(genes)).feature_id
    except InputError as error:
        raise InputError(f"file of genes {file.name!r}: {error}") from None
