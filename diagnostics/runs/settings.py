"""What one run of ``recover_graph`` is made of, and the file of its results that says whether it was done before.

Light on purpose: a worker process receives these values before it imports anything heavy.
"""

import json
from dataclasses import asdict, dataclass
from typing import final

import gpcp


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How the model is made and trained.

    Parameters
    ----------
    preset : str
        Name of the architecture, see :data:`gpcp.model.transformer.PRESETS`.
    n_steps, batch_size : int
    learning_rate : float
    n_held_out : int
        Pairs on which every loss is measured.
    """

    preset: str
    n_steps: int
    batch_size: int
    learning_rate: float
    n_held_out: int = 6000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class WorldRun:
    """A simulated world, a regime and a seed, which decides the world, the data and the model's beginning.

    Parameters
    ----------
    world : str
        Name as :func:`simulators.worlds.world` reads it.
    network, network_digest : str or None
        Path of a regulator-target table, for worlds that need one, and the digest of what it holds, so that a changed
        file is another run.
    regime : one of :data:`simulators.scm.regimes.REGIMES`
    seed : int
    n_perturbed : (int, int)
        Fewest and most genes told a pair.
    dose_sd : float
        Standard deviation of the values that interventions set, in the units of expression.
    training : Training
    """

    world: str
    network: str | None
    network_digest: str | None
    regime: str
    seed: int
    n_perturbed: tuple[int, int]
    dose_sd: float
    training: Training

    @property
    def name(self) -> str:
        """Folder of its results below ``--out``."""
        return f"{self.regime}_seed{self.seed}"

    @property
    def key(self) -> str:
        """What decides its result; another version's results are other results."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)

    @property
    def n_steps(self) -> int:
        """Training steps."""
        return self.training.n_steps


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CellsRun:
    """Matched pairs of the cells of an AnnData file, and a seed, which decides the split and the model's beginning.

    Parameters
    ----------
    cells : str
        Path of the file.
    n_bytes, modified_ns : int
        Of the file, so that a changed file is another run.
    cell_type_key, gene_id_key, layer, values, nan
        As :class:`gpcp.sources.h5ad.cells.H5adCells` takes them (``cell_type``, ``gene_id``, ...).
    n_genes : int
        Genes kept, those of largest variance over the training cells.
    seed : int
    n_perturbed : (int, int)
        Fewest and most genes told a pair.
    training : Training
    """

    cells: str
    n_bytes: int
    modified_ns: int
    cell_type_key: str
    gene_id_key: str
    layer: str
    values: str
    nan: str
    n_genes: int
    seed: int
    n_perturbed: tuple[int, int]
    training: Training

    @property
    def regime(self) -> str:
        """Two real cells of a type are matched, never an intervention."""
        return "matched"

    @property
    def name(self) -> str:
        """Folder of its results below ``--out``."""
        return f"cells_seed{self.seed}"

    @property
    def n_steps(self) -> int:
        """Training steps."""
        return self.training.n_steps

    @property
    def key(self) -> str:
        """What decides its result; another version's results are other results."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)
