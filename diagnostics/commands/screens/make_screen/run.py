"""What ``make-screen`` does: build the world and the screen, draw the cells, write the file, show what is in it."""

from pathlib import Path

from diagnostics.cli.progress import Progress
from diagnostics.cli.text import show
from diagnostics.commands.screens.make_screen.command import Request
from gpcp.core.files import check_file
from simulators.screens.design import ScreenDesign
from simulators.screens.files import screen_anndata, write_screen
from simulators.screens.means import exact_mean
from simulators.screens.simulated import SimulatedScreen, simulated_screen
from simulators.worlds import world


def execute(name: str, out: Path, design: ScreenDesign, request: Request) -> int:
    """Simulate, write and show.

    Raises
    ------
    InputError
        The world is unknown or too small, or nothing can be written there.
    """
    check_file(out, "OUT")
    screen = simulated_screen(world(name, seed=request.world_seed), design, seed=request.seed)
    n_groups = len(screen.labels) * len(screen.contexts)
    means = None
    if request.mean_cells:
        with Progress("means", n_groups, unit="groups", quiet=request.quiet, opening=False) as progress:
            means = exact_mean(screen, n_cells=request.mean_cells, on_progress=progress.of_total)
    with Progress("cells", n_groups, unit="groups", quiet=request.quiet, opening=False) as progress:
        made = screen_anndata(
            screen, seed=request.cells_seed, tool=request.tool, means=means, on_progress=progress.of_total
        )
    write_screen(out, made)
    if not request.quiet:
        show(summary(screen, made.n_obs, out, tool=request.tool))
    return 0


def summary(screen: SimulatedScreen, n_cells: int, out: Path, *, tool: str) -> str:
    """What the file holds, in a few lines."""
    design, measured = screen.design, frozenset(screen.vocab.feature_id)
    n_measured = sum(gene in measured for gene in screen.targets)
    shared = ", ".join(f"{name} {one:.0%}" for name, one in screen.overlaps.items())
    lines = [
        f"{out}: {n_cells:,} cells of {len(screen.vocab):,} genes, {design.values} for {tool}",
        f"  {len(screen.labels) - 1:,} perturbations ({design.kind}) of {len(screen.targets):,} targets, of which "
        f"{n_measured:,} are measured genes; {design.n_guides} guides each, {design.escapers:.0%} escape",
        f"  {len(screen.contexts)} contexts; edges of the world that they have: {shared}",
        f"  the truth is in uns['gpcp_screen']: world {screen.world.name} of seed {screen.world.seed}, screen of seed "
        f"{screen.seed}",
    ]
    return "\n".join(lines)
