"""``fidelity``: how close a twin's cells come to the real ones, property by property, and where they do not."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from simulators.twins.classifier import classifier_auc
from simulators.twins.observed import codes_of, correlations_GG, moments_of

_MOST_CORRELATED = 600


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FidelityRow:
    """One property of real cells and of their twin's.

    Parameters
    ----------
    property : str
    distance : float
        Kolmogorov-Smirnov distance, or as ``measure`` has it.
    measure : str
        What the distance is.
    real, twin : float
        A summary of both sides: medians, where the property is a distribution.
    """

    property: str
    distance: float
    measure: str
    real: float
    twin: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Fidelity:
    """The table.

    Parameters
    ----------
    rows : tuple of FidelityRow
    auc : float
        Of a logistic regression that separates real cells from the twin's, cross-validated: .5 cannot, 1 always can.
    """

    rows: tuple[FidelityRow, ...]
    auc: float

    def distance(self, name: str) -> float:
        """The distance of one property."""
        return next(row.distance for row in self.rows if row.property == name)

    @property
    def furthest(self) -> FidelityRow:
        """The property in which the two differ most."""
        return max(self.rows, key=lambda row: row.distance)

    def to_json(self) -> dict[str, Any]:
        """The table as JSON's types."""
        return {"rows": [asdict(row) for row in self.rows], "auc": self.auc}


def fidelity(real: CellBatch, twin: CellBatch, *, seed: int = 0) -> Fidelity:
    """Compare real cells with those of a twin.

    Parameters
    ----------
    real, twin : CellBatch
        Of the same genes.
    seed : int
        Of the cells that are classified.
    """
    sides = [_Side.of(cells) for cells in (real, twin)]
    rows = [
        _by_gene("detection, gene by gene", "median over genes of |difference|", real, twin, detection=True),
        _by_gene("values, gene by gene", "median over genes of KS", real, twin, detection=False),
        *(
            _row(name, "KS over genes", *(getattr(side, field) for side in sides))
            for name, field in (
                ("detection", "detection_G"),
                ("mean", "mean_G"),
                ("variance", "variance_G"),
                ("variance over mean", "dispersion_G"),
            )
        ),
        _row("expressed genes", "KS over cells", sides[0].expressed_B, sides[1].expressed_B),
        _row("sum of values", "KS over cells", sides[0].sum_B, sides[1].sum_B),
        _row("correlations", "KS over pairs of genes", sides[0].correlation_E, sides[1].correlation_E),
        _spectrum(sides),
        _types(real, twin),
    ]
    return Fidelity(rows=tuple(rows), auc=classifier_auc(real, twin, seed=seed))


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Side:
    """Properties of some cells."""

    detection_G: NDArray[np.float64]
    mean_G: NDArray[np.float64]
    variance_G: NDArray[np.float64]
    dispersion_G: NDArray[np.float64]
    expressed_B: NDArray[np.float64]
    sum_B: NDArray[np.float64]
    correlation_E: NDArray[np.float64]
    spectrum_G: NDArray[np.float64]

    @classmethod
    def of(cls, cells: CellBatch) -> "_Side":
        names, type_B = codes_of(cells, "cell_type")
        moments = moments_of(cells, type_B, len(names))
        n_G = np.maximum(cells.measured_BG.sum(axis=0), 1)
        value_BG = cells.expression_BG.astype(np.float64)
        mean_G = value_BG.sum(axis=0) / n_G
        variance_G = np.maximum((value_BG**2).sum(axis=0) / n_G - mean_G**2, 0.0)
        some = slice(0, _MOST_CORRELATED)
        correlation_GG = correlations_GG(moments.standard_BG[:, some], cells.measured_BG[:, some])
        return cls(
            detection_G=(cells.expression_BG > 0).sum(axis=0) / n_G,
            mean_G=mean_G,
            variance_G=variance_G,
            dispersion_G=variance_G / np.maximum(np.abs(mean_G), 1e-9),
            expressed_B=(cells.expression_BG > 0).sum(axis=1).astype(np.float64),
            sum_B=value_BG.sum(axis=1),
            correlation_E=correlation_GG[np.triu_indices(len(correlation_GG), 1)],
            spectrum_G=np.sort(np.linalg.eigvalsh(correlation_GG)).astype(np.float64)[::-1],
        )


def ks(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    both = np.concatenate([one, other])
    at_one = np.searchsorted(np.sort(one), both, side="right") / max(1, len(one))
    at_other = np.searchsorted(np.sort(other), both, side="right") / max(1, len(other))
    return float(np.abs(at_one - at_other).max(initial=0.0))


def _row(name: str, measure: str, real: NDArray[np.float64], twin: NDArray[np.float64]) -> FidelityRow:
    return FidelityRow(
        property=name,
        distance=ks(real, twin),
        measure=measure,
        real=float(np.median(real)),
        twin=float(np.median(twin)),
    )


def _by_gene(name: str, measure: str, real: CellBatch, twin: CellBatch, *, detection: bool) -> FidelityRow:
    distances: list[float] = []
    shown: list[tuple[float, float]] = []
    for gene in range(len(real.vocab)):
        values = [cells.expression_BG[cells.measured_BG[:, gene], gene].astype(np.float64) for cells in (real, twin)]
        if not (len(values[0]) and len(values[1])):
            continue
        values = [(one > 0).astype(np.float64) for one in values] if detection else values
        shown.append((float(values[0].mean()), float(values[1].mean())))
        distances.append(ks(values[0], values[1]))
    real_median, twin_median = np.median(np.array(shown), axis=0).tolist()
    return FidelityRow(
        property=name, distance=float(np.median(distances)), measure=measure, real=real_median, twin=twin_median
    )


def _spectrum(sides: "Sequence[_Side]") -> FidelityRow:
    real_G, twin_G = sides[0].spectrum_G, sides[1].spectrum_G
    n = len(real_G)
    return FidelityRow(
        property="spectrum of correlations",
        distance=float(np.abs(real_G - twin_G).sum() / (2 * n)),
        measure="half the mean |difference| of eigenvalues",
        real=float(real_G[0] / n),
        twin=float(twin_G[0] / n),
    )


def _types(real: CellBatch, twin: CellBatch) -> FidelityRow:
    names = sorted({*codes_of(real, "cell_type")[0].tolist(), *codes_of(twin, "cell_type")[0].tolist()})
    shares: list[NDArray[np.float64]] = []
    for cells in (real, twin):
        of, code_B = codes_of(cells, "cell_type")
        count = dict(zip(of.tolist(), np.bincount(code_B).tolist(), strict=True))
        shares.append(np.array([count.get(name, 0) / len(cells) for name in names]))
    return FidelityRow(
        property="cell types",
        distance=float(np.abs(shares[0] - shares[1]).sum() / 2),
        measure="total variation of proportions",
        real=float(len(codes_of(real, "cell_type")[0])),
        twin=float(len(codes_of(twin, "cell_type")[0])),
    )
