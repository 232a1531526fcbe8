"""One training of one model on one source with one seed: the value that says everything that decides its result."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import gpcp
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import seed_of
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

if TYPE_CHECKING:
    from gpcp.core.perturbations import PerturbationVocab
    from gpcp.model.config import ModelConfig
    from gpcp.training.config import FitConfig

WORLD, SCREEN = "synthetic", "screen"
"""The kind of source whose graph and law are known, and that of perturbed cells beside controls."""

FEW_GENES = 30


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """A source of pairs, a model, its training and a seed.

    Parameters
    ----------
    source : str
        ``KIND:PLACE``, as :func:`gpcp.opening.cells.open_cells` takes it.
    options : tuple of (str, object)
        Options of the source that were given, by name.
    stamp : str
        Changes when the files of the source do, see :func:`gpcp.opening.stamps.stamp_of`.
    genes : str, optional
        File of the genes that are kept.
    n_genes : int, optional
        Of cells: so many genes of largest variance are kept.
    regime : str
        One of :data:`simulators.scm.regimes.REGIMES`; cells are always ``"matched"``.
    n_perturbed : (int, int), optional
        Fewest and most perturbed genes of a pair; one to all but one by default.
    dose_sd : float
        Of a world: standard deviation of the values that interventions set, in the units of expression.
    n_pairs : int, optional
        Training pairs that are gone through again and again; by default every step has fresh ones.
    n_held_out : int
        Pairs on which losses are measured.
    preset : str
        Name of the architecture, see :data:`gpcp.model.config.PRESETS`.
    changed : tuple of (str, object)
        Fields of ``ModelConfig`` and ``FitConfig`` that differ from it, by name.
    n_steps, batch_size : int
    learning_rate : float
    seed : int
        Decides the world, the split of cells, all pairs and, with ``replicate``, the training.
    replicate : int
        Number of the training among those that share everything else.
    thorough : bool
        Whether methods and read-outs are done that take longer than the training.
    """

    source: str
    options: tuple[tuple[str, Any], ...] = ()
    stamp: str = ""
    genes: str | None = None
    n_genes: int | None = None
    regime: str = "matched"
    n_perturbed: tuple[int, int] | None = None
    dose_sd: float = 2.0
    n_pairs: int | None = None
    n_held_out: int
    preset: str = "default"
    changed: tuple[tuple[str, Any], ...] = ()
    n_steps: int
    batch_size: int
    learning_rate: float
    seed: int
    replicate: int = 0
    thorough: bool = False

    @property
    def key(self) -> str:
        """Everything that decides the result, as JSON; another version's results are other results."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)

    @property
    def data(self) -> "Experiment":
        """What all experiments on the same pairs have in common: this one without its model and training."""
        return replace(
            self,
            n_pairs=None,
            preset="default",
            changed=(),
            n_steps=1,
            batch_size=1,
            learning_rate=1.0,
            replicate=0,
            thorough=False,
        )

    @property
    def place(self) -> str:
        """The source without its kind."""
        return self.source.partition(":")[2]

    @property
    def title(self) -> str:
        """What reports call its source: a world's name, or the last part of another place."""
        return self.place if self.is_world else Path(self.place).name

    @property
    def is_world(self) -> bool:
        """Whether the graph and the law are known: a world in its own units, not as sequenced cells."""
        return self.source.startswith(f"{WORLD}:") and "library_size" not in dict(self.options)

    @property
    def is_screen(self) -> bool:
        """Whether cells were perturbed, and are paired with controls rather than two by two."""
        return self.source.startswith(f"{SCREEN}:")

    @property
    def name(self) -> str:
        """What messages call it, and its folder where it has one."""
        what = self.regime if self.is_world else "screen" if self.is_screen else "cells"
        return f"{what}_seed{self.seed}" + (f"_{self.replicate}" if self.replicate else "")

    def world(self) -> World:
        """The world of the seed, or that of the option ``world_seed``.

        Raises
        ------
        InputError
            There is no such world, or an option is for sequenced cells.
        """
        options = dict(self.options)
        seed, network = options.pop("world_seed", self.seed), options.pop("network", None)
        # How many cells a population has is nothing to pairs that are drawn afresh.
        options.pop("n_cells", None)
        for name in options:
            raise InputError(f"--{name.replace('_', '-')} is of sequenced cells: give --library-size too")
        return world(self.place, seed=seed, network=network)

    def pairs(self, made: World, n_pairs: int) -> SimulatedPairs:
        """So many pairs of the world, fresh in every pass.

        Raises
        ------
        InputError
            The regime does not exist or ``n_perturbed`` is out of range.
        """
        return SimulatedPairs(
            scm=made.scm,
            regime=regime_of(self.regime),
            n_pairs=n_pairs,
            n_perturbed=self.n_perturbed,
            dose_sd=self.dose_sd,
        )

    def drawn(self, made: World, purpose: str, n_pairs: int) -> PairBatch:
        """So many pairs of the world, always the same for a purpose, such as ``"held out"``.

        Raises
        ------
        InputError
            As :meth:`pairs`.
        """
        batches = self.pairs(made, n_pairs).pairs(batch_size=n_pairs, seed=seed_of(self.seed, purpose))
        return concatenate(batches)

    def configs(
        self, n_genes: int, perturbations: "PerturbationVocab | None" = None
    ) -> "tuple[ModelConfig, FitConfig]":
        """The model's and the training's configuration, checked; the model reads those perturbations by name, if any.

        Raises
        ------
        InputError
            There is no such preset or field, or a number is out of range.
        """
        from gpcp.model.config import preset
        from gpcp.training.config import FitConfig

        model = preset(self.preset, n_genes, perturbations)
        fit = FitConfig(batch_size=self.batch_size, learning_rate=self.learning_rate).lasting(self.n_steps)
        changed = dict(self.changed)
        of_model = {one.name: changed.pop(one.name) for one in fields(model) if one.name in changed}
        return replace(model, **of_model), replace(fit, **changed)


def changes(
    model: "ModelConfig", fit: "FitConfig", *, since: "tuple[ModelConfig, FitConfig]"
) -> tuple[tuple[str, Any], ...]:
    """Fields in which two configurations differ from others, for :attr:`Experiment.changed`."""
    before: Mapping[str, Any] = since[0].to_json() | since[1].to_json()
    after: Mapping[str, Any] = model.to_json() | fit.to_json()
    return tuple(sorted((name, value) for name, value in after.items() if value != before[name]))


def steps_for(n_genes: int, n_steps: int) -> int:
    """Steps that are usual for up to :data:`FEW_GENES` genes, and half as many again for more."""
    return n_steps if n_genes <= FEW_GENES else n_steps * 3 // 2


@contextmanager
def one_thread() -> Generator[None]:
    """Keep torch to one thread: runs are small, and results do not depend on how many processes share the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
