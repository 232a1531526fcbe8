"""``gpcp make-screen``: a simulated Perturb-seq experiment, written in the form that a tool expects."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, OUTPUT, CommandLine, Seed
from diagnostics.cli.values import FLAG, POSITIVE, SHARE, WHOLE
from gpcp.core.errors import InputError
from simulators.screens.conventions import CONVENTIONS, DEFAULT, convention_named
from simulators.screens.design import KINDS, PRESETS, VALUES, ScreenDesign, design_named

_NOTES = """examples:
  20 targets in a world of 100 genes
    gpcp make-screen scale_free/100 screen.h5ad
  in the form of GEARS, with pairs of targets
    gpcp make-screen scale_free/100 gears.h5ad --for gears --combinations 20
  three contexts that share 70 % of their edges, half of the targets not measured
    gpcp make-screen scale_free/200/hill contexts.h5ad --contexts 3 \\
        --rewired .3 --hidden-targets .5
  the shape of the Virtual Cell Challenge of 2026, smaller
    gpcp make-screen scale_free/500 challenge.h5ad --preset challenge2026 \\
        --targets 50

exit code: 0 done, 2 bad use, 130 interrupted; the file is written atomically"""

_DESIGN = Group("Design", sort_key=10)
_NOISE = Group("What is in the way", sort_key=11)

app = verb(
    "make-screen",
    about="Simulates a Perturb-seq experiment on a known world: guides of unequal strength, cells that escape them, "
    "batches, contexts, counts. The truth (graphs, targets, exact means, seeds) lies in uns of the file.",
    notes=_NOTES,
)

_COUNT = (POSITIVE, Parameter(group=_DESIGN))


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The design of the experiment, where it differs from the preset's, and the form of the file."""

    preset: Annotated[
        str, Parameter(group=_DESIGN, metavar="NAME", help=f"the design to start from: {', '.join(PRESETS)}")
    ] = "plain"
    targets: Annotated[int | None, *_COUNT, Parameter(help="genes that are perturbed, one at a time (20)")] = None
    descendants: Annotated[
        int | None, WHOLE, Parameter(group=_DESIGN, help="genes that a target acts on, at least (0)")
    ] = None
    combinations: Annotated[
        int | None, WHOLE, Parameter(group=_DESIGN, help="pairs of them that are perturbed together (0)")
    ] = None
    cells: Annotated[int | None, *_COUNT, Parameter(help="cells of a perturbation and context (100)")] = None
    controls: Annotated[int | None, *_COUNT, Parameter(help="control cells of a context (400)")] = None
    contexts: Annotated[int | None, *_COUNT, Parameter(help="cell types; the first is the world itself (1)")] = None
    rewired: Annotated[
        float | None, SHARE, Parameter(group=_DESIGN, help="edges in other positions in another context (0)")
    ] = None
    rescaled: Annotated[
        float | None, Parameter(group=_DESIGN, metavar="SD", help="of the log factor on its other edges (0)")
    ] = None
    kind: Annotated[
        str | None, Parameter(group=_DESIGN, metavar="NAME", help=f"what guides do: {', '.join(KINDS)}")
    ] = None
    strength: Annotated[float | None, SHARE, Parameter(group=_DESIGN, help="of the strongest guide (0.9)")] = None
    hidden_targets: Annotated[
        float | None, SHARE, Parameter(group=_DESIGN, help="targets that are no measured genes (0)")
    ] = None
    guides: Annotated[int | None, POSITIVE, Parameter(group=_NOISE, help="guides of a target (3)")] = None
    guide_spread: Annotated[
        float | None, SHARE, Parameter(group=_NOISE, help="by how much a guide is weaker at most (0.4)")
    ] = None
    escapers: Annotated[float | None, SHARE, Parameter(group=_NOISE, help="cells whose guide did nothing (0.1)")] = None
    batches: Annotated[int | None, POSITIVE, Parameter(group=_NOISE, help="batches (2)")] = None
    depth: Annotated[
        float | None, Parameter(group=_NOISE, metavar="COUNTS", help="mean counts of a control cell (10,000)")
    ] = None
    scale: Annotated[
        float | None, Parameter(group=_NOISE, metavar="X", help="change of a log rate for each unit of the world (0.5)")
    ] = None
    seed: Seed = 0
    world_seed: Annotated[int, WHOLE, Parameter(group=DATA, help="of the world")] = 0
    cells_seed: Annotated[
        int, WHOLE, Parameter(group=DATA, help="of the cells: another one is a replicate of the experiment")
    ] = 0
    values: Annotated[
        str | None,
        Parameter(group=OUTPUT, metavar="NAME", help=f"what X holds: {', '.join(VALUES)} (counts; log for gears)"),
    ] = None
    tool: Annotated[
        str,
        Parameter(
            name="--for", group=OUTPUT, metavar="TOOL", help=f"columns and labels as in: {', '.join(CONVENTIONS)}"
        ),
    ] = DEFAULT
    mean_cells: Annotated[
        int, WHOLE, Parameter(group=OUTPUT, help="cells of each Monte Carlo mean in the truth; 0 leaves means out")
    ] = 1024
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="no progress and no summary")] = False

    def design(self) -> ScreenDesign:
        """The preset with what was given.

        Raises
        ------
        InputError
            A name is unknown or a number out of its range.
        """
        field_of = {
            "targets": "n_targets",
            "descendants": "least_descendants",
            "combinations": "n_combinations",
            "cells": "cells_per_target",
            "controls": "n_controls",
            "contexts": "n_contexts",
            "guides": "n_guides",
            "batches": "n_batches",
            "rescaled": "rescaled_sd",
        }
        known = {one.name for one in fields(ScreenDesign)}
        names = [one.name for one in fields(self) if field_of.get(one.name, one.name) in known]
        given: dict[str, Any] = {field_of.get(name, name): getattr(self, name) for name in names}
        if self.tool == "gears" and self.values is None:
            given["values"] = "log"
        return design_named(self.preset, **{name: value for name, value in given.items() if value is not None})


@app.default
def make_screen(
    world: Annotated[
        str | None, Parameter(group=DATA, help="name of a world, such as scale_free/100 or erdos_renyi/50/hill")
    ] = None,
    out: Annotated[Path | None, Parameter(group=OUTPUT, help="the AnnData file to write, NAME.h5ad")] = None,
    /,
    *,
    request: Request = Request(),
    command_line: CommandLine = (),
) -> int:
    """Simulate a screen."""
    del command_line
    if world is None or out is None:
        given = "" if world is None else f", not {world} alone"
        raise InputError(f"name a world and a file{given}: gpcp make-screen scale_free/100 screen.h5ad")
    if out.suffix != ".h5ad":
        raise InputError(f"{str(out)!r} does not end in .h5ad")
    convention_named(request.tool)
    design = request.design()
    if request.mean_cells == 1:
        raise InputError("--mean-cells is 1: a standard error needs at least 2 cells")
    from diagnostics.commands.screens.make_screen.run import execute

    return execute(world, out, design, request)
