"""Simulators of other packages, asked for as many cells of the same graph as ours."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, final

import numpy as np

from gpcp.core.random import seed_of
from simulators.worlds import World

Draw = Callable[[], object]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package and how it is made to draw.

    Parameters
    ----------
    module, package : str
        What must be importable, and what to install for it.
    mechanism : str
        Of the world whose graph it is given.
    drawing : callable
        From a world, a number of cells and a seed to a function that draws them, which alone is timed.
    """

    module: str
    package: str
    mechanism: str
    drawing: Callable[[World, int, int], Draw]

    @property
    def missing(self) -> str:
        """What to install, or nothing where it is installed."""
        there = find_spec(self.module.split(".")[0]) is not None
        return "" if there else f"{self.package} is not installed: pip install {self.package}, or 'gpcp[benchmark]'"


def _imported(module: str) -> Any:
    """A module, without what it warns of when it is imported, such as parts of it that need R."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(module)


def _sempler(made: World, n_cells: int, seed: int) -> Draw:
    n_genes = made.graph.n_genes
    package = _imported("sempler")
    model = package.LGANM(made.scm.effective_weight_GG, np.zeros(n_genes), np.ones(n_genes))
    return lambda: model.sample(n_cells, random_state=seed)


def _dagma(made: World, n_cells: int, seed: int) -> Draw:
    del seed  # It draws from numpy's global generator.
    package = _imported("dagma.utils")
    weight_GG = made.scm.effective_weight_GG
    return lambda: package.simulate_linear_sem(weight_GG, n_cells, "gauss")


def _gcastle(made: World, n_cells: int, seed: int) -> Draw:
    del seed  # As above.
    package = _imported("castle.datasets")
    weight_GG = made.scm.effective_weight_GG
    return lambda: package.IIDSimulation(weight_GG, n=n_cells, method="linear", sem_type="gauss")


def _sergio(made: World, n_cells: int, seed: int) -> Draw:
    """Cells of one type in a steady state, with the settings of SERGIO's examples."""
    package = _imported("sergio_rs")
    network, genes = package.GRN(), [package.Gene(name, 0.8) for name in made.graph.vocab.feature_id]
    regulator_E, target_E = np.nonzero(made.graph.adjacency_GG)
    sign_E = np.where(np.arange(len(regulator_E)) % 2, 1.0, -1.0)
    for regulator, target, sign in zip(regulator_E.tolist(), target_E.tolist(), sign_E.tolist(), strict=True):
        network.add_interaction(genes[regulator], genes[target], 2.0 * sign, None, 2)
    network.set_mrs()
    profile = package.MrProfile.from_random(network, 1, (1.0, 2.0), (3.0, 4.0), seed % 2**32)
    return lambda: package.Sim(network, n_cells, 150, 10, 0.01, 1, seed % 2**32).simulate(profile)


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "sempler": Package(module="sempler", package="sempler", mechanism="linear", drawing=_sempler),
        "dagma": Package(module="dagma.utils", package="dagma", mechanism="linear", drawing=_dagma),
        "gcastle": Package(module="castle.datasets", package="gcastle", mechanism="linear", drawing=_gcastle),
        "sergio_rs": Package(module="sergio_rs", package="sergio_rs", mechanism="hill", drawing=_sergio),
    }
)
"""Simulators of other packages by name."""


def drawing_of(name: str, made: World, n_cells: int, seed: int) -> Draw:
    """What draws ``n_cells`` of a world's graph by an installed package."""
    return PACKAGES[name].drawing(made, n_cells, seed_of(seed, "benchmark", name))
