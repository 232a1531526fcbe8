"""The effects that a screen's cells show, beside their sampling error and beside chance."""

from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.perturbations import AppliedPerturbations
from gpcp.core.random import stream

_N_SHUFFLES = 8


def against_controls(
    cells: CellBatch, is_control_B: NDArray[np.bool_], group_B: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Values less the mean of the controls of the group, in standard deviations of controls within groups, (B, G).

    0 where unmeasured, or where the group has no control that measures the gene.
    """
    names, code_B = np.unique(group_B, return_inverse=True)
    code_B = code_B.reshape(-1)
    value_BG = cells.expression_BG.astype(np.float64)
    known_BG = cells.measured_BG & is_control_B[:, None]
    mean_CG, n_CG = np.zeros((len(names), value_BG.shape[1])), np.zeros((len(names), value_BG.shape[1]))
    for code in range(len(names)):
        rows_B = code_B == code
        n_CG[code] = known_BG[rows_B].sum(axis=0)
        mean_CG[code] = np.where(known_BG[rows_B], value_BG[rows_B], 0.0).sum(axis=0) / np.maximum(n_CG[code], 1)
    rest_BG: NDArray[np.float64] = np.where(cells.measured_BG & (n_CG[code_B] > 0), value_BG - mean_CG[code_B], 0.0)
    n_free_G = np.maximum(known_BG.sum(axis=0) - (n_CG > 0).sum(axis=0), 1)
    sd_G: NDArray[np.float64] = np.sqrt((np.where(known_BG, rest_BG, 0.0) ** 2).sum(axis=0) / n_free_G)
    # A gene that no control expresses is held against all cells.
    over_all_G: NDArray[np.float64] = np.maximum(rest_BG.std(axis=0), 1e-9)
    scale_G: NDArray[np.float64] = np.where(sd_G > 1e-6, sd_G, over_all_G)
    return rest_BG / scale_G


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Effects:
    """Mean changes of perturbed cells against controls of their group, in standard deviations of controls.

    Parameters
    ----------
    labels : tuple of str
        The perturbations, a combination as one.
    label_B : int64, (B,)
        Position in ``labels``; -1 of a control.
    n_P : int64, (P,)
        Cells of each.
    effect_PG, error_PG : float64, (P, G)
        Means and their standard errors; the error is infinite where there is nothing to compare.
    target_PG : bool, (P, G)
        The genes that are perturbed themselves.
    """

    labels: tuple[str, ...]
    label_B: NDArray[np.int64]
    n_P: NDArray[np.int64]
    effect_PG: NDArray[np.float64]
    error_PG: NDArray[np.float64]
    target_PG: NDArray[np.bool_]

    @property
    def square_P(self) -> NDArray[np.float64]:
        """Mean square effect of each perturbation on the genes that it does not target, less its sampling error."""
        known_PG = np.isfinite(self.error_PG) & ~self.target_PG
        error_PG = np.where(known_PG, self.error_PG, 0.0)
        rest_PG = np.where(known_PG, self.effect_PG**2 - error_PG**2, 0.0)
        return rest_PG.sum(axis=1) / np.maximum(known_PG.sum(axis=1), 1)

    @property
    def size_P(self) -> NDArray[np.float64]:
        """Root of :attr:`square_P`; 0 where chance explains all of it."""
        return np.sqrt(np.maximum(self.square_P, 0.0))


def effects_of(
    standard_BG: NDArray[np.float64],
    measured_BG: NDArray[np.bool_],
    applied: AppliedPerturbations,
    group_B: NDArray[np.str_],
) -> Effects:
    """Effects of all perturbations.

    Parameters
    ----------
    standard_BG, measured_BG : (B, G)
        As :func:`against_controls` gives them.
    applied : AppliedPerturbations
    group_B : (B,) array of str
    """
    is_control_B = applied.is_control_B
    text_B = np.array(applied.labels(), dtype=np.str_)
    labels, first, code_B = np.unique(text_B[~is_control_B], return_index=True, return_inverse=True)
    label_B = np.full(len(text_B), -1, dtype=np.int64)
    label_B[~is_control_B] = code_B.reshape(-1)
    effect_PG, error_PG = _means(standard_BG, measured_BG, label_B, group_B, len(labels))
    targets_PG = applied.rows(np.flatnonzero(~is_control_B)[first]).targets_BG(standard_BG.shape[1])
    return Effects(
        labels=tuple(labels.tolist()),
        label_B=label_B,
        n_P=np.bincount(label_B[~is_control_B], minlength=len(labels)).astype(np.int64),
        effect_PG=effect_PG,
        error_PG=error_PG,
        target_PG=targets_PG,
    )


def _means(
    standard_BG: NDArray[np.float64],
    measured_BG: NDArray[np.bool_],
    label_B: NDArray[np.int64],
    group_B: NDArray[np.str_],
    n_labels: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Effects and standard errors: of the perturbed cells, and of the controls of their groups, of unit variance."""
    _, code_B = np.unique(group_B, return_inverse=True)
    code_B = code_B.reshape(-1)
    rows_B = np.flatnonzero(label_B >= 0)
    member_PB = sp.csr_array((np.ones(len(rows_B)), (label_B[rows_B], rows_B)), shape=(n_labels, len(label_B)))
    n_PG = np.asarray(member_PB @ measured_BG.astype(np.float64))
    effect_PG = np.asarray(member_PB @ standard_BG) / np.maximum(n_PG, 1)
    variance_PG = np.asarray(member_PB @ standard_BG**2) / np.maximum(n_PG, 1) - effect_PG**2
    square_PG = np.maximum(variance_PG, 0.0) / np.maximum(n_PG - 1, 1)
    for code in range(int(code_B.max()) + 1):
        of_group_B = code_B == code
        n_control_G = measured_BG[of_group_B & (label_B < 0)].sum(axis=0)
        in_group_P = np.bincount(label_B[of_group_B & (label_B >= 0)], minlength=n_labels)
        share_PG = in_group_P[:, None] / np.maximum(n_PG, 1)
        square_PG += np.where(share_PG > 0, share_PG**2 / np.maximum(n_control_G, 1), 0.0)
    return effect_PG, np.where(n_PG >= 2, np.sqrt(square_PG), np.inf)


def excess_of(
    standard_BG: NDArray[np.float64],
    measured_BG: NDArray[np.bool_],
    label_B: NDArray[np.int64],
    group_B: NDArray[np.str_],
    *,
    seed: int = 0,
) -> float:
    """By how much squared effects exceed those of labels shuffled within groups, in the standard deviation of chance.

    Each group's values are centred on all of its cells for it: controls are no fixed point once labels are shuffled.
    """
    n_labels = int(label_B.max()) + 1
    names, code_B = np.unique(group_B, return_inverse=True)
    centred_BG = standard_BG.copy()
    for code in range(len(names)):
        rows_B = code_B.reshape(-1) == code
        centred_BG[rows_B] -= centred_BG[rows_B].mean(axis=0)
    rng = stream(seed, "shuffled labels of a screen")

    def energy(labels_B: NDArray[np.int64]) -> float:
        member_PB = sp.csr_array(
            (np.ones(len(labels_B)), (labels_B + 1, np.arange(len(labels_B)))), shape=(n_labels + 1, len(labels_B))
        )
        n_PG = np.maximum(np.asarray(member_PB @ measured_BG.astype(np.float64)), 1)
        # Sums over roots of n: of chance alone, each perturbation counts the same.
        return float((np.asarray(member_PB @ centred_BG) ** 2 / n_PG).sum())

    shuffled_B, chance = label_B.copy(), list[float]()
    for _ in range(_N_SHUFFLES):
        for code in range(len(names)):
            rows = np.flatnonzero(code_B.reshape(-1) == code)
            shuffled_B[rows] = rng.permutation(label_B[rows])
        chance.append(energy(shuffled_B))
    mean = float(np.mean(chance))
    n_sums = max(1, n_labels) * standard_BG.shape[1]
    # So many squares of chance: each has mean 1 and standard deviation sqrt(2).
    error = max(float(np.std(chance, ddof=1)), mean * float(np.sqrt(2 / n_sums)), 1e-300)
    return (energy(label_B) - mean) / error
