"""``GeneStatistics``: how often each gene of a source is measured and expressed, and how its expression varies.

It keeps counts, and the moments of the values that are not 0: zeros add nothing to them, so that sparse cells are
counted as they are, and the mean and variance over all measured cells follow by one merge with the zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GeneStatistics:
    """Counts and moments of each gene over a pass. Two of them of different cells are merged by ``+``.

    Parameters
    ----------
    vocab : GeneVocab
    n_cells : int
        Cells read.
    n_measured_G : int64, (G,)
        Cells in which the gene is measured.
    n_expressed_G : int64, (G,)
        Cells in which its value is above 0.
    n_nonzero_G : int64, (G,)
        Cells in which its value is not 0; the same as ``n_expressed_G`` unless a simulated world has negative values.
    mean_nonzero_G, squares_nonzero_G : float64, (G,)
        Mean of the values that are not 0, and the sum of the squares of their deviations from it; 0 where there is
        none.
    dataset_S : tuple of str
        Datasets met, sorted; empty where the source does not give them.
    measured_SG : bool, (S, G)
        Whether a cell of the dataset measures the gene.
    sampled : bool
        The source has more cells than were read: shares have an error.

    Raises
    ------
    InputError
        A field has the wrong shape or dtype, or the counts contradict each other.
    """

    vocab: GeneVocab
    n_cells: int
    n_measured_G: NDArray[np.int64]
    n_expressed_G: NDArray[np.int64]
    n_nonzero_G: NDArray[np.int64]
    mean_nonzero_G: NDArray[np.float64]
    squares_nonzero_G: NDArray[np.float64]
    dataset_S: tuple[str, ...] = ()
    measured_SG: NDArray[np.bool_]
    sampled: bool = False

    def __post_init__(self) -> None:
        shape = (len(self.vocab),)
        for name in ("n_measured_G", "n_expressed_G", "n_nonzero_G"):
            check_array("GeneStatistics", name, getattr(self, name), shape, np.int64)
        for name in ("mean_nonzero_G", "squares_nonzero_G"):
            check_array("GeneStatistics", name, getattr(self, name), shape, np.float64)
        check_array("GeneStatistics", "measured_SG", self.measured_SG, (len(self.dataset_S), *shape), np.bool_)
        for bad_G, what in (
            (self.n_expressed_G < 0, "expressed in a negative number of cells"),
            (self.n_expressed_G > self.n_nonzero_G, "expressed in more cells than have a value of it"),
            (self.n_nonzero_G > self.n_measured_G, "given a value in more cells than measure it"),
            (self.n_measured_G > self.n_cells, "measured in more cells than there are"),
            (~np.isfinite(self.mean_nonzero_G), "of a mean that is not finite"),
            (~(np.isfinite(self.squares_nonzero_G) & (self.squares_nonzero_G >= 0)), "of an impossible variance"),
        ):
            if bad_G.any():
                raise InputError(f"GeneStatistics: gene {self.vocab.feature_id[int(bad_G.argmax())]} is {what}")
        for name in (
            *("n_measured_G", "n_expressed_G", "n_nonzero_G", "mean_nonzero_G", "squares_nonzero_G", "measured_SG"),
        ):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def measured_share_G(self) -> NDArray[np.float64]:
        """Share of all cells in which the gene is measured, (G,); NaN where no cell was read."""
        return _ratio(self.n_measured_G, np.full(len(self.vocab), self.n_cells))

    @property
    def expressed_share_G(self) -> NDArray[np.float64]:
        """Share of the cells that measure the gene in which its value is above 0, (G,); NaN where none does."""
        return _ratio(self.n_expressed_G, self.n_measured_G)

    @property
    def seen_share_G(self) -> NDArray[np.float64]:
        """Share of all cells in which the gene is expressed, (G,)."""
        return _ratio(self.n_expressed_G, np.full(len(self.vocab), self.n_cells))

    @property
    def measured_error_G(self) -> NDArray[np.float64]:
        """Standard error of :attr:`measured_share_G`, (G,): ``sqrt(p (1 - p) / n)``; 0 where every cell was read.

        That of independent draws from many cells; where the sample is a large part of the source it errs upwards.
        """
        return self._error(self.measured_share_G, np.full(len(self.vocab), self.n_cells))

    @property
    def expressed_error_G(self) -> NDArray[np.float64]:
        """Standard error of :attr:`expressed_share_G`, (G,); see :attr:`measured_error_G`."""
        return self._error(self.expressed_share_G, self.n_measured_G)

    def _error(self, share_G: NDArray[np.float64], n_G: NDArray[np.int64]) -> NDArray[np.float64]:
        if not self.sampled:
            return np.where(np.isnan(share_G), np.nan, 0.0)
        return np.sqrt(_ratio(share_G * (1 - share_G), n_G))

    @property
    def mean_G(self) -> NDArray[np.float64]:
        """Mean expression over the cells that measure the gene, zeros counted, (G,); NaN where none does."""
        return self.mean_nonzero_G * _ratio(self.n_nonzero_G, self.n_measured_G)

    @property
    def variance_G(self) -> NDArray[np.float64]:
        """Population variance of expression over the cells that measure the gene, (G,); NaN where none does.

        The values that are not 0 merged with the zeros, whose mean and deviations are 0 [1]_.

        References
        ----------
        .. [1] T. Chan, G. Golub, R. LeVeque (1983), Algorithms for computing the sample variance, eq. 2.1.
        """
        share_G = _ratio(self.n_nonzero_G, self.n_measured_G)
        within_G = _ratio(self.squares_nonzero_G, self.n_measured_G)
        return within_G + share_G * (1 - share_G) * self.mean_nonzero_G**2

    @property
    def n_datasets_G(self) -> NDArray[np.int64]:
        """Datasets that measure the gene, (G,); 0 everywhere where the source does not give datasets."""
        return self.measured_SG.sum(axis=0, dtype=np.int64)

    def genes(self, tokens: NDArray[np.int64]) -> "GeneStatistics":
        """Those of some genes, by their tokens, in that order."""
        return GeneStatistics(
            vocab=GeneVocab(feature_id=self.vocab.genes(tokens)),
            n_cells=self.n_cells,
            n_measured_G=self.n_measured_G[tokens],
            n_expressed_G=self.n_expressed_G[tokens],
            n_nonzero_G=self.n_nonzero_G[tokens],
            mean_nonzero_G=self.mean_nonzero_G[tokens],
            squares_nonzero_G=self.squares_nonzero_G[tokens],
            dataset_S=self.dataset_S,
            measured_SG=self.measured_SG[:, tokens],
            sampled=self.sampled,
        )

    def __add__(self, other: "GeneStatistics") -> "GeneStatistics":
        """The statistics of both sets of cells together; which datasets measure a gene only where both know.

        Raises
        ------
        InputError
            The vocabularies differ.
        """
        if self.vocab != other.vocab:
            raise InputError("statistics of different vocabularies cannot be merged: give both the same genes")
        n_G, mean_G, squares_G = merged_moments(
            (self.n_nonzero_G, self.mean_nonzero_G, self.squares_nonzero_G),
            (other.n_nonzero_G, other.mean_nonzero_G, other.squares_nonzero_G),
        )
        parts = [part for part in (self, other) if part.n_cells]
        measured_of: dict[str, NDArray[np.bool_]] = {}
        for part in parts if all(part.dataset_S for part in parts) else []:
            for name, measured_G in zip(part.dataset_S, part.measured_SG, strict=True):
                measured_of[name] = measured_of.get(name, False) | measured_G
        dataset_S, measured_SG = dataset_table(measured_of, len(self.vocab))
        return GeneStatistics(
            vocab=self.vocab,
            n_cells=self.n_cells + other.n_cells,
            n_measured_G=self.n_measured_G + other.n_measured_G,
            n_expressed_G=self.n_expressed_G + other.n_expressed_G,
            n_nonzero_G=n_G,
            mean_nonzero_G=mean_G,
            squares_nonzero_G=squares_G,
            dataset_S=dataset_S,
            measured_SG=measured_SG,
            sampled=self.sampled or other.sampled,
        )


def merged_moments(
    first: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    second: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Number, mean and sum of squared deviations, (G,) each, of two sets of values together (Chan et al. 1983)."""
    (n_G, mean_G, squares_G), (n_other_G, mean_other_G, squares_other_G) = first, second
    total_G = n_G + n_other_G
    share_G = n_other_G / np.maximum(total_G, 1)
    apart_G = mean_other_G - mean_G
    return total_G, mean_G + apart_G * share_G, squares_G + squares_other_G + apart_G**2 * n_G * share_G


def dataset_table(
    measured_of: Mapping[str, NDArray[np.bool_]], n_genes: int
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Names of datasets, sorted, and the genes that each measures, bool (S, G)."""
    names = tuple(sorted(measured_of))
    return names, np.array([measured_of[name] for name in names], dtype=np.bool_).reshape(len(names), n_genes)


def _ratio(part_G: NDArray[np.int64 | np.float64], whole_G: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, NaN where the whole is 0."""
    return np.where(whole_G > 0, part_G / np.maximum(whole_G, 1), np.nan)
