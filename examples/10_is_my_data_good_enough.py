"""Is my data good enough? Effects planted into the controls of a screen: which are found, and the cells it takes.

About ten seconds. The screen is simulated and written here as counts; any file of real cells takes its place.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from diagnostics import GraphDesign, PowerDesign, detection_power, graph_recovery, untreated_cells
from simulators import design_named, real_cells, screen_anndata, simulated_screen, world


def main() -> None:
    print(__doc__)
    design = design_named("ideal", n_targets=3, cells_per_target=20, n_controls=500, depth=400.0)
    with TemporaryDirectory() as name:
        file = Path(name) / "screen.h5ad"
        screen_anndata(simulated_screen(world("scale_free/60"), design)).write_h5ad(file)
        cells, what = untreated_cells(f"screen:{file}")  # the controls alone
        pilot = real_cells(cells)
    print(f"{len(pilot)} cells, {len(pilot.vocab)} genes, counts known: {pilot.count_NG is not None} ({what[:16]})\n")

    found = detection_power(pilot, PowerDesign(effect=0.5, cells=100))
    print("found in 80 % of the affected genes: log fold changes from ... on")
    for n, welch, wilcoxon in zip(
        found.design.cells_grid, found.limits["welch"], found.limits["wilcoxon"], strict=True
    ):
        shown = ["-" if one.value is None else f"{one.value:.2f}" for one in (welch, wilcoxon)]
        print(f"  {n:>5} cells: Welch t {shown[0]}, Wilcoxon {shown[1]}")
    needed = found.needed("wilcoxon")
    if needed.value is not None and needed.low is not None and needed.high is not None:
        ends = f"{needed.low:.0f} .. {needed.high:.0f}"
        print(f"cells for a log fold change of 0.5 with Wilcoxon: {needed.value:.0f} ({ends})\n")

    graphs = graph_recovery(pilot, GraphDesign(doses=(0.5, 2.0), n_cells=(50, 200), n_targets=5, n_repeats=4))
    for row in graphs.rows():
        shown = f"{row['read_out']:>5}, dose {row['dose']}, {row['cells']:>3} cells"
        print(f"planted graph, {shown}: AUPRC {row['auprc']:.2f}")
    print(f"chance: {graphs.chance:.2f}")


if __name__ == "__main__":
    main()
