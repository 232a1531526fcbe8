"""A small sound screen of known effects, and the two real ones where they are there."""

from functools import cache
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

DATA = Path(__file__).parents[5] / "shared/data/perturb"
TARGETS = ("GATA1", "KLF1", "MYC", "SPI1", "TP53", "STAT1", "BRD4", "CEBPE")


@cache
def _small(seed: int, n_of_each: int, kind: str) -> Any:
    rng = np.random.default_rng(seed)
    genes = [*TARGETS, *(f"GENE{i}A" for i in range(52))]
    n_genes = len(genes)
    types, batches = ("K562", "THP1"), ("one", "two")
    factor = {"knocked down": 0.2, "activated": 5.0}[kind]
    effects = np.exp(rng.normal(0, 0.7, (len(TARGETS), n_genes)) * (rng.random((len(TARGETS), n_genes)) < 0.3))
    base = {cell_type: np.exp(rng.normal(0.7, 0.9, n_genes)) for cell_type in types}
    for values in base.values():
        values[: len(TARGETS)] = 3.0
    rows, blocks = list[dict[str, str]](), list[Any]()
    for cell_type in types:
        for batch in batches:
            for label in ("non-targeting", *TARGETS):
                for guide in (1, 2):
                    n = n_of_each * (2 if label == "non-targeting" else 1)
                    rate = base[cell_type].copy()
                    if label in TARGETS:
                        rate *= effects[TARGETS.index(label)]
                        rate[TARGETS.index(label)] = 3.0 * factor
                    depth = rng.gamma(20, 1 / 20, (n, 1)) * (1.2 if batch == "two" else 1.0)
                    blocks.append(rng.poisson(depth * rate))
                    row = {"target_gene": label, "cell_type": cell_type, "batch": batch, "guide": f"{label}_g{guide}"}
                    rows += [row] * n
    order = rng.permutation(len(rows))
    obs = pd.DataFrame(rows).iloc[order].astype("category")
    obs["perturbation_type"] = {"knocked down": "CRISPRi", "activated": "CRISPRa"}[kind]
    obs["split"] = pd.Categorical(np.where(rng.random(len(rows)) < 0.7, "train", "test"))
    obs.index = [f"cell{i}" for i in range(len(rows))]
    counts = sp.csr_matrix(np.concatenate(blocks)[order].astype(np.float32))
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes))


def small_screen(seed: int = 0, *, n_of_each: int = 12, kind: str = "knocked down") -> Any:
    """A sound screen: 8 targets in 2 types and 2 batches, 2 guides each, all measured and changed."""
    return _small(seed, n_of_each, kind).copy()


def real_screen(name: str) -> Any:
    """One of the two real screens; the test is skipped where it is not there."""
    path = DATA / f"{name}.h5ad"
    if not path.exists():
        pytest.skip(f"{path.name} is not there: real screens lie in ../shared/data/perturb")
    return ad.read_h5ad(path)


REAL = ("norman19_mcfaline23_subset", "papalexi2021_lowmoi")
SCREENS = ("small", *REAL)


def screen_named(name: str) -> Any:
    """The small screen, or a real one."""
    if name == "small":
        return small_screen()
    screen = real_screen(name)
    # Copies of the labels under other names, which a damage of the labels would not reach.
    copies = [column for column in ("perturbation_raw", "condition_cell_type") if column in screen.obs]
    copies += ["perturbation"] if "condition" in screen.obs else []
    screen.obs = screen.obs.drop(columns=copies)
    return screen
