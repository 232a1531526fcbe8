"""Simulated sequencing of latent expression: cell types, depth, counts, dropout, unmeasured genes, log1p(TPM).

Steps for one cell: latent ``z`` plus its type's offset; rate ``exp(log_rate + scale * z)``; proportions, the rates of
*all* genes divided by their sum; mean counts, proportions times the cell's library size; counts, Poisson or negative
binomial; dropout, each count lost (set to 0) with one probability; genes that the dataset did not measure taken
away; log1p(TPM) over those that are left.

Cell types shift the latent values *after* the structural equations, not the equations' intercepts. So every type has
the world's own law about its own mean, and the graph, the effects and every ceiling are the same in all of them.

Simulated genes have equal length, so their TPM is counts per million of the measured genes.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab

_LARGEST_LOG_RATE = 50.0
"""Latent values beyond this many e-folds are a mistake in ``scale``: a cell would be all one gene."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reads:
    """What the sequencer counted in some cells.

    Parameters
    ----------
    count_BG : int64, (B, G)
        0 where unmeasured.
    measured_BG : bool, (B, G)
        True where the cell's dataset measures the gene.
    library_size_B : float64, (B,)
        Expected number of reads of the cell, over all genes and before dropout.
    """

    count_BG: NDArray[np.int64]
    measured_BG: NDArray[np.bool_]
    library_size_B: NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Assay:
    """How latent expression becomes counts; it holds no randomness of its own.

    :func:`build_assay` draws one.

    Parameters
    ----------
    vocab : GeneVocab
    log_rate_G : float64, (G,)
        Natural logarithm of each gene's rate at latent value 0; only differences between genes matter.
    offset_cell_type_G : float64, (type, G)
        Offset of each cell type, in the units of the latent expression.
    measured_SG : bool, (S, G)
        True where the dataset measures the gene; each dataset measures at least one.
    scale : float
        Change of the log rate for each unit of latent expression.
    library_size : float
        Median number of reads of a cell.
    library_size_sd : float
        Standard deviation of its natural logarithm; 0 gives every cell the same.
    dispersion : float
        Counts have variance ``mean + dispersion * mean^2`` (negative binomial); 0 is Poisson.
    dropout : float
        Probability that a count is lost, each on its own, whatever its size.

    Raises
    ------
    InputError
        A field has the wrong shape or dtype, or lies outside its range.
    """

    vocab: GeneVocab
    log_rate_G: NDArray[np.float64]
    offset_cell_type_G: NDArray[np.float64]
    measured_SG: NDArray[np.bool_]
    scale: float = 1.0
    library_size: float = 10_000.0
    library_size_sd: float = 0.3
    dispersion: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        n_genes = len(self.vocab)
        check_array("Assay", "log_rate_G", self.log_rate_G, (n_genes,), np.float64)
        n_types = len(self.offset_cell_type_G)
        check_array("Assay", "offset_cell_type_G", self.offset_cell_type_G, (n_types, n_genes), np.float64)
        check_array("Assay", "measured_SG", self.measured_SG, (len(self.measured_SG), n_genes), np.bool_)
        for name in ("log_rate_G", "offset_cell_type_G"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"Assay.{name} is not finite: give finite values")
        if not len(self.offset_cell_type_G) or not len(self.measured_SG):
            raise InputError("Assay needs at least one row of offset_cell_type_G and one of measured_SG")
        if not self.measured_SG.any(axis=1).all():
            bare = int(np.flatnonzero(~self.measured_SG.any(axis=1))[0])
            raise InputError(f"Assay.measured_SG says that dataset {bare} measures no gene: let it measure one")
        check_range("Assay", "scale", self.scale, low=0.0)
        check_range("Assay", "library_size", self.library_size, low=0.0, open_low=True)
        check_range("Assay", "library_size_sd", self.library_size_sd, low=0.0)
        check_range("Assay", "dispersion", self.dispersion, low=0.0)
        check_range("Assay", "dropout", self.dropout, low=0.0, high=1.0)
        for name in ("log_rate_G", "offset_cell_type_G", "measured_SG"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def n_cell_types(self) -> int:
        """Number of cell types."""
        return len(self.offset_cell_type_G)

    @property
    def n_datasets(self) -> int:
        """Datasets, each with its own measured genes."""
        return len(self.measured_SG)

    def proportions(self, latent_BG: NDArray[np.floating], cell_type_B: NDArray[np.integer]) -> NDArray[np.float64]:
        """Each gene's share of a cell's transcripts, float64 (B, G); a row sums to 1 over all genes.

        Raises
        ------
        InputError
            A latent value is not finite, or so large that its rate overflows, or a cell type does not exist.
        """
        check_codes("cell_type_B", cell_type_B, self.n_cell_types, len(latent_BG))
        shift_BG = self.scale * (latent_BG + self.offset_cell_type_G[cell_type_B])
        beyond_BG = ~(np.abs(shift_BG) <= _LARGEST_LOG_RATE)
        if beyond_BG.any():
            cell, gene = (int(i) for i in np.argwhere(beyond_BG)[0])
            raise InputError(
                f"latent expression of gene {self.vocab.feature_id[gene]} in cell {cell} is {latent_BG[cell, gene]:g}: "
                f"with scale {self.scale:g} its log rate moves by {shift_BG[cell, gene]:g}, beyond "
                f"+-{_LARGEST_LOG_RATE:g}; lower scale"
            )
        log_rate_BG = self.log_rate_G + shift_BG
        rate_BG = np.exp(log_rate_BG - log_rate_BG.max(axis=1, keepdims=True))
        return rate_BG / rate_BG.sum(axis=1, keepdims=True)

    def reads(
        self,
        latent_BG: NDArray[np.floating],
        *,
        cell_type_B: NDArray[np.integer],
        dataset_B: NDArray[np.integer],
        rng: np.random.Generator,
    ) -> Reads:
        """Sequence some cells.

        Parameters
        ----------
        latent_BG : float, (B, G)
            Latent expression, as an ``Scm`` gives it.
        cell_type_B, dataset_B : int, (B,)
            Rows of ``offset_cell_type_G`` and ``measured_SG``.
        rng : numpy.random.Generator

        Raises
        ------
        InputError
            As :meth:`proportions`, or a dataset does not exist.
        """
        check_codes("dataset_B", dataset_B, self.n_datasets, len(latent_BG))
        share_BG = self.proportions(latent_BG, cell_type_B)
        library_size_B = self.library_size * np.exp(self.library_size_sd * rng.standard_normal(len(latent_BG)))
        mean_BG = share_BG * library_size_B[:, None]
        if self.dispersion > 0:
            # Gamma mixture of Poissons: a factor of mean 1 and variance `dispersion` on each mean.
            mean_BG *= rng.gamma(1 / self.dispersion, self.dispersion, size=mean_BG.shape)
        count_BG = rng.poisson(mean_BG).astype(np.int64, copy=False)
        if self.dropout > 0:
            count_BG[rng.random(count_BG.shape) < self.dropout] = 0
        measured_BG = self.measured_SG[dataset_B]
        count_BG[~measured_BG] = 0
        return Reads(count_BG=count_BG, measured_BG=measured_BG, library_size_B=library_size_B)


def log1p_tpm(count_BG: NDArray[np.integer]) -> NDArray[np.float32]:
    """Natural logarithm of 1 + transcripts per million for genes of equal length, float32 (B, G).

    Counts are 0 where unmeasured, so a cell's TPM sum to a million over its measured genes; a cell without any
    count is all 0.

    Raises
    ------
    InputError
        A count is negative.
    """
    if (count_BG < 0).any():
        cell, gene = (int(i) for i in np.argwhere(count_BG < 0)[0])
        raise InputError(f"count of gene {gene} in cell {cell} is {count_BG[cell, gene]}: counts cannot be negative")
    total_B = count_BG.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.log1p(count_BG * (1e6 / np.maximum(total_B, 1.0))).astype(np.float32)


def build_assay(
    vocab: GeneVocab,
    *,
    rng: np.random.Generator,
    n_cell_types: int = 1,
    n_datasets: int = 1,
    log_rate_sd: float = 1.0,
    cell_type_sd: float = 1.0,
    p_unmeasured: float = 0.0,
    scale: float = 1.0,
    library_size: float = 10_000.0,
    library_size_sd: float = 0.3,
    dispersion: float = 0.0,
    dropout: float = 0.0,
) -> Assay:
    """Draw an assay: base rates log-normal, cell types' offsets normal, unmeasured genes at random.

    Parameters
    ----------
    vocab : GeneVocab
    rng : numpy.random.Generator
    n_cell_types, n_datasets : int
        At least 1 each.
    log_rate_sd : float
        Standard deviation of the genes' base log rates.
    cell_type_sd : float
        Standard deviation of the types' offsets, in latent units; a single type has none.
    p_unmeasured : float
        Share of the genes that a dataset does not measure, rounded, but one gene is always measured.
    scale, library_size, library_size_sd, dispersion, dropout : float
        As in :class:`Assay`.

    Raises
    ------
    InputError
        A number lies outside its range.
    """
    for name, value in (("n_cell_types", n_cell_types), ("n_datasets", n_datasets)):
        check_range("build_assay", name, value, low=1)
    for name, value in (("log_rate_sd", log_rate_sd), ("cell_type_sd", cell_type_sd)):
        check_range("build_assay", name, value, low=0.0)
    check_range("build_assay", "p_unmeasured", p_unmeasured, low=0.0, high=1.0)
    n_genes = len(vocab)
    n_measured = max(1, n_genes - round(p_unmeasured * n_genes))
    offset_type_G = cell_type_sd * rng.standard_normal((n_cell_types, n_genes))
    measured_SG = rng.permuted(np.tile(np.arange(n_genes) < n_measured, (n_datasets, 1)), axis=1)
    return Assay(
        vocab=vocab,
        log_rate_G=log_rate_sd * rng.standard_normal(n_genes),
        offset_cell_type_G=offset_type_G if n_cell_types > 1 else np.zeros((1, n_genes)),
        measured_SG=measured_SG,
        scale=scale,
        library_size=library_size,
        library_size_sd=library_size_sd,
        dispersion=dispersion,
        dropout=dropout,
    )


def check_range(
    owner: str, name: str, value: float, *, low: float, high: float = np.inf, open_low: bool = False
) -> None:
    """Refuse a number outside ``low .. high``, naming it.

    Raises
    ------
    InputError
        ``owner.name`` is not finite or outside the range.
    """
    if not np.isfinite(value) or value < low or value > high or (open_low and value == low):
        allowed = f"{'above' if open_low else 'at least'} {low:g}" + (f" and at most {high:g}" if high < np.inf else "")
        raise InputError(f"{owner}.{name} is {value}: it must be {allowed}")


def check_codes(name: str, code_B: NDArray[np.integer], n_codes: int, n_cells: int) -> None:
    """Refuse codes of cell types or datasets that do not exist, or another number of them than cells.

    Raises
    ------
    InputError
        The message names the cell and its code.
    """
    if code_B.shape != (n_cells,):
        raise InputError(f"{name} has shape {code_B.shape}, expected ({n_cells},)")
    wrong_B = (code_B < 0) | (code_B >= n_codes)
    if wrong_B.any():
        cell = int(wrong_B.argmax())
        raise InputError(f"{name} of cell {cell} is {int(code_B[cell])}: there are {n_codes}, counted from 0")
