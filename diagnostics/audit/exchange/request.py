"""What a program is handed: training cells and controls, what is asked, and nothing of the test cells' expression."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.exchange.shuffled import shuffled_cells
from gpcp.core.files import write_json, write_with
from gpcp.core.random import stream

FORMAT = 1
"""Version of the exchange; a program refuses one that it does not know."""

PERTURBATION, CONTEXT = "perturbation", "context"
"""Columns of ``obs`` in every file of the exchange, whatever the screen calls them."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Request:
    """What is asked of a predictor.

    Parameters
    ----------
    train, ask : AnnData
        Training cells and controls; and, for each cell that is asked for, a control of its context, the perturbation
        in ``obs`` being the one that is asked about.
    content : dict
        What ``request.json`` holds.
    """

    train: Any
    ask: Any
    content: dict[str, Any]

    @property
    def key(self) -> str:
        """What decides the answer, as one word: another question has another."""
        return self.content["key"]

    def write(self, folder: Path) -> None:
        """Write ``train.h5ad``, ``ask.h5ad`` and ``request.json`` into a folder, the last one last."""
        for name, adata in (("train.h5ad", self.train), ("ask.h5ad", self.ask)):
            write_with(folder / name, adata.write_h5ad)
        write_json(folder / "request.json", self.content)


def request_of(
    screen: ScreenData, split: Split, *, seed: int, asker: Sequence[str] = (), shuffled: bool = False
) -> Request:
    """The question that a split of a screen is.

    Parameters
    ----------
    screen : ScreenData
    split : Split
    seed : int
        Of the controls that are asked about; handed on to the program.
    asker : sequence of str
        The words of the program's command; files among them go into the key with their contents.
    shuffled : bool
        Whether the cells that are asked about are those of :func:`~diagnostics.audit.exchange.shuffled.shuffled_cells`.
    """
    import gpcp

    kept_B = np.isin(screen.label_B, [CONTROL, *split.train])
    train = _cells(screen, np.flatnonzero(kept_B), screen.X_BG[kept_B], screen.label_B[kept_B], "train")
    rng = stream(seed, "exchange", "controls")
    rows: list[NDArray[np.int64]] = []
    asked: list[dict[str, Any]] = []
    for context in screen.contexts:
        control_B = screen.rows(CONTROL, context)
        for label in screen.in_context(context, split.test):
            n = len(screen.rows(label, context))
            # Each control once before any is there twice.
            turns = [rng.permutation(control_B) for _ in range(-(-n // len(control_B)))]
            rows.append(np.concatenate(turns)[:n])
            asked.append({PERTURBATION: label, CONTEXT: context, "n_cells": n})
    row_B = np.concatenate(rows)
    label_B = np.concatenate([np.repeat(one[PERTURBATION], one["n_cells"]) for one in asked])
    asked_BG = screen.X_BG[row_B]
    if shuffled:
        rng = stream(seed, "exchange", "shuffled cells")
        asked_BG = shuffled_cells(
            asked_BG.toarray().astype(np.float32), label_B.astype(object), screen.context_B[row_B], rng
        )
    ask = _cells(screen, row_B, asked_BG, label_B, "ask")
    labels = [*split.train, *split.test]
    content: dict[str, Any] = {
        "format": FORMAT,
        "gpcp_version": gpcp.__version__,
        "seed": seed,
        "values": screen.scale,
        "control": CONTROL,
        "columns": {"perturbation": PERTURBATION, "context": CONTEXT, "covariates": list(screen.covariates)},
        "n_genes": len(screen.genes),
        "targets": {label: list(screen.targets.get(label, ())) for label in labels},
        "asked": asked,
    }
    return Request(train=train, ask=ask, content={**content, "key": _key(content, train, ask, asker)})


def _cells(screen: ScreenData, row_B: NDArray[np.int64], value_BG: Any, label_B: NDArray[Any], what: str) -> Any:
    """Cells of a screen, or others in their place, under the labels given; context and covariates are the screen's."""
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    index = pd.Index([f"{what}_{i}" for i in range(len(label_B))])
    columns = {PERTURBATION: label_B, CONTEXT: screen.context_B[row_B]}
    columns |= {name: of_cell_B[row_B] for name, of_cell_B in screen.covariates.items()}
    # Made of these cells alone: a category that only test cells have is not among them.
    obs = pd.DataFrame({name: values.astype(str) for name, values in columns.items()}, index=index).astype("category")
    genes = pd.DataFrame(index=pd.Index(list(screen.genes)))
    return AnnData(sp.csr_matrix(value_BG, dtype=np.float32), obs, genes)


def _key(content: dict[str, Any], train: Any, ask: Any, asker: Sequence[str]) -> str:
    import json

    digest = hashlib.sha256()
    digest.update(json.dumps({name: one for name, one in content.items() if name != "gpcp_version"}).encode())
    for adata in (train, ask):
        columns = [adata.obs[name] for name in adata.obs.columns]
        digest.update("\n".join([*adata.var_names, *(str(one) for column in columns for one in column)]).encode())
        for part in (adata.X.data, adata.X.indices, adata.X.indptr):
            digest.update(np.ascontiguousarray(part).tobytes())
    for word in asker:
        digest.update(b"\0" + word.encode())
        if Path(word).is_file() and Path(word).suffix:
            digest.update(Path(word).read_bytes())
    return digest.hexdigest()[:32]
