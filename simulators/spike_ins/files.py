"""A spiked screen as an AnnData object, with the truth in ``uns`` and ``obs``."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.spike_ins.screen import SpikedScreen

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

KEY = "gpcp_spike"
"""Where ``uns`` holds the truth."""

STRENGTH = "truth_strength"
"""Column of obs: what the guide of a cell did, 0 where nothing. No real screen has it: no model may read it."""

_FORMAT = 1


def spiked_anndata(screen: SpikedScreen, *, source: str = "") -> "AnnData":
    """The screen as an AnnData object: counts where they are known, else the logarithms of the source.

    ``obs`` has ``target``, ``guide_id``, the cell types of the source, the totals of counts as ``total_counts`` and
    :data:`STRENGTH`; ``uns`` has graph, targets, effects, design and seed under :data:`KEY`. Unmeasured genes are NaN.

    Parameters
    ----------
    screen : SpikedScreen
    source : str
        Where the cells came from; goes into the truth.
    """
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    cells = screen.cells
    label_N = screen.label_N
    guide_N = [f"{label}_g{guide + 1}" for label, guide in zip(label_N.tolist(), screen.guide_N.tolist(), strict=True)]
    columns: dict[str, Any] = {"target": pd.Categorical(label_N), "guide_id": pd.Categorical(guide_N)}
    if cells.label_N is not None:
        columns["cell_type"] = pd.Categorical(cells.label_N)
    if cells.total_N is not None:
        columns["total_counts"] = cells.total_N
    columns[STRENGTH] = screen.strength_N
    value: Any = cells.value_NG if cells.count_NG is None else cells.count_NG.astype(np.float32)
    value = sp.csr_matrix(value) if cells.measured_NG.all() else np.where(cells.measured_NG, value, np.nan)
    names = pd.Index([f"cell_{number}" for number in cells.cell_id_N.tolist()])
    genes = list(cells.vocab.feature_id)
    made: Any = AnnData(
        X=value,
        obs=pd.DataFrame(columns, index=names),
        var=pd.DataFrame({"gene_name": genes}, index=pd.Index(genes)),
    )
    graph = screen.graph
    made.uns[KEY] = {
        "format": _FORMAT,
        "source": source,
        "seed": screen.seed,
        "rule": screen.rule,
        "design": json.dumps(asdict(screen.design)),
        "targets": np.array(screen.targets, dtype=object),
        "effect": screen.effect_target_G,
        "graph": {
            "gene": np.array(graph.vocab.feature_id, dtype=object),
            "regulator": graph.regulator_E,
            "target": graph.target_E,
            "weight": np.array(graph.weight_E),
        },
    }
    return made


def planted_graph_of(uns: Mapping[str, Any]) -> GeneGraph | None:
    """The graph that a file of a spiked screen holds; None where it is none.

    Raises
    ------
    InputError
        The truth is of another format.
    """
    truth = uns.get(KEY)
    if truth is None:
        return None
    if int(truth["format"]) != _FORMAT:
        raise InputError(f"uns[{KEY!r}] has format {truth['format']}, this version reads {_FORMAT}: write it again")
    graph = truth["graph"]
    return GeneGraph.of_edges(
        vocab=GeneVocab(feature_id=tuple(str(gene) for gene in graph["gene"])),
        regulator_E=np.asarray(graph["regulator"], dtype=np.int64),
        target_E=np.asarray(graph["target"], dtype=np.int64),
        weight_E=np.asarray(graph["weight"], dtype=np.float64),
    )
