"""GEARS as a program: trained on a screen's training cells, asked about each control cell; it downloads nothing.

``python -m diagnostics.audit.exchange.programs.gears [--epochs N] [--width N] [--gene2go FILE] FOLDER``

in an environment with ``gpcp[gears]``. GEARS relates perturbations by terms of the Gene Ontology: ``--gene2go`` is a
pickle of a dict from genes to terms, such as GEARS' own. Without it, which is all that there is for a simulated gene,
two genes share a term where their expression goes together in training cells.
"""

import argparse
import pickle
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.exchange.programs.asked import Asked, program
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file
from gpcp.core.random import stream

N_CELLS = 32
"""Cells of a batch, in training and in prediction."""

N_ALIKE = 10
"""Genes that share a term with each gene, where no terms are given."""

VALIDATION = 0.15
"""Share of training perturbations by which GEARS chooses its epoch."""


def options_of(words: Sequence[str]) -> argparse.Namespace:
    """The options of the program."""
    parser = argparse.ArgumentParser(prog="gears")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--gene2go", type=Path)
    return parser.parse_args(words)


def condition_of(asked: Asked, label: str) -> str:
    """A perturbation in GEARS' words, ``A+ctrl`` or ``A+B``.

    Raises
    ------
    InputError
        It has no target, or more than two.
    """
    targets = asked.targets(label)
    if label == asked.control:
        return "ctrl"
    if len(targets) not in (1, 2):
        raise InputError(f"perturbation {label!r} has {len(targets)} targets, and GEARS takes one or two")
    return "+".join((*targets, "ctrl") if len(targets) == 1 else targets)


def terms_of(asked: Asked) -> dict[str, set[str]]:
    """Terms of each gene: itself, and the genes whose expression goes most with its own in training cells."""
    log_BG = asked.logs(asked.train).astype(np.float64)
    spread_G = log_BG.std(axis=0)
    centred_BG = (log_BG - log_BG.mean(axis=0)) / np.where(spread_G > 0, spread_G, 1)
    alike_GG = np.abs(centred_BG.T @ centred_BG) / len(log_BG)
    np.fill_diagonal(alike_GG, 2)
    terms: dict[str, set[str]] = {}
    for gene, alike_G in zip(asked.genes, alike_GG, strict=True):
        terms[gene] = {asked.genes[i] for i in np.argsort(-alike_G, kind="stable")[: N_ALIKE + 1]}
    unmeasured = {gene for label in asked.request["targets"] for gene in asked.targets(label)} - set(terms)
    return terms | {gene: {gene} for gene in unmeasured}


def trained(asked: Asked, terms: Mapping[str, set[str]], folder: Path, options: argparse.Namespace) -> Any:
    """GEARS after its own training on the training cells."""
    gears: Any = import_module("gears")
    utils: Any = import_module("gears.utils")

    def refused(url: str, **_: object) -> None:
        raise InputError(f"GEARS asks for {url}, and nothing is downloaded here")

    utils.requests.get = refused
    for name in ("gene2go_all.pkl", "gene2go.pkl"):
        (folder / name).write_bytes(pickle.dumps(dict(terms)))
    conditions = [condition_of(asked, label) for label in asked.labels(asked.train)]
    perturbed = sorted(set(conditions) - {"ctrl"})
    n_validation = max(1, round(VALIDATION * len(perturbed)))
    if len(perturbed) <= n_validation:
        raise InputError(f"GEARS needs two training perturbations or more, and there are {len(perturbed)}")
    order: list[int] = stream(asked.seed, "exchange", "validation").permutation(len(perturbed)).tolist()
    validation = [perturbed[i] for i in order[:n_validation]]
    split = {"train": ["ctrl", *(one for one in perturbed if one not in validation)], "val": validation}
    (folder / "split.pkl").write_bytes(pickle.dumps({**split, "test": validation}))
    data = gears.PertData(str(folder), default_pert_graph=False)
    data.new_data_process("screen", adata=_as_gears(asked, conditions))
    data.prepare_split(split="custom", seed=asked.seed, split_dict_path=str(folder / "split.pkl"))
    data.get_dataloader(batch_size=N_CELLS)
    # Without a test set it ends where the training does.
    del data.dataloader["test_loader"]
    data.split = "no_test"
    model = gears.GEARS(data, device="cpu")
    model.model_initialize(hidden_size=options.width)
    model.train(epochs=options.epochs)
    return model


def _as_gears(asked: Asked, conditions: Sequence[str]) -> Any:
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    index = pd.Index(list(asked.train.obs_names))
    obs = pd.DataFrame({"condition": conditions, "cell_type": asked.contexts(asked.train)}, index=index)
    var = pd.DataFrame({"gene_name": list(asked.genes)}, index=pd.Index(list(asked.genes)))
    return AnnData(sp.csr_matrix(asked.logs(asked.train)), obs.astype("category"), var)


def answer_by_cell(model: Any, asked: Asked) -> NDArray[np.float32]:
    """The best model's answer for every cell that is asked for, in batches of one perturbation, float32 (B, G)."""
    import torch

    utils: Any = import_module("gears.utils")
    loading: Any = import_module("torch_geometric.loader")
    log_BG, label_B = asked.logs(asked.ask), asked.labels(asked.ask)
    answer_BG = np.empty_like(log_BG)
    module: Any = model.best_model.eval()
    for label in dict.fromkeys(label_B.tolist()):
        row_B = np.flatnonzero(label_B == label)
        token = [model.pert_list.index(gene) for gene in asked.targets(label)]
        genes = list(asked.targets(label))
        graphs = [utils.create_cell_graph_for_prediction(log_BG[[row]], token, genes) for row in row_B]
        batches = loading.DataLoader(graphs, batch_size=N_CELLS, shuffle=False)
        with torch.no_grad():
            answer_BG[row_B] = np.concatenate([module(batch).numpy() for batch in batches])
    return answer_BG


def predict(asked: Asked, words: Sequence[str]) -> None:
    """Train GEARS, and ask it about the control of every row."""
    from gpcp.model.torch_seed import torch_seed

    warnings.simplefilter("ignore")
    options = options_of(words)
    terms = (
        terms_of(asked)
        if options.gene2go is None
        else pickle.loads(existing_file(options.gene2go, what="file of terms").read_bytes())
    )
    for label in dict.fromkeys(asked.labels(asked.ask).tolist()):
        condition_of(asked, label)
        for gene in asked.targets(label):
            if gene not in terms:
                raise InputError(f"target {gene!r} of {label!r} has no term; {nearest(gene, terms)}")
    # GEARS draws from the global generators, which belong to this process alone.
    np.random.seed(asked.seed)  # noqa: NPY002
    # It keeps its graph of terms in ./data, by the name of the data set alone: a folder that is used once.
    with tempfile.TemporaryDirectory(prefix="gpcp_gears_") as folder, chdir(folder), torch_seed(asked.seed):
        Path("data").mkdir()
        model = trained(asked, terms, Path(folder), options)
        answer_BG = answer_by_cell(model, asked)
    asked.write(answer_BG)


if __name__ == "__main__":
    raise SystemExit(program(predict))
