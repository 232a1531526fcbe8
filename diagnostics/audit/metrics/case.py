"""What one run of an audit is about: a known world's design at one dose of a dial, or a screen's file, and a seed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from gpcp.core.errors import InputError
from gpcp.core.files import existing_file

WORLD = "erdos_renyi/200"
"""Of an audit that names no other."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """The experiment on a known world, in the shape of the challenge of 2026 but smaller.

    Parameters
    ----------
    world : str
        ``family/genes[/...]``.
    targets : int
        Perturbations that are scored; as many others are there to learn a mean response from.
    cells, controls : int
        Cells of each perturbation, and control cells.
    descendants : int
        Genes that a target acts on, at least.
    depth : float
        Mean counts of a control cell.
    effect : float
        Change of a gene's log rate for each unit of the world.
    """

    world: str = WORLD
    targets: int = 16
    cells: int = 100
    controls: int = 400
    descendants: int = 5
    depth: float = 4000.0
    effect: float = 0.5

    def times(self, dial: str, dose: float) -> "Design":
        """The design with one of its sizes multiplied: ``effect``, ``cells``, ``genes`` or ``depth``."""
        if dial == "effect":
            return replace(self, effect=self.effect * dose)
        if dial == "depth":
            return replace(self, depth=self.depth * dose)
        if dial == "cells":
            return replace(self, cells=max(2, round(self.cells * dose)), controls=max(2, round(self.controls * dose)))
        family, _, rest = self.world.partition("/")
        n_genes, _, parts = rest.partition("/")
        if not n_genes.isdigit():
            raise InputError(f"--world is {self.world!r}: the dial of genes needs FAMILY/GENES")
        # Counts a gene stay what they are.
        name = "/".join([family, str(round(int(n_genes) * dose)), *([parts] if parts else [])])
        return replace(self, world=name, depth=self.depth * dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenFile:
    """A measured screen to audit protocols on; no exact answer of it is known unless it holds a simulated world.

    Parameters
    ----------
    path : str
    perturbation, control : str, optional
        Column and label, where they are not recognised.
    """

    path: str
    perturbation: str | None = None
    control: str | None = None

    def stamp(self) -> dict[str, Any]:
        """What decides its content, as far as the file system knows."""
        about = existing_file(Path(self.path), what="AnnData file of the screen").stat()
        return {**asdict(self), "size": about.st_size, "modified": about.st_mtime_ns}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One run: everything that decides its record.

    Parameters
    ----------
    seed : int
        Of the world, the screen, its cells and all draws; of a file, of the draws alone.
    protocols : tuple of str
        Presets of cell-eval2 and protocols of scPertEval, by name.
    subject : Design or ScreenFile
    dial : str
        ``""`` where the design is as it was asked for.
    dose : float
        By which the dial multiplies.
    answer_dials : tuple of str
        Dials of answers that are turned in this run, too.
    reference_cells : int
        Cells of scPertEval's sample of all perturbed cells.
    """

    seed: int
    protocols: tuple[str, ...]
    subject: Design | ScreenFile
    dial: str = ""
    dose: float = 1.0
    answer_dials: tuple[str, ...] = ()
    reference_cells: int = 1024

    @property
    def key(self) -> str:
        """All that decides the record, as JSON."""
        import gpcp

        subject: Mapping[str, Any] = asdict(self.subject) if isinstance(self.subject, Design) else self.subject.stamp()
        about = {**asdict(self), "subject": dict(subject), "what": "audit-metrics", "gpcp": gpcp.__version__}
        return json.dumps(about, sort_keys=True)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"seed {self.seed}" + (f", {self.dial} x {self.dose:g}" if self.dial else "")
