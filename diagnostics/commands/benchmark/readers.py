"""Methods that read a graph from pairs, ours and those of packages that may be there, each one function.

Pooled cells are all cells before and after, scaled, without a word on which genes were perturbed: that is what the
packages of others take. Methods that go through targets one by one leave out the cells in which theirs was perturbed.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.recover_graph.training import N_CURVE, budget_of, train
from diagnostics.graphs.asking import asking_of, effects
from diagnostics.graphs.estimators import estimate, pooled_cells
from diagnostics.runs.experiment import WORLD, Experiment
from gpcp.core.pairs import FixedPairs, PairBatch
from gpcp.core.random import seed_of, stream
from gpcp.model.torch_seed import torch_seed
from gpcp.training.config import FitConfig
from simulators.worlds import World

CELLS = 4000
"""Cells that a package's method takes for one target, or in all where it goes through every cell at every step."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Given:
    """What every method is given: the same pairs of the same world.

    Parameters
    ----------
    world : World
        For its number of genes and the kind of its mechanism alone.
    regime : str
    pairs : PairBatch
    seed : int
        Of whatever a method draws.
    n_steps : int, optional
        Of trainings of ours; their usual budget by default.
    """

    world: World
    regime: str
    pairs: PairBatch
    seed: int
    n_steps: int | None = None

    def rng(self, *names: str) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return stream(self.seed, "benchmark recovery", *names)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A method.

    Parameters
    ----------
    read : callable
        From what is given to scores of edges, float64 (G, G), entry [i, j] of i -> j.
    about : str
        What it takes, in a few words.
    module, package : str
        What must be importable, and what to install for it; empty where nothing else is needed.
    """

    read: Callable[[Given], NDArray[np.float64]]
    about: str
    module: str = ""
    package: str = ""


def preset_slopes(given: Given, preset: str) -> NDArray[np.float64]:
    """Train a preset of ours on the pairs, by its usual budget, and read the slopes of its answers."""
    n_genes = given.world.graph.n_genes
    budget = budget_of(preset, given.regime, n_genes, linear=given.world.scm.mechanism.name == "linear")
    run = Experiment(
        source=f"{WORLD}:{given.world.name}",
        regime=given.regime,
        n_perturbed=(1, n_genes - 1),
        preset=preset,
        n_steps=given.n_steps or budget.n_steps,
        batch_size=budget.batch_size,
        learning_rate=FitConfig().learning_rate,
        n_held_out=N_CURVE,
        seed=given.seed,
    )
    held_out = run.drawn(given.world, "held out", N_CURVE)
    with tempfile.TemporaryDirectory() as folder:
        trained = train(run, FixedPairs(held=given.pairs), held_out, folder=Path(folder), on_step=lambda _, __: None)
    asking = asking_of(given.pairs.before_BG, given.regime, dose_sd=run.dose_sd, rng=given.rng("readings"))
    name = "all_but_one_partial" if given.regime == "matched" else "all_but_one"
    return effects(trained.predictor, asking, [name])[0][name]


def estimator(given: Given, name: str) -> NDArray[np.float64]:
    """A method of :data:`diagnostics.graphs.estimators.BASELINES`.

    Raises
    ------
    ValueError
        It has no answer for these pairs.
    """
    found = estimate(name, given.regime, given.pairs, rng=given.rng(name))
    if found.score_GG is None:
        raise ValueError(found.summary)
    return found.score_GG


def grnboost2(given: Given) -> NDArray[np.float64]:
    """Importances of arboreto's stochastic gradient boosting with its own settings, without Dask."""
    core: Any = import_module("arboreto.core")
    cell_NG, rng = pooled_cells(given.pairs), given.rng("grnboost2")
    perturbed_NG = np.concatenate((np.zeros_like(given.pairs.perturbed_BG), given.pairs.perturbed_BG))
    n_genes = len(given.pairs.vocab)
    score_GG, seed_G = np.zeros((n_genes, n_genes)), rng.integers(2**31, size=n_genes)
    for j in range(n_genes):
        others = np.arange(n_genes) != j
        rows = rng.permutation(np.flatnonzero(~perturbed_NG[:, j]))[:CELLS]
        fitted = core.fit_model(
            "GBM", core.SGBM_KWARGS, cell_NG[rows][:, others], cell_NG[rows, j], seed=int(seed_G[j])
        )
        score_GG[others, j] = core.to_feature_importances("GBM", core.SGBM_KWARGS, fitted)
    return score_GG


def dagma(given: Given) -> NDArray[np.float64]:
    """Weights of DAGMA's linear model, its own settings, nothing cut off."""
    linear: Any = import_module("dagma.linear")
    return _weights(linear.DagmaLinear("l2").fit(pooled_cells(given.pairs), w_threshold=0.0))


def dagma_mlp(given: Given) -> NDArray[np.float64]:
    """Weights of DAGMA's networks of one hidden layer of ten, its own settings, on a quarter of :data:`CELLS`."""
    import torch

    nonlinear: Any = import_module("dagma.nonlinear")
    cell_NG = _some(given, CELLS // 4)
    with torch_seed(seed_of(given.seed, "dagma")):
        model = nonlinear.DagmaMLP(dims=[cell_NG.shape[1], 10, 1], bias=True, dtype=torch.double)
        return _weights(nonlinear.DagmaNonlinear(model, dtype=torch.double).fit(cell_NG, w_threshold=0.0))


def notears(given: Given) -> NDArray[np.float64]:
    """Weights of gCastle's NOTEARS, its own settings, nothing cut off."""
    algorithms: Any = import_module("castle.algorithms")
    learner = algorithms.Notears(w_threshold=0.0)
    learner.learn(_some(given, CELLS))
    return _weights(learner.weight_causal_matrix)


def _some(given: Given, n_cells: int) -> NDArray[np.float64]:
    cell_NG = pooled_cells(given.pairs)
    return cell_NG[given.rng("cells").permutation(len(cell_NG))[:n_cells]]


def _weights(found_GG: Any) -> NDArray[np.float64]:
    weight_GG = np.array(found_GG, dtype=np.float64)
    np.fill_diagonal(weight_GG, 0.0)
    return weight_GG


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "mixing": Reader(
            read=partial(preset_slopes, preset="mixing"), about="our model, trained on the pairs; slopes of its answers"
        ),
        "ridge": Reader(read=partial(estimator, name="ridge"), about="values given to values after, all pairs"),
        "classical": Reader(
            read=partial(estimator, name="classical"), about="the estimator of the regime, all pairs (instruments)"
        ),
        "genie3": Reader(
            read=partial(estimator, name="genie3"), about="scikit-learn's forests, 1,000 pooled cells, 50 trees a gene"
        ),
        "grnboost2": Reader(
            read=grnboost2,
            about=f"arboreto's boosting, {CELLS:,} pooled cells a gene",
            module="arboreto.core",
            package="arboreto",
        ),
        "notears": Reader(
            read=notears, about=f"gCastle's, {CELLS:,} pooled cells", module="castle.algorithms", package="gcastle"
        ),
        "dagma": Reader(read=dagma, about="linear, all pooled cells", module="dagma.linear", package="dagma"),
        "dagma_mlp": Reader(
            read=dagma_mlp,
            about=f"networks of ten hidden units, {CELLS // 4:,} pooled cells",
            module="dagma.nonlinear",
            package="dagma",
        ),
    }
)
"""Methods by name."""
