"""What every read-out of a run asks with, and the effect matrices that the answers give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.implied_law import implied_partial
from diagnostics.graphs.readouts import all_but_one, invert_total, partial_from_coefficients, single_gene_response
from gpcp.core.errors import InputError
from gpcp.core.predictors import Predictor

_N_ONE, _ONE_ROWS = 64, 6_400
"""Most cells that the single-gene read-out asks about, ``2 G`` rows each, and most rows; at least 4 cells."""

_N_SLOPES, _SLOPE_ROWS = 32, 3_200
"""Most cells whose slopes the all-but-one read-out takes, ``G`` rows each, and most rows; at least 4 cells. Where a
world is not linear slopes differ from cell to cell: those of four cells of ``erdos_renyi/100/tanh`` gave an AUPRC of
.966, those of sixteen 1."""

ASKS_ONE = frozenset({"single_gene", "single_gene_inverted"})
ASKS_ALL_BUT_ONE = frozenset({"all_but_one", "all_but_one_partial"})


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asking:
    """What every read-out of a run asks with, of the model and of the exact law alike.

    Parameters
    ----------
    cell_BG : float32, (B, G)
        Cells of one population; the first few of them are asked about where a read-out asks much of each.
    n_controls : int
        How many that are, where a predictor gives no slopes.
    n_slopes : int
        How many that are, where it does.
    perturbed_BG : float32, (B, G), or None
        Values given by the all-but-one read-out, ``n_slopes`` rows; None gives each cell those of the next one.
    dose, step : float
        See :mod:`diagnostics.graphs.readouts`.
    seed : int
        Draws the questions of the implied law, the same for the model and the exact law.
    """

    cell_BG: NDArray[np.float32]
    n_controls: int
    n_slopes: int
    perturbed_BG: NDArray[np.float32] | None
    dose: float
    step: float
    seed: int

    @property
    def control_BG(self) -> NDArray[np.float32]:
        """The cells asked about, float32 (B, G)."""
        return self.cell_BG[: self.n_slopes]


def asking_of(cell_BG: NDArray[np.float32], regime: str, *, dose_sd: float, rng: np.random.Generator) -> Asking:
    """Questions within what training showed.

    Interventions set values of standard deviation ``dose_sd``, so the dose is one of those and the other genes are
    held at values drawn like them. In the matched regime given values are another cell's, and the dose is one
    standard deviation of expression.
    """
    n_genes = cell_BG.shape[1]
    n_asked = min(len(cell_BG), n_controls(n_genes))
    n_slopes = min(len(cell_BG), max(n_asked, min(_N_SLOPES, _SLOPE_ROWS // n_genes)))
    perturbed_BG = None
    if regime == "matched":
        dose = float(np.nanstd(cell_BG, axis=0).mean())
    else:
        dose = dose_sd
        perturbed_BG = (dose_sd * rng.standard_normal((n_slopes, n_genes))).astype(np.float32)
    return Asking(
        cell_BG=cell_BG,
        n_controls=n_asked,
        n_slopes=n_slopes,
        perturbed_BG=perturbed_BG,
        dose=dose,
        step=0.5 * dose,
        seed=int(rng.integers(2**31)),
    )


def n_controls(n_genes: int, *, most: int = 32, n_rows: int = 12_000) -> int:
    """How many control cells the all-but-one read-out can afford: ``2 G (G - 1)`` rows each, at least 4 cells."""
    return min(most, max(4, n_rows // (2 * n_genes * (n_genes - 1))))


def effects(
    predictor: Predictor, asking: Asking, names: Sequence[str]
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Effect matrices (G, G) of a predictor by read-out, and remarks on those that could not be had.

    What two read-outs share is asked once. A matrix of total effects that cannot be inverted gives an empty matrix,
    which scores as chance.
    """
    found: dict[str, NDArray[np.float64]] = {}
    notes: list[str] = []
    if ASKS_ONE & set(names):
        n_one = min(_N_ONE, max(4, _ONE_ROWS // (2 * len(predictor.vocab))))
        found["single_gene"] = single_gene_response(predictor, asking.cell_BG[:n_one], dose=asking.dose)
    if "implied_partial" in names:
        rng = np.random.default_rng(asking.seed)
        found["implied_partial"] = implied_partial(predictor, asking.cell_BG, rng=rng)
    if ASKS_ALL_BUT_ONE & set(names):
        found["all_but_one"] = all_but_one(
            predictor,
            asking.control_BG,
            step=asking.step,
            perturbed_BG=asking.perturbed_BG,
            n_differences=asking.n_controls,
        )
        found["all_but_one_partial"] = partial_from_coefficients(found["all_but_one"])
    if "single_gene_inverted" in names:
        try:
            found["single_gene_inverted"] = invert_total(found["single_gene"])
        except InputError as refusal:
            found["single_gene_inverted"] = np.zeros_like(found["single_gene"])
            notes.append(str(refusal))
    return {name: found[name] for name in names}, notes
