"""The check that what is frozen holds something: weights as they are drawn are not what anybody wants to keep."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bartlett, kstest
from torch import nn

from diagnostics.checks.architecture.paths import enters
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import shown, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.random import stream

_FEWEST = 150
"""Weights by which a draw is recognised."""

_UNLIKELY = 1e-3
"""Probability of a drawn tensor's own statistics below which it is taken for learnt."""

_ERRORS = 3.0
"""Standard errors by which a spread may differ from that of torch's own draw, of Xavier's, He's or a fixed one."""

_NEAR = 0.1
"""Part by which the largest singular value of a large matrix may lie from that of noise."""

_SMALL, _N_DRAWS, _SLACK = 20_000, 99, 0.03
"""Entries up to which matrices of noise are drawn to compare with, how many, and how far beyond them noise may lie."""


@check(
    "GP329",
    "architecture.frozen",
    "Do frozen weights hold something that was learnt?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def frozen(probe: Probe) -> CheckResult:
    """Frozen weights against how torch draws a layer, and against noise without any structure.

    What is frozen on purpose is looked at as well: that a checkpoint was not loaded shows nowhere else.
    """
    names = [
        name for name, one in probe.exact_model.named_parameters() if one.is_floating_point() and not one.requires_grad
    ]
    large = [name for name in names if probe.exact_model.get_parameter(name).numel() >= _FEWEST]
    if not large:
        return CheckResult(outcome="not_applicable", message="no weights are frozen, or too few to recognise noise by")
    drawn = [name for name in large if _is_drawn(probe.exact_model, name)]
    # Of what was trained a little some matrix may look like noise; of what was not loaded all do.
    fresh = [name for name in drawn if enters(probe, name)] if drawn == large else []
    return verdict(
        good=not fresh,
        message=f"{len(fresh)} of {len(large)} frozen weights are noise, as they are drawn before any training: "
        f"{shown(fresh)}"
        if fresh
        else f"{len(large)} frozen weights are not all as they are drawn",
        next_step="load trained weights (load_state_dict(strict=False) skips names that do not match and returns "
        "them; Embedding.from_pretrained returns the layer and freezes it), or set requires_grad to True; random "
        "features on purpose are ignored by ignore={'GP329': reason}",
        statistic=float(len(fresh)), null=0.0, tolerance=0.0, n=len(large),
    )  # fmt: skip


def _is_drawn(model: nn.Module, name: str) -> bool:
    """Whether a weight is noise, and as far spread as a layer's usual draw; a table may be drawn with any spread."""
    value = model.get_parameter(name).detach().double().cpu().numpy()
    if value.ndim < 2 or not is_noise(value_NM := value.reshape(len(value), -1)):
        return False
    if isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Embedding):
        return True
    n_out, n_in = value_NM.shape
    usual = [(1 / (3 * n_in)) ** 0.5, (1 / n_in) ** 0.5, (2 / n_in) ** 0.5, (2 / (n_in + n_out)) ** 0.5, 0.02]
    return min(abs(float(value.std()) / one - 1) for one in usual) < _ERRORS / (2 * value.size) ** 0.5


def is_noise(value_NM: NDArray[np.float64]) -> bool:
    """Whether a matrix is like independent draws from one uniform or normal law.

    The entries follow the law, rows and columns have the same spread, and the largest singular value is that of noise:
    within those of 99 draws of the same shape, or near ``spread * (sqrt(N) + sqrt(M))`` if it is large (Marchenko and
    Pastur 1967). Weights that were learnt have more in few directions, or the same in all.
    """
    spread = float(value_NM.std())
    if value_NM.size < _FEWEST or min(value_NM.shape) < 2 or not spread > 0:
        return False
    mean = float(value_NM.mean())
    laws = (
        kstest(value_NM.ravel(), "norm", (mean, spread)).pvalue,
        kstest(value_NM.ravel(), "uniform", (mean - 3**0.5 * spread, 2 * 3**0.5 * spread)).pvalue,
    )
    if max(laws) < _UNLIKELY:
        return False
    # Bartlett's test takes normal entries; uniform ones spread less, which makes it the more lenient.
    if min(_equal_spread(value_NM), _equal_spread(value_NM.T)) < _UNLIKELY:
        return False
    largest = float(np.linalg.norm(value_NM - mean, 2)) / spread
    if value_NM.size > _SMALL:
        return abs(largest / sum(n**0.5 for n in value_NM.shape) - 1) < _NEAR
    rng = stream(0, "frozen", *value_NM.shape)
    drawn = [float(np.linalg.norm(rng.standard_normal(value_NM.shape), 2)) for _ in range(_N_DRAWS)]
    return (1 - _SLACK) * min(drawn) <= largest <= (1 + _SLACK) * max(drawn)


def _equal_spread(value_NM: NDArray[np.float64]) -> float:
    """Probability of row spreads as different as these if they are the same; 1 where rows are too short."""
    return float(bartlett(*value_NM).pvalue) if value_NM.shape[1] >= 4 else 1.0
