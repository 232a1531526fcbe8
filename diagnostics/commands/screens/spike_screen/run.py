"""What ``spike-screen`` does: read the cells, plant the graph, write the file, show what is in it."""

from pathlib import Path

from diagnostics.cli.options import named
from diagnostics.cli.text import show
from diagnostics.commands.screens.spike_screen.command import Request
from diagnostics.inputs.planted.untreated import untreated_cells
from gpcp.core.files import check_file
from simulators.screens.files import write_screen
from simulators.spike_ins.files import KEY, spiked_anndata
from simulators.spike_ins.planted_graph import WEIGHTS, planted_graph
from simulators.spike_ins.real_cells import real_cells
from simulators.spike_ins.screen import SpikeDesign, SpikedScreen, spiked_screen

_HOW = {
    "counts": "counts, thinned, so that expected counts have exactly the planted fold changes",
    "fold": "logarithms of levels, multiplied by the planted fold changes; zeros stay zeros",
    "shift": "values of a world's own units, shifted",
}


def execute(out: Path, design: SpikeDesign, request: Request) -> int:
    """Read, plant, write and show.

    Raises
    ------
    InputError
        As the source, as the design, or nothing can be written there.
    """
    check_file(out, "OUT")
    source = named(request.source)
    cells, what = untreated_cells(source, genes=request.source.genes, **request.source.given())
    real = real_cells(cells, max_cells=request.max_cells, seed=request.seed)
    weights = request.weight * WEIGHTS[0] / WEIGHTS[1], request.weight
    graph = planted_graph(real.vocab, family=request.graph, degree=request.degree, weights=weights, seed=request.seed)
    screen = spiked_screen(real, graph, design, seed=request.seed)
    write_screen(out, spiked_anndata(screen, source=source))
    if not request.quiet:
        show(summary(screen, what, out))
    return 0


def summary(screen: SpikedScreen, what: str, out: Path) -> str:
    """What the file holds, in a few lines."""
    design = screen.design
    n_controls = int((screen.target_N < 0).sum())
    n_touched = float((abs(screen.effect_target_G) >= 0.1).sum(axis=1).mean())
    return "\n".join(
        [
            f"{out}: {len(screen.cells):,} cells of {len(screen.cells.vocab):,} genes, {what}",
            f"  {len(screen.targets)} targets of {design.cells_per_target} cells each, {n_controls:,} controls; "
            f"{screen.graph.n_edges:,} edges planted; a perturbation moves {n_touched:.1f} genes by 10 % or more",
            f"  {_HOW[screen.rule]}",
            f"  the truth is in uns['{KEY}'] and obs['truth_strength']",
        ]
    )
