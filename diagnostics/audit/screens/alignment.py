"""Whether labels go with the expression of their cells: at all, and better than the labels of other rows would."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.stats import norm

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed, undecided, with_p
from diagnostics.audit.screens.projection import projected
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult
from gpcp.core.random import stream

_FEWEST_CELLS, _FEWEST_OF_LABEL = 200, 10
_SHUFFLES = 99
_LEVEL = 0.05
_FEW_SHUFFLES, _LEAST_EXPECTED, _LEAST_OF_EXPECTED = 30, 15.0, 0.15
"""Of a batch: deviations to expect from which on it is judged, and the share of them that it falls short of."""
_LEAST_Z = 6.0
"""Standard errors by which other rows' labels have to fit better."""
_MOST_LABELS, _MOST_CELLS, _LAGS = 200, 60_000, 500
"""Up to so many labels and cells every lag is tried, beyond them so many up and down."""
_LAG_COMPONENTS = 20


def labels_explain(screen: Screen) -> CheckResult:
    """Labels explain some of the expression, within contexts, more than shuffled labels do."""
    found = _usable(screen)
    if isinstance(found, CheckResult):
        return found
    component_BF, code_B, stratum_B = found
    kept_B = code_B >= 0
    component_BF, code_B, stratum_B = component_BF[kept_B], code_B[kept_B], stratum_B[kept_B]
    true = _explained(component_BF, code_B)
    rng = stream(screen.seed, "screen", "shuffled labels")
    shuffled = [_explained(component_BF, _shuffled(code_B, stratum_B, rng)) for _ in range(_SHUFFLES)]
    mean, spread = float(np.mean(shuffled)), float(np.std(shuffled))
    p = (1 + sum(one >= true for one in shuffled)) / (1 + _SHUFFLES)
    ratio, z = true / mean, (true - mean) / max(spread, 1e-12)
    text = f"labels explain {ratio:.2f} times what they explain shuffled within contexts ({z:.1f} standard deviations)"
    n_labels = len(np.unique(code_B))
    silent = _batches_without(screen, component_BF, code_B, stratum_B, kept_B, z) if p <= _LEVEL else []
    if silent:
        return failed(
            f"in {listed(silent, 3)} labels explain next to nothing, where over all cells {text}",
            "see whether the labels of these cells belong to others of the same batch",
            statistic=len(silent),
            tolerance=0,
            n=len(code_B),
        )
    if p <= _LEVEL:
        return with_p(passed(text, statistic=ratio, tolerance=1.0, n=len(code_B)), p)
    text = f"over {len(code_B):,} cells of {n_labels} labels, {text}"
    step = "see whether labels were shuffled or belong to other cells, before a model is blamed that learns nothing"
    return with_p(failed(text, step, statistic=ratio, tolerance=1.0, n=len(code_B)), p)


def _batches_without(
    screen: Screen,
    component_BF: NDArray[np.float64],
    code_B: NDArray[np.int64],
    stratum_B: NDArray[np.int64],
    kept_B: NDArray[np.bool_],
    z: float,
) -> list[str]:
    """Batches and donors in which labels explain far less than their share of cells lets expect."""
    found: list[str] = []
    rng = stream(screen.seed, "screen", "shuffled labels of a batch")
    for covariate in ("batch", "donor"):
        batch_B = screen.context(covariate)[screen.row_B][kept_B]
        for batch in np.unique(batch_B).tolist() if len(np.unique(batch_B)) > 1 else ():
            here_B = batch_B == batch
            # What labels explain grows with the cells, and what they explain shuffled does not.
            expected = z * float(here_B.mean())
            if expected < _LEAST_EXPECTED:
                continue
            part_BF, part_B = component_BF[here_B], code_B[here_B]
            shuffled = [_explained(part_BF, _shuffled(part_B, stratum_B[here_B], rng)) for _ in range(_FEW_SHUFFLES)]
            own = (_explained(part_BF, part_B) - float(np.mean(shuffled))) / max(float(np.std(shuffled)), 1e-12)
            if own < _LEAST_OF_EXPECTED * expected:
                found.append(f"{screen.columns.contexts[covariate]} {batch!r} ({own:.1f} standard deviations)")
    return found


def labels_in_step(screen: Screen) -> CheckResult:
    """The labels of no other rows, so many further down or up, fit better than the cells' own."""
    found = _usable(screen)
    if isinstance(found, CheckResult):
        return found
    component_BF, _, _ = found
    labels, every_N = np.unique(screen.label_N, return_inverse=True)
    every_N = np.where(screen.missing_N, -1, every_N)
    half_B = stream(screen.seed, "screen", "halves").random(len(component_BF)) < 0.5
    lag = _best_lag(component_BF[half_B, :_LAG_COMPONENTS], screen.row_B[half_B], every_N, len(labels))
    if lag == 0:
        message = "the labels of no other rows fit the cells better than their own"
        return passed(message, statistic=0, tolerance=_LEAST_Z, n=len(half_B))
    own_B, other_B = every_N[screen.row_B], every_N[(screen.row_B + lag) % len(every_N)]
    mean_KF = _means(component_BF[half_B], own_B[half_B], len(labels))
    lagged_KF = _means(component_BF[half_B], other_B[half_B], len(labels))
    changed_B = ~half_B & (own_B != other_B) & (own_B >= 0) & (other_B >= 0)
    test_BF = component_BF[changed_B]
    gain_B = ((test_BF - mean_KF[own_B[changed_B]]) ** 2 - (test_BF - lagged_KF[other_B[changed_B]]) ** 2).sum(axis=1)
    z = float(gain_B.mean() / max(gain_B.std() / np.sqrt(max(len(gain_B), 1)), 1e-12)) if len(gain_B) else 0.0
    if z <= _LEAST_Z:
        message = "the labels of no other rows fit the cells better than their own"
        return passed(message, statistic=max(z, 0.0), tolerance=_LEAST_Z, n=len(half_B))
    way = "down" if lag > 0 else "up"
    return with_p(
        failed(
            f"the labels of the rows {abs(lag):,} further {way} fit better: of {len(gain_B):,} held-out cells whose "
            f"label differs, by {z:.0f} standard errors",
            f"move the column {screen.columns.perturbation!r}, or the whole of obs, by {abs(lag):,} rows: it is out of "
            "step with the matrix",
            statistic=z,
            tolerance=_LEAST_Z,
            n=len(gain_B),
        ),
        float(norm.sf(z)),
    )


def _usable(
    screen: Screen,
) -> CheckResult | tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Components of the sample, the label of each cell as a number (-1 where it is rare or missing), its context."""
    if not screen.n_of:
        return not_applicable("there are no perturbations")
    label_B = screen.label_N[screen.row_B]
    labels, code_B, n_of_label = np.unique(label_B, return_inverse=True, return_counts=True)
    rare = (n_of_label < _FEWEST_OF_LABEL) | np.isin(labels, np.unique(screen.label_N[screen.missing_N]))
    code_B = np.where(rare[code_B], -1, code_B)
    if (code_B >= 0).sum() < _FEWEST_CELLS or (~rare).sum() < 2:
        return undecided(f"fewer than {_FEWEST_CELLS} cells have a label that occurs {_FEWEST_OF_LABEL} times")
    component_BF = projected(screen, within_strata=True)
    if not component_BF.shape[1]:
        return undecided("no gene varies")
    return component_BF, code_B, screen.stratum_N[screen.row_B]


def _explained(component_BF: NDArray[np.float64], code_B: NDArray[np.int64]) -> float:
    """Sum over labels of their cells times the square of their mean, over components."""
    mean_KF = _means(component_BF, code_B, int(code_B.max()) + 1)
    return float((np.bincount(code_B)[:, None] * mean_KF**2).sum())


def _means(component_BF: NDArray[np.float64], code_B: NDArray[np.int64], n_labels: int) -> NDArray[np.float64]:
    kept_B = code_B >= 0
    n_of_label = np.maximum(np.bincount(code_B[kept_B], minlength=n_labels), 1)
    sums = [
        np.bincount(code_B[kept_B], weights=component_B[kept_B], minlength=n_labels) for component_B in component_BF.T
    ]
    return np.stack(sums, axis=1) / n_of_label[:, None]


def _shuffled(code_B: NDArray[np.int64], stratum_B: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels exchanged between cells of one context."""
    order_B = np.lexsort((rng.random(len(code_B)), stratum_B))
    shuffled_B = np.empty_like(code_B)
    shuffled_B[np.argsort(stratum_B, kind="stable")] = code_B[order_B]
    return shuffled_B


def _best_lag(
    component_BF: NDArray[np.float64], row_B: NDArray[np.int64], every_N: NDArray[np.int64], n_labels: int
) -> int:
    """By how many rows further down the labels explain most: of all lags, or of the nearest where there are many."""
    n_rows = len(every_N)
    if n_labels > _MOST_LABELS or n_rows > _MOST_CELLS:
        lags = [0, *(lag * way for lag in range(1, _LAGS + 1) for way in (1, -1))]
        scores = [_explained_at(component_BF, every_N[(row_B + lag) % n_rows], n_labels) for lag in lags]
        return lags[int(np.argmax(scores))]
    # Padded to a length whose transform is quick; what runs beyond the last row is folded back to the first.
    n_padded = int(fft.next_fast_len(2 * n_rows, real=True))
    score_N = np.zeros(n_rows)
    component_FN = np.zeros((component_BF.shape[1], n_padded))
    component_FN[:, row_B] = component_BF.T
    transformed = np.conj(np.fft.rfft(component_FN))
    for label in range(n_labels):
        is_label_N = every_N == label
        n = int(is_label_N.sum())
        if n < _FEWEST_OF_LABEL:
            continue
        # The sum over cells b of x[b] where the label of row b + lag is this one, for every lag at once.
        of_label = np.fft.rfft(is_label_N.astype(np.float64), n=n_padded)
        padded: NDArray[np.float64] = np.fft.irfft(transformed * of_label, n=n_padded)
        sum_FN = padded[:, :n_rows].copy()
        sum_FN[:, 1:] += padded[:, n_padded - n_rows + 1 :]
        score_N += (sum_FN**2).sum(axis=0) / n
    lag = int(np.argmax(score_N))
    return lag if lag <= n_rows // 2 else lag - n_rows


def _explained_at(component_BF: NDArray[np.float64], code_B: NDArray[np.int64], n_labels: int) -> float:
    kept_B = code_B >= 0
    mean_KF = _means(component_BF, code_B, n_labels)
    return float((np.bincount(code_B[kept_B], minlength=n_labels)[:, None] * mean_KF**2).sum())
