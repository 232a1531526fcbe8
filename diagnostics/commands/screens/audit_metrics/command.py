"""``gpcp audit-metrics``: protocols of the field's scorers on answers whose quality is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.audit.metrics.case import WORLD, Design, ScreenFile
from diagnostics.audit.metrics.dials import DIALS
from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, CommandLine, Fresh, OutputOptions, Seeds, Workers
from diagnostics.cli.values import MANY, POSITIVE, WHOLE
from gpcp.core.errors import InputError

_NOTES = """examples:
  every protocol of scPertEval and the preset of the challenge of 2026, five worlds
    gpcp audit-metrics
  one protocol, and what it does with fewer cells, smaller effects and copied noise
    gpcp audit-metrics --protocols pearson_ctrl --dials cells effect noise
  in the challenge's shape
    gpcp audit-metrics --protocols vcc2026 all --world erdos_renyi/500 \\
        --targets 24 --cells 400 --controls 1200 --depth 20000 --descendants 10
  on your own screen, whose law nobody knows: empirical controls alone
    gpcp audit-metrics screen.h5ad --protocols pseudobulk de

Each world and seed is kept as it ends; the same command goes on where it was.

exit code: 0 done, 2 bad use, 130 interrupted"""

_SCORES = Group("Protocols", sort_key=10)
_WORLD = Group("Known worlds", sort_key=11)

app = verb(
    "audit-metrics",
    about="Scores the exact law and mean of known worlds, copies of the reference, and answers without any "
    "information by protocols of cell-eval2 and scPertEval: where the truth lies on their scale, and what is free.",
    notes=_NOTES,
)

_SIZE = (POSITIVE, Parameter(group=_WORLD))


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which protocols, on which worlds or file, under which dials."""

    perturbation: Annotated[
        str | None, Parameter(group=DATA, metavar="COLUMN", help="of obs, where it is not recognised")
    ] = None
    control: Annotated[
        str | None, Parameter(group=DATA, metavar="LABEL", help="of the controls, where it is not recognised")
    ] = None
    protocols: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            group=_SCORES,
            metavar="NAME",
            help="presets of cell-eval2 (vcc2026, v2); protocols of scPertEval (mse, mse_top_k=30), its groups "
            "(pseudobulk, distributional, de) or all of them (default: vcc2026 all)",
        ),
    ] = ("vcc2026", "all")
    dials: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=_SCORES, metavar="NAME", help=f"what is turned, too: {', '.join(DIALS)}, all (default: none)"),
    ] = ()
    reference_cells: Annotated[
        int, POSITIVE, Parameter(group=_SCORES, help="cells of scPertEval's sample of all perturbed cells")
    ] = 1024
    world: Annotated[str, Parameter(group=_WORLD, metavar="NAME", help="such as erdos_renyi/200/hill")] = WORLD
    targets: Annotated[int, *_SIZE, Parameter(help="perturbations that are scored; as many more to learn from")] = 16
    cells: Annotated[int, *_SIZE, Parameter(help="of a perturbation")] = 100
    controls: Annotated[int, *_SIZE, Parameter(help="control cells")] = 400
    descendants: Annotated[int, WHOLE, Parameter(group=_WORLD, help="genes that a target acts on, at least")] = 5
    depth: Annotated[float, Parameter(group=_WORLD, metavar="COUNTS", help="mean counts of a control cell")] = 4000.0
    effect: Annotated[
        float, Parameter(group=_WORLD, metavar="X", help="change of a log rate for each unit of the world")
    ] = 0.5
    seeds: Seeds = (0, 1, 2, 3, 4)
    workers: Workers = 1
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()

    def subject(self, screen: Path | None) -> Design | ScreenFile:
        """What is audited on.

        Raises
        ------
        InputError
            Options of worlds are given beside a file.
        """
        design = Design(
            world=self.world,
            targets=self.targets,
            cells=self.cells,
            controls=self.controls,
            descendants=self.descendants,
            depth=self.depth,
            effect=self.effect,
        )
        if screen is None:
            return design
        if design != Design():
            raise InputError(f"{str(screen)!r} is a measured screen: options of known worlds have no meaning for it")
        return ScreenFile(path=str(screen), perturbation=self.perturbation, control=self.control)


@app.default
def audit_metrics(
    screen: Annotated[
        Path | None, Parameter(group=DATA, help="a measured screen, in the place of known worlds")
    ] = None,
    /,
    *,
    request: Request = Request(),
    command_line: CommandLine = (),
) -> int:
    """Audit protocols."""
    from diagnostics.commands.screens.audit_metrics.run import execute

    return execute(request.subject(screen), request, command_line)
