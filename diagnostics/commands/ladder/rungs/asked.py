"""``LadderRun``: one rung for one model on one source, with everything that decides its result."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, final, get_args

import gpcp
from gpcp.training.config import FitConfig

Rung = Literal["twin", "exact", "counterfactual", "interventional", "pairing", "assay", "spike-in", "real"]
RUNGS: tuple[str, ...] = get_args(Rung)
"""In their order; the twin is the fidelity table, no training."""

N_GENES, N_STEPS, BATCH_SIZE = 20, 300, 128
OWN_RATE = 1e-3
"""Of AdamW, for a module of one's own for which no rate was given."""

RATE_FACTORS = (0.01, 0.1, 0.3, 3.0, 10.0, 100.0)
"""By which the learning rate is multiplied where a model does not learn pairs that it could."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LadderRun:
    """What is asked of one rung.

    Parameters
    ----------
    rung : str
        Of :data:`RUNGS`.
    source : str
        ``KIND:PLACE``.
    options : tuple of (str, object)
        Of the source.
    stamp : str
        Changes when its files do.
    genes : str, optional
        File of a panel.
    n_genes : int
        Genes of largest variance that are taken where no panel is named.
    match_on : tuple of str, optional
        What the two cells of a pair share; the cell type by default, where it is known.
    n_perturbed : (int, int), optional
        Perturbed genes of a pair; one to all but one by default.
    model : str
        A preset, or ``file.py:factory``.
    model_stamp : str
        Changes when the model's file does.
    n_steps, batch_size : int
    learning_rate : float, optional
        That of the preset, or :data:`OWN_RATE`, by default.
    factor : float
        By which the rate is multiplied.
    seed : int
    """

    rung: str
    source: str
    options: tuple[tuple[str, Any], ...] = ()
    stamp: str = ""
    genes: str | None = None
    n_genes: int = N_GENES
    match_on: tuple[str, ...] | None = None
    n_perturbed: tuple[int, int] | None = None
    model: str = "default"
    model_stamp: str = ""
    n_steps: int = N_STEPS
    batch_size: int = BATCH_SIZE
    learning_rate: float | None = None
    factor: float = 1.0
    seed: int = 0

    @property
    def key(self) -> str:
        """Everything that decides the result, as JSON."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.rung if self.factor == 1 else f"{self.rung}, rate x {self.factor:g}"

    @property
    def budget(self) -> "Budget":
        """Of its training."""
        rate = self.learning_rate
        if rate is None:
            rate = OWN_RATE if ":" in self.model else FitConfig().learning_rate
        return Budget(n_steps=self.n_steps, batch_size=self.batch_size, learning_rate=rate, factor=self.factor)

    def on(self, rung: str, factor: float = 1.0) -> "LadderRun":
        """The same on another rung."""
        return replace(self, rung=rung, factor=factor)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long and how fast is trained, on every rung alike.

    Parameters
    ----------
    n_steps, batch_size : int
    learning_rate : float
        Of models without an optimiser of their own.
    factor : float
        By which the rate is multiplied, that of an own optimiser too.
    """

    n_steps: int = N_STEPS
    batch_size: int = BATCH_SIZE
    learning_rate: float = 1.5e-2
    factor: float = 1.0

    @property
    def rate_of(self) -> Callable[[int], float]:
        """The rate of each step, counted from 0: warm-up and half a cosine, as in ``fit``."""
        config = FitConfig(learning_rate=self.learning_rate * self.factor, batch_size=self.batch_size)
        return config.lasting(self.n_steps).learning_rate_at
