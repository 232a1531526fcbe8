"""Pairs whose genes are centred and in units of their spread, to distinguish a slow model from values far from 0."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.pairs import PairBatch

FAR = 3.0
"""Spreads by which the typical gene lies from 0 where values are far from it; log1p(TPM) of expressed genes are."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Units:
    """Mean and spread of each gene over the measured values of some pairs, float64 (G,)."""

    mean_G: NDArray[np.float64]
    spread_G: NDArray[np.float64]

    @classmethod
    def of(cls, pairs: PairBatch) -> "Units":
        """Of both cells; a gene that never varies keeps its spread of 1."""
        measured_NG = np.concatenate((pairs.measured_BG, pairs.measured_BG))
        value_NG = np.concatenate((pairs.before_BG, pairs.after_BG)).astype(np.float64)
        n_G = np.maximum(measured_NG.sum(axis=0), 1)
        mean_G = np.where(measured_NG, value_NG, 0.0).sum(axis=0) / n_G
        spread_G = np.sqrt(np.where(measured_NG, (value_NG - mean_G) ** 2, 0.0).sum(axis=0) / n_G)
        return cls(mean_G=mean_G, spread_G=np.where(spread_G > 0, spread_G, 1.0))

    @property
    def far(self) -> bool:
        """Whether values lie far from 0."""
        return float(np.median(np.abs(self.mean_G) / self.spread_G)) > FAR

    def applied(self, pairs: PairBatch) -> PairBatch:
        """The pairs in these units; 0 where a gene is unmeasured."""
        before_BG, after_BG = (
            np.where(pairs.measured_BG, (value_BG - self.mean_G) / self.spread_G, 0.0).astype(np.float32)
            for value_BG in (pairs.before_BG, pairs.after_BG)
        )
        return replace(pairs, before_BG=before_BG, after_BG=after_BG)

    def undone(self, value_BG: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions in the pairs' own values."""
        return value_BG * self.spread_G + self.mean_G
