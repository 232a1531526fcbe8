"""``gpcp spike-screen``: real cells of any source as a fake screen whose graph and effects are known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, OUTPUT, CommandLine, Seed, SourceOptions, named
from diagnostics.cli.values import FLAG, POSITIVE, SHARE
from gpcp.core.errors import InputError, nearest
from simulators.graphs.families import DENSE_FAMILIES
from simulators.spike_ins.planted_graph import WEIGHTS
from simulators.spike_ins.real_cells import MAX_CELLS
from simulators.spike_ins.screen import SpikeDesign

_NOTES = """examples:
  20 targets of 50 cells each among the controls of a screen
    gpcp spike-screen spiked.h5ad --source screen:papalexi.h5ad
  weaker, in cells of a blood file, with guides of unequal strength
    gpcp spike-screen spiked.h5ad --source h5ad:pbmc.h5ad --dose -0.5 \\
        --guides 3 --guide-spread 0.5 --cells 20

Counts stay counts: they are thinned (Gerard 2020), so that expected counts differ by exactly the planted
fold change. Where a gene rises under a perturbation, all other cells are thinned instead. Where a source
knows no counts, levels are multiplied: what is 0 stays 0, what is unmeasured stays unmeasured.

exit code: 0 done, 2 bad use, 130 interrupted; the file is written atomically"""

_DESIGN = Group("Design", sort_key=10)

app = verb(
    "spike-screen",
    about="Plants a known graph into real cells: a random part of them becomes the perturbed cells of a fake screen, "
    "with the propagated effect of their target on top of their own values. The truth lies in uns of the file.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Where the cells come from, and what is planted into them."""

    source: SourceOptions = SourceOptions()
    targets: Annotated[int, POSITIVE, Parameter(group=_DESIGN, help="genes that are perturbed")] = 20
    cells: Annotated[int, POSITIVE, Parameter(group=_DESIGN, help="cells of each; all others are controls")] = 50
    dose: Annotated[
        float, Parameter(group=_DESIGN, metavar="X", help="log fold change of a target; -1: down to 37 %")
    ] = -1.0
    guides: Annotated[int, POSITIVE, Parameter(group=_DESIGN, help="guides of a target")] = 1
    guide_spread: Annotated[float, SHARE, Parameter(group=_DESIGN, help="by how much a guide is weaker at most")] = 0.0
    escapers: Annotated[float, SHARE, Parameter(group=_DESIGN, help="cells whose guide did nothing")] = 0.0
    graph: Annotated[
        str, Parameter(group=_DESIGN, metavar="NAME", help=f"family of the graph: {', '.join(DENSE_FAMILIES)}")
    ] = "scale_free"
    degree: Annotated[float, Parameter(group=_DESIGN, metavar="X", help="neighbours of a gene in it")] = 2.0
    weight: Annotated[float, Parameter(group=_DESIGN, metavar="X", help="its largest weight")] = WEIGHTS[1]
    max_cells: Annotated[int, POSITIVE, Parameter(group=DATA, help="cells to read")] = MAX_CELLS
    seed: Seed = 0
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="no summary")] = False

    def design(self) -> SpikeDesign:
        """What is planted; errors as there, or the graph's family is unknown."""
        if self.graph not in DENSE_FAMILIES:
            raise InputError(f"--graph is {self.graph!r}; {nearest(self.graph, DENSE_FAMILIES)}")
        return SpikeDesign(
            n_targets=self.targets,
            cells_per_target=self.cells,
            dose=self.dose,
            n_guides=self.guides,
            guide_spread=self.guide_spread,
            escapers=self.escapers,
        )


@app.default
def spike_screen(
    out: Annotated[Path | None, Parameter(group=OUTPUT, help="the AnnData file to write, NAME.h5ad")] = None,
    /,
    *,
    request: Request = Request(),
    command_line: CommandLine = (),
) -> int:
    """Plant a graph into real cells."""
    del command_line
    if out is None:
        raise InputError("name the file to write: gpcp spike-screen spiked.h5ad --source screen:papalexi.h5ad")
    if out.suffix != ".h5ad":
        raise InputError(f"{str(out)!r} does not end in .h5ad")
    named(request.source)
    design = request.design()
    from diagnostics.commands.screens.spike_screen.run import execute

    return execute(out, design, request)
