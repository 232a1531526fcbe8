"""Baselines that learn from training perturbations: what each predicts for a perturbation that it has not seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

Vector = NDArray[np.float64]

N_FACTORS = 10
"""Most principal components of the training responses, and of the features of a gene."""

RIDGE = 0.1
"""Penalty, in units of the mean square of the features, as in Ahlmann-Eltze et al. (2025)."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Training:
    """What a baseline may learn from in one context.

    Parameters
    ----------
    control_G : float64, (G,)
        Profile of the controls.
    shift_of : mapping
        Response of each training perturbation: its profile minus the controls', (G,).
    targets : mapping
        Genes that each label acts on, test labels included.
    feature_of : mapping
        Features of each gene that is measured, from control and training cells alone.
    """

    control_G: Vector
    shift_of: Mapping[str, Vector]
    targets: Mapping[str, tuple[str, ...]]
    feature_of: Mapping[str, Vector]

    @property
    def mean_G(self) -> Vector:
        """The mean response over training perturbations, (G,)."""
        return np.mean(list(self.shift_of.values()), axis=0)

    def features(self, label: str) -> Vector | None:
        """Mean of the features of a label's targets; None where none of them is a measured gene."""
        known = [self.feature_of[gene] for gene in self.targets.get(label, ()) if gene in self.feature_of]
        return np.mean(known, axis=0) if known else None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a baseline predicts.

    Parameters
    ----------
    shift_of : mapping
        By test perturbation, (G,).
    n_informed : int
        For how many of them it has any information beyond the mean response.
    """

    shift_of: Mapping[str, Vector]
    n_informed: int


def gene_features(genes: tuple[str, ...], profiles: NDArray[np.float64]) -> dict[str, Vector]:
    """Features of each gene: its loadings on the principal components of the training profiles, (factors,)."""
    centred = profiles - profiles.mean(axis=0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    n = max(1, min(N_FACTORS, int((size > 1e-9 * max(float(size.max(initial=0)), 1e-300)).sum())))
    loading = (axes[:n] * size[:n, None]).T
    return dict(zip(genes, loading.astype(np.float64), strict=True))


def mean_response(training: Training, test: tuple[str, ...]) -> Answers:
    """The same for all: the mean of the training responses."""
    return Answers(shift_of=dict.fromkeys(test, training.mean_G), n_informed=0)


def additive(training: Training, test: tuple[str, ...]) -> Answers:
    """The sum of the responses to each target alone.

    Raises
    ------
    InputError
        A test perturbation is no combination of targets that training has alone.
    """
    alone = {
        training.targets[one][0]: shift_G for one, shift_G in training.shift_of.items() if _is_single(training, one)
    }
    lacking = [
        one for one in test if _is_single(training, one) or not all(gene in alone for gene in training.targets[one])
    ]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(test)} test perturbations are no combinations of training targets, such as "
            f"{lacking[0]}"
        )
    shifts = {one: np.sum([alone[gene] for gene in training.targets[one]], axis=0) for one in test}
    return Answers(shift_of=shifts, n_informed=len(test))


def ridge(training: Training, test: tuple[str, ...]) -> Answers:
    """Ridge regression of the response on which genes are targets, and on the features of those that are measured."""
    genes = sorted({gene for one in training.shift_of for gene in training.targets.get(one, ())})
    width = len(next(iter(training.feature_of.values()), np.zeros(0)))

    def row(label: str) -> Vector:
        hit = np.array([gene in training.targets.get(label, ()) for gene in genes], dtype=np.float64)
        found = training.features(label)
        return np.concatenate((hit, np.zeros(width) if found is None else found / _spread(training)))

    input_BF = np.array([row(one) for one in training.shift_of])
    shift_BG = np.array(list(training.shift_of.values()))
    weight = _solved(input_BF - input_BF.mean(axis=0), shift_BG - training.mean_G)
    shifts = {one: training.mean_G + (row(one) - input_BF.mean(axis=0)) @ weight for one in test}
    informed = [one for one in test if training.features(one) is not None or set(training.targets[one]) & set(genes)]
    return Answers(shift_of=shifts, n_informed=len(informed))


def bilinear(training: Training, test: tuple[str, ...]) -> Answers:
    """``response = mean + genes W features``: genes by principal components of the training responses [1]_.

    References
    ----------
    .. [1] C. Ahlmann-Eltze, W. Huber, S. Anders (2025), Deep-learning-based gene perturbation effect prediction does
       not yet outperform simple linear baselines.
    """
    shift_BG = np.array(list(training.shift_of.values())) - training.mean_G
    _, _, axes = np.linalg.svd(shift_BG, full_matrices=False)
    axis_FG = axes[: min(N_FACTORS, max(1, len(shift_BG) - 1))]
    known = [one for one in training.shift_of if training.features(one) is not None]
    if not known:
        return Answers(shift_of=dict.fromkeys(test, training.mean_G), n_informed=0)
    rows = [i for i, one in enumerate(training.shift_of) if one in known]
    input_BF = np.array([training.features(one) for one in known]) / _spread(training)
    weight = _solved(input_BF, shift_BG[rows] @ axis_FG.T)
    shifts: dict[str, Vector] = {}
    for one in test:
        found = training.features(one)
        extra = 0.0 if found is None else (found / _spread(training)) @ weight @ axis_FG
        shifts[one] = training.mean_G + extra
    return Answers(shift_of=shifts, n_informed=sum(training.features(one) is not None for one in test))


def nearest_perturbation(training: Training, test: tuple[str, ...]) -> Answers:
    """The response to the training perturbation that shares most targets, then whose targets are most alike."""
    shifts: dict[str, Vector] = {}
    n_informed = 0
    for one in test:
        closeness = {other: _closeness(training, one, other) for other in training.shift_of}
        best = max(closeness, key=lambda other: closeness[other])
        informed = closeness[best] > (0.0, -2.0)
        n_informed += informed
        shifts[one] = training.shift_of[best] if informed else training.mean_G
    return Answers(shift_of=shifts, n_informed=n_informed)


def _closeness(training: Training, one: str, other: str) -> tuple[float, float]:
    first, second = (set(training.targets.get(label, ())) for label in (one, other))
    shared = len(first & second) / max(len(first | second), 1)
    feature, other_feature = training.features(one), training.features(other)
    if feature is None or other_feature is None:
        return shared, -2.0
    size = float(np.linalg.norm(feature) * np.linalg.norm(other_feature))
    return shared, float(feature @ other_feature) / size if size > 0 else -2.0


def _is_single(training: Training, label: str) -> bool:
    return len(training.targets.get(label, ())) == 1


def _spread(training: Training) -> float:
    """Root mean square of the genes' features, by which they are divided."""
    features = np.array(list(training.feature_of.values()))
    return float(np.sqrt(np.mean(features**2))) or 1.0


def _solved(input_BF: NDArray[np.float64], output: NDArray[np.float64]) -> NDArray[np.float64]:
    penalty = RIDGE * max(float(np.mean(input_BF**2)), 1e-12) * len(input_BF)
    gram_FF = input_BF.T @ input_BF + penalty * np.eye(input_BF.shape[1])
    return np.linalg.solve(gram_FF, input_BF.T @ output).astype(np.float64, copy=False)


RESPONSES: Mapping[str, Callable[[Training, tuple[str, ...]], Answers]] = {
    "mean response": mean_response,
    "additive": additive,
    "ridge": ridge,
    "bilinear PCA": bilinear,
    "nearest perturbation": nearest_perturbation,
}
"""By name: what predicts the response to perturbations that it has not seen."""
