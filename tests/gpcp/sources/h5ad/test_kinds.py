"""What the values of a matrix look like: matrices of every kind, made as the tools make them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.sources.h5ad.kinds import Kind, are_logs, kind_of

Make = Callable[[NDArray[np.float64], np.random.Generator], NDArray[Any]]


def counts_of(rng: np.random.Generator, n_cells: int, n_genes: int, depth: float) -> NDArray[np.float64]:
    share_G = rng.lognormal(0, 1.5, n_genes)
    mean_BG = depth * rng.lognormal(0, 0.5, (n_cells, 1)) * share_G / share_G.sum()
    return rng.poisson(rng.gamma(1.0, 1.0, mean_BG.shape) * mean_BG).astype(np.float64)


def shares(counts_BG: NDArray[np.float64], per: float) -> NDArray[np.float64]:
    total_B1 = counts_BG.sum(axis=1, keepdims=True)
    return per * counts_BG / np.where(total_B1 > 0, total_B1, 1)


def single(value_BG: NDArray[np.float64]) -> NDArray[np.float32]:
    return value_BG.astype(np.float32)


LOGS: dict[str, Make] = {
    "log1p of counts per million": lambda counts, _: single(np.log1p(shares(counts, 1e6))),
    "log1p of counts per ten thousand": lambda counts, _: single(np.log1p(shares(counts, 1e4))),
    "in half precision": lambda counts, _: np.log1p(shares(counts, 1e4)).astype(np.float16),
    "log2": lambda counts, _: single(np.log2(1 + shares(counts, 1e6))),
    "log1p of counts": lambda counts, _: single(np.log1p(counts)),
    "log2 of counts": lambda counts, _: single(np.log2(1 + counts)),
    "log1p of TPM": lambda counts, rng: single(
        np.log1p(shares(counts / rng.lognormal(7.5, 0.8, counts.shape[1]), 1e6))
    ),
}
CORRECTED: dict[str, Make] = {
    "a share of ambient counts taken off": lambda counts, _: np.maximum(counts - 0.1 * counts.mean(axis=0), 0),
    "scaled": lambda counts, _: 0.93 * counts,
    "denoised": lambda counts, rng: counts * rng.uniform(0.7, 1.0, counts.shape),
    "some of them estimated": lambda counts, rng: np.where(
        rng.random(counts.shape) < 0.2, counts * rng.uniform(0.3, 1.0, counts.shape), counts
    ),
}
SIZES = [(60, 30, 90.0), (256, 200, 600.0), (64, 1000, 1000.0)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOGS)
def test_logarithms_of_whole_gene_sets_are_log_values(name: str, size: tuple[int, int, float]):
    rng = np.random.default_rng(0)
    value_BG: Any = sp.csr_array(LOGS[name](counts_of(rng, *size), rng).astype(np.float64))
    assert kind_of(value_BG) == "log"
    assert are_logs(value_BG)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CORRECTED)
def test_corrected_counts_below_20_are_never_taken_for_logarithms(name: str, size: tuple[int, int, float]):
    rng = np.random.default_rng(1)
    value_BG: Any = sp.csr_array(np.minimum(CORRECTED[name](counts_of(rng, *size), rng), 19.5))
    assert kind_of(value_BG) in ("fractional", "unclear")
    assert not are_logs(value_BG)


@pytest.mark.parametrize("name", ["some of them estimated", "scaled"])
def test_counts_that_are_partly_whole_or_multiples_of_a_unit_are_counts(name: str):
    rng = np.random.default_rng(2)
    value_BG = np.minimum(CORRECTED[name](counts_of(rng, 60, 30, 60.0), rng), 19.5)
    assert kind_of(sp.csr_array(value_BG)) == "fractional"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, np.nan], "nothing"),
        ([0, 1, 7, np.nan], "counts"),
        ([0, 1, 7.5], "fractional"),
        ([0, 1.3, 7.5], "log"),
        ([0, 1.5, 20.5], "linear"),
        ([0, 1, 2, 3.5, 40], "fractional"),
        ([1, 2, -1], "scaled"),
    ],
)
def test_a_few_values(values: list[float], kind: Kind):
    assert kind_of(sp.csr_array(np.array([values], dtype=np.float64))) == kind
