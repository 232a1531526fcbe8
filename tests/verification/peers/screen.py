"""A small screen as an AnnData file holds one: single cells with their perturbation, their type and controls."""

import anndata as ad
import numpy as np
import pandas as pd

from tests.outside.data import cells

N_GENES, N_PERTURBED = 20, 6000
GENES = tuple(f"G{gene:02d}" for gene in range(N_GENES))


def screen(control: str) -> ad.AnnData:
    """Perturbed cells of two types, and half as many controls.

    Parameters
    ----------
    control : str
        What the column ``gene`` says of a control.
    """
    perturbed, others = (
        cells(n, N_GENES, seed=seed, dose="fixed", noise="fresh")
        for n, seed in ((N_PERTURBED, 301), (N_PERTURBED // 2, 302))
    )
    value_BG = np.maximum(np.concatenate((perturbed.after, others.before)), 0)
    label = [GENES[gene] for gene in perturbed.gene[:, 0]] + [control] * len(others.before)
    cell_type = np.concatenate((perturbed.cell_type, others.cell_type))
    columns = {
        "gene": label,
        "cell_type": [f"T{one}" for one in cell_type],
        "batch": [f"B{row % 2}" for row in range(len(label))],
    }
    obs = pd.DataFrame(columns, index=[f"c{row}" for row in range(len(label))]).astype("category")
    made = ad.AnnData(value_BG, obs=obs, var=pd.DataFrame(index=list(GENES)))
    made.obsm["X_hvg"] = value_BG
    made.uns["log1p"] = {}
    return made


def targets(names: list[str]) -> list[int]:
    """The gene's column of each perturbation, -1 of a control."""
    return [GENES.index(name) if name in GENES else -1 for name in names]
