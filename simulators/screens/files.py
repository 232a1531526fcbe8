"""A simulated screen as an AnnData object or file, with the truth in ``uns``, and the screen that a file came from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.files import write_with
from gpcp.core.progress import OnProgress, no_progress
from simulators.screens.conventions import DEFAULT, Convention, convention_named
from simulators.screens.design import Kind, ScreenDesign
from simulators.screens.guides import Guides
from simulators.screens.means import ScreenMeans, log_values
from simulators.screens.simulated import ScreenCells, SimulatedScreen, simulated_screen
from simulators.worlds import world

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

KEY = "gpcp_screen"
"""Where ``uns`` holds the truth."""

ESCAPED = "truth_escaped"
"""Column of obs: whether a cell's guide did nothing. No real screen has it: no model may read it."""

_FORMAT = 1

KIND = "perturbation_type"
"""Column that says how the guides act, in the words of screens."""

_KINDS: Mapping[Kind, str] = {"knockdown": "CRISPRi", "knockout": "knockout", "activation": "CRISPRa"}


def screen_anndata(
    screen: SimulatedScreen,
    *,
    seed: int = 0,
    tool: str = DEFAULT,
    means: ScreenMeans | None = None,
    on_progress: OnProgress = no_progress,
) -> "AnnData":
    """A fresh draw of all cells of a screen.

    Cells lie context by context and perturbation by perturbation, the controls first. ``X`` holds what the design's
    ``values`` name; beside logarithms the counts are in ``layers["counts"]``.

    Parameters
    ----------
    screen : SimulatedScreen
    seed : int
        Of the cells; each seed is a replicate of the whole experiment.
    tool : str
        One of :data:`~simulators.screens.conventions.CONVENTIONS`: how columns and labels are named.
    means : ScreenMeans, optional
        Goes into the truth.
    on_progress : callable
        Called with the number of groups done.

    Raises
    ------
    InputError
        An unknown tool.
    """
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    convention = convention_named(tool)
    groups = [(context, guides) for context in screen.contexts for guides in screen.perturbations]
    rows: list[Any] = []
    counts: list[Any] = []
    obs: list[dict[str, Any]] = []
    for done, (context, guides) in enumerate(groups, 1):
        cells = screen.sampler(guides.label, context, screen.n_cells(guides.label), seed)
        rows.append(x_of(screen, cells))
        if screen.design.values == "log":
            counts.append(sp.csr_matrix(cells.count_BG.astype(np.float32)))
        kind = np.repeat(_KINDS[screen.design.kind], len(cells.guide_B))
        obs.append({**_columns(convention, guides, context, cells), KIND: kind})
        on_progress(done, len(groups))
    table = pd.DataFrame({name: np.concatenate([part[name] for part in obs]) for name in obs[0]})
    for name in table.columns:
        if name != ESCAPED:
            table[name] = table[name].astype("category")
    table.index = pd.Index([f"cell_{i}" for i in range(len(table))])
    genes = list(screen.vocab.feature_id)
    stacked = np.concatenate(rows) if screen.design.values == "latent" else sp.vstack(rows, format="csr")
    made: Any = AnnData(X=stacked, obs=table, var=pd.DataFrame({"gene_name": genes}, index=pd.Index(genes)))
    if counts:
        made.layers["counts"] = sp.vstack(counts, format="csr")
    made.uns[KEY] = truth_of(screen, seed=seed, convention=convention, tool=tool, means=means)
    return made


def x_of(screen: SimulatedScreen, cells: ScreenCells) -> Any:
    """Cells as ``X`` holds them: sparse float32 counts or logarithms, or dense float32 values of the world."""
    import scipy.sparse as sp

    if screen.design.values == "latent":
        return cells.latent_BG[:, screen.measurement.measured_G].astype(np.float32)
    if screen.design.values == "log":
        return sp.csr_matrix(log_values(cells.count_BG, screen.design.log_total).astype(np.float32))
    return sp.csr_matrix(cells.count_BG.astype(np.float32))


def _columns(convention: Convention, guides: Guides, context: str, cells: ScreenCells) -> dict[str, Any]:
    n, label = len(cells.guide_B), convention.label(guides)
    stem = label if guides.genes else "non-targeting"
    return {
        convention.perturbation: np.repeat(label, n),
        convention.context: np.repeat(context, n),
        convention.batch: np.array([f"batch_{batch}" for batch in cells.batch_B.tolist()]),
        "guide_id": np.array([f"{stem}_g{guide + 1}" for guide in cells.guide_B.tolist()]),
        ESCAPED: cells.escaped_B,
    }


def truth_of(
    screen: SimulatedScreen, *, seed: int, convention: Convention, tool: str, means: ScreenMeans | None = None
) -> dict[str, Any]:
    """What ``uns`` holds of a screen: all that makes it again, its graphs, targets, guides and exact means."""
    import gpcp

    truth: dict[str, Any] = {
        "format": _FORMAT,
        "gpcp_version": gpcp.__version__,
        "world": screen.world.name,
        "world_seed": screen.world.seed,
        "seed": screen.seed,
        "cells_seed": seed,
        "tool": tool,
        "design": json.dumps(asdict(screen.design)),
        "contexts": _texts(screen.contexts),
        "labels": _texts([convention.label(one) for one in screen.perturbations]),
        "genes": _texts([" ".join(one.genes) for one in screen.perturbations]),
        "guide_strength": np.array([one.strengths for one in screen.perturbations]),
        "graphs": {
            name: {
                "regulator": _texts(graph.vocab.genes(graph.regulator_E)),
                "target": _texts(graph.vocab.genes(graph.target_E)),
                "weight": np.array(graph.weight_E),
            }
            for name, graph in screen.graphs.items()
        },
        "overlap": np.array(list(screen.overlaps.values())),
    }
    if means is not None:
        truth["mean"] = {
            "count": _rows(means.count_context_label_G),
            "count_error": _rows(means.count_error),
            "log": _rows(means.log_context_label_G),
            "log_error": _rows(means.log_error),
            "latent": _rows(means.latent_context_label_G),
            "latent_error": _rows(means.latent_error),
        }
    return truth


def _texts(texts: Sequence[str]) -> NDArray[np.object_]:
    return np.array(list(texts), dtype=object)


def _rows(mean_context_label_G: NDArray[np.float64]) -> NDArray[np.float64]:
    """With one row for each context and label, label by label within a context."""
    return mean_context_label_G.reshape(-1, mean_context_label_G.shape[-1])


def screen_of(uns: Mapping[str, Any]) -> SimulatedScreen | None:
    """The screen that an AnnData's ``uns`` came from, made again from world, seeds and design; None where it is none.

    Raises
    ------
    InputError
        The truth is of another format, or of a world that its name does not make.
    """
    truth = uns.get(KEY)
    if truth is None:
        return None
    if int(truth["format"]) != _FORMAT:
        raise InputError(f"uns[{KEY!r}] has format {truth['format']}, this version reads {_FORMAT}: export it again")
    design = ScreenDesign(**json.loads(str(truth["design"])))
    made = simulated_screen(world(str(truth["world"]), seed=int(truth["world_seed"])), design, seed=int(truth["seed"]))
    graph = truth["graphs"]["context_0"]
    if not np.array_equal(np.asarray(graph["weight"]), made.world.graph.weight_E):
        raise InputError(
            f"world {truth['world']!r} of seed {truth['world_seed']} is not the one that uns[{KEY!r}] holds: "
            "this version of gpcp makes another"
        )
    return made


def write_screen(path: Path, screen: "AnnData") -> None:
    """Write an AnnData file, atomically."""
    write_with(path, lambda passing: screen.write_h5ad(passing, compression="gzip"))
