"""``TwinAssay``: a world's values, noise of counting and depth, as the quantiles of real cells of the same type."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TwinAssay:
    """How a twin's world is measured.

    Parameters
    ----------
    vocab : GeneVocab
    sorted_NG : float32, (N, G)
        Values of the real cells, type by type, each gene's ascending within a type; unmeasured ones last.
    first_type : int64, (type,)
        The first row of each type.
    n_type_G : int64, (type, G)
        Measured values of each.
    type_names : (type,) array of str
    type_N : int64, (N,)
        Type of each real cell, in the order of ``measured_NG``.
    measured_NG : bool, (N, G)
        What each real cell is measured for.
    dataset_N : (N,) array of str
    offset_type_G : float64, (type, G)
        Mean of each type in standard deviations within types.
    reliability_G, depth_loading_G, lost_G : float64, (G,)
        Share of the variance that is no counting noise; correlation with depth; share of counts that are lost whatever
        their size.
    counts_known : bool
        Whether the values could be turned into counts; else ``reliability_G`` is 1.
    has_types : bool
        Whether the real cells have cell types.
    """

    vocab: GeneVocab
    sorted_NG: NDArray[np.float32]
    first_type: NDArray[np.int64]
    n_type_G: NDArray[np.int64]
    type_names: NDArray[np.str_]
    type_N: NDArray[np.int64]
    measured_NG: NDArray[np.bool_]
    dataset_N: NDArray[np.str_]
    offset_type_G: NDArray[np.float64]
    reliability_G: NDArray[np.float64]
    depth_loading_G: NDArray[np.float64]
    lost_G: NDArray[np.float64]
    counts_known: bool
    has_types: bool

    @classmethod
    def of(
        cls,
        cells: CellBatch,
        *,
        type_names: NDArray[np.str_],
        type_B: NDArray[np.int64],
        offset_type_G: NDArray[np.float64],
        reliability_G: NDArray[np.float64],
        depth_loading_G: NDArray[np.float64],
        lost_G: NDArray[np.float64],
        counts_known: bool,
    ) -> "TwinAssay":
        """With the values, types and measured genes of some cells."""
        parts: list[NDArray[np.float32]] = []
        n_type_G = np.zeros((len(type_names), len(cells.vocab)), dtype=np.int64)
        first_type = np.zeros(len(type_names), dtype=np.int64)
        for code in range(len(type_names)):
            of_type_B = type_B == code
            first_type[code] = sum(map(len, parts))
            n_type_G[code] = cells.measured_BG[of_type_B].sum(axis=0)
            values_BG = np.where(cells.measured_BG[of_type_B], cells.expression_BG[of_type_B], np.float32(np.inf))
            parts.append(np.sort(values_BG, axis=0))
        dataset_N = cells.covariates.get("dataset", np.full(len(cells), "dataset"))
        return cls(
            vocab=cells.vocab,
            sorted_NG=np.concatenate(parts),
            first_type=first_type,
            n_type_G=n_type_G,
            type_names=type_names,
            type_N=type_B,
            measured_NG=cells.measured_BG,
            dataset_N=dataset_N,
            offset_type_G=offset_type_G,
            reliability_G=reliability_G,
            depth_loading_G=depth_loading_G,
            lost_G=lost_G,
            counts_known=counts_known,
            has_types="cell_type" in cells.covariates,
        )

    @property
    def n_cells(self) -> int:
        """Of the real cells."""
        return len(self.type_N)

    def without(self, *, counting: bool = False, depth: bool = False) -> "TwinAssay":
        """The same assay without counting noise and loss of counts, or without depth."""
        none_G = np.zeros_like(self.depth_loading_G)
        return replace(
            self,
            reliability_G=none_G + 1 if counting else self.reliability_G,
            depth_loading_G=none_G if depth else self.depth_loading_G,
            lost_G=none_G if counting else self.lost_G,
        )

    def rows(self, n_cells: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Real cells, drawn at random, whose types, datasets and measured genes as many twin cells take, (B,)."""
        if n_cells == self.n_cells:
            return rng.permutation(n_cells)
        return rng.integers(self.n_cells, size=n_cells)

    def observe(self, latent_BG: NDArray[np.float64], row_B: NDArray[np.int64], rng: np.random.Generator) -> CellBatch:
        """The cells of some values of the world, with types and measured genes of real cells.

        Parameters
        ----------
        latent_BG : float64, (B, G)
            Of mean 0 and variance 1 for an untouched cell.
        row_B : int64, (B,)
            As :meth:`rows` gives them.
        rng : numpy.random.Generator
        """
        from scipy.special import ndtr

        noise_BG = rng.standard_normal(latent_BG.shape)
        depth_B1 = rng.standard_normal((len(latent_BG), 1))
        r_G, a_G = self.reliability_G, self.depth_loading_G
        score_BG = np.sqrt(r_G) * latent_BG + np.sqrt(1 - r_G) * noise_BG
        score_BG = a_G * depth_B1 + np.sqrt(1 - a_G**2) * score_BG
        type_B = self.type_N[row_B]
        n_BG = self.n_type_G[type_B]
        # The lowest values of a gene that loses counts are the lost ones: a cell is among them by chance, or is not.
        share_BG = self.lost_G + (1 - self.lost_G) * ndtr(score_BG)
        if self.lost_G.any():
            share_BG = np.where(rng.random(share_BG.shape) < self.lost_G, 0.0, share_BG)
        quantile_BG = np.minimum((share_BG * n_BG).astype(np.int64), np.maximum(n_BG - 1, 0))
        place_BG = self.first_type[type_B][:, None] + quantile_BG
        measured_BG = self.measured_NG[row_B]
        value_BG = np.take_along_axis(self.sorted_NG, place_BG, axis=0)
        return self._batch(np.where(measured_BG, value_BG, np.float32(0)), measured_BG, row_B)

    def unmeasured_cells(self, latent_BG: NDArray[np.float64], row_B: NDArray[np.int64], *, types: bool) -> CellBatch:
        """The same cells in the world's own units, about the mean of their type or not."""
        shift_BG = self.offset_type_G[self.type_N[row_B]] if types else 0.0
        value_BG = np.ascontiguousarray(latent_BG + shift_BG, dtype=np.float32)
        return self._batch(value_BG, np.ones(value_BG.shape, dtype=np.bool_), row_B)

    def _batch(
        self, value_BG: NDArray[np.float32], measured_BG: NDArray[np.bool_], row_B: NDArray[np.int64]
    ) -> CellBatch:
        covariates = {"dataset": self.dataset_N[row_B]}
        if self.has_types:
            covariates["cell_type"] = self.type_names[self.type_N[row_B]]
        return CellBatch(
            vocab=self.vocab,
            expression_BG=value_BG,
            measured_BG=measured_BG,
            cell_id_B=np.arange(len(row_B), dtype=np.int64),
            covariates=covariates,
        )
