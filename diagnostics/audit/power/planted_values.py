"""The pilot's cells with and without a planted effect on every gene, as a test would see them."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.spike_ins.real_cells import RealCells
from simulators.spike_ins.values import changed, rule_of

_MARGIN = 0.6
"""Part of the least share of expressing cells from which on genes are kept."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlantedValues:
    """Logarithmic values of the same cells as controls and as perturbed cells.

    Parameters
    ----------
    control_NG, perturbed_NG : float32, (N, G)
    """

    control_NG: NDArray[np.float32]
    perturbed_NG: NDArray[np.float32]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pilot:
    """Unperturbed cells, with the genes that are tested.

    Parameters
    ----------
    genes : tuple of str
        Ids.
    value_NG : float32, (N, G)
        log1p of counts scaled to the median total, or the values of the source.
    count_NG : int64, (N, G), or None
    scale_N : float64, (N,)
        By which the counts of each cell are multiplied before the logarithm is taken.
    expressed_G : float64, (G,)
        Share of the cells that express each gene; some lie below the bound, and are tested in samples alone.
    rule : str
        How effects are planted: ``counts``, ``fold`` or ``shift``.
    """

    genes: tuple[str, ...]
    value_NG: NDArray[np.float32]
    count_NG: NDArray[np.int64] | None
    scale_N: NDArray[np.float64]
    expressed_G: NDArray[np.float64]
    rule: str

    def __len__(self) -> int:
        return len(self.value_NG)

    def shares(self, count_RN: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of expressing cells of each gene in samples that hold each cell so many times, (R, G)."""
        if self.rule == "shift":
            return np.ones((len(count_RN), len(self.genes)))
        # Whole numbers first: a share at the bound itself is the same here as in the pilot.
        return (count_RN @ (self.value_NG > 0).astype(np.float64)) / count_RN.sum(axis=1, keepdims=True)

    def planted(self, effect: float, *, seed: int) -> PlantedValues:
        """Values with a natural-logarithmic fold change on every gene.

        Counts are thinned: those of the perturbed cells where the effect is below 0, those of the controls where it
        is above, since thinning cannot add (Gerard 2020, see :mod:`simulators.spike_ins.values`).
        """
        if self.count_NG is not None:
            # The size alone names the stream: up and down are mirror images.
            rng = generator("power thinning", seed, repr(round(abs(effect), 9)))
            less_NG = self._log(rng.binomial(self.count_NG, np.exp(-abs(effect))))
            if effect <= 0:
                return PlantedValues(control_NG=self.value_NG, perturbed_NG=less_NG)
            return PlantedValues(control_NG=less_NG, perturbed_NG=self.value_NG)
        rule = "shift" if self.rule == "shift" else "fold"
        moved_NG = changed(self.value_NG, np.full(self.value_NG.shape, effect), rule).astype(np.float32)
        return PlantedValues(control_NG=self.value_NG, perturbed_NG=moved_NG)

    def _log(self, count_NG: NDArray[np.integer]) -> NDArray[np.float32]:
        return np.log1p(count_NG * self.scale_N[:, None]).astype(np.float32)


def pilot_of(cells: RealCells, *, expressed: float) -> Pilot:
    """The pilot that some cells are: genes that all of them measure and enough of them, or nearly, express.

    Raises
    ------
    InputError
        Fewer than 20 cells or no gene is left.
    """
    if len(cells) < 20:
        raise InputError(f"the pilot has {len(cells)} cells: at least 20 are needed to know a spread")
    value_NG, count_NG = cells.value_NG, cells.count_NG
    signed = rule_of(value_NG) == "shift"
    expressed_G = np.ones(len(cells.vocab)) if signed else (value_NG > 0).mean(axis=0)
    spread_G = value_NG.std(axis=0) > 0
    # Genes just below the bound lie above it in some bootstrap samples.
    kept_G = cells.measured_NG.all(axis=0) & (expressed_G >= _MARGIN * expressed) & spread_G
    if not (expressed_G[kept_G] >= expressed).any():
        raise InputError(
            f"no gene is measured in all of the pilot's cells and expressed in {expressed:.0%} of them: lower expressed"
        )
    genes = cells.vocab.genes(np.flatnonzero(kept_G))
    if count_NG is None or cells.total_N is None:
        return Pilot(
            genes=genes,
            value_NG=np.ascontiguousarray(value_NG[:, kept_G]),
            count_NG=None,
            scale_N=np.ones(len(cells)),
            expressed_G=expressed_G[kept_G],
            rule=rule_of(value_NG),
        )
    scale_N = np.median(cells.total_N) / np.maximum(cells.total_N, 1.0)
    kept_NG = np.ascontiguousarray(count_NG[:, kept_G])
    return Pilot(
        genes=genes,
        value_NG=np.log1p(kept_NG * scale_N[:, None]).astype(np.float32),
        count_NG=kept_NG,
        scale_N=scale_N,
        expressed_G=expressed_G[kept_G],
        rule="counts",
    )
