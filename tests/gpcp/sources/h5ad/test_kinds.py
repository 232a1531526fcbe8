"""What the values of a matrix look like: matrices of every kind, made as the tools make them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.sources.h5ad.kinds import Kind, Look, RowTally, look_at

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
    found = look_at(value_BG)
    assert (found.kind, found.certain) == ("log", True)
    assert found.base == (2.0 if name.startswith("log2") else np.e)
    assert found.normalised == ("of counts" not in name or "per" in name)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CORRECTED)
def test_corrected_counts_below_20_are_never_taken_for_logarithms(name: str, size: tuple[int, int, float]):
    rng = np.random.default_rng(1)
    value_BG: Any = sp.csr_array(np.minimum(CORRECTED[name](counts_of(rng, *size), rng), 19.5))
    assert look_at(value_BG).kind in ("fractional", "unclear")


@pytest.mark.parametrize("name", ["some of them estimated", "scaled"])
def test_counts_that_are_partly_whole_or_multiples_of_a_unit_are_counts(name: str):
    rng = np.random.default_rng(2)
    value_BG = np.minimum(CORRECTED[name](counts_of(rng, 60, 30, 60.0), rng), 19.5)
    assert look_at(sp.csr_array(value_BG)).kind == "fractional"


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
    assert look_at(sp.csr_array(np.array([values], dtype=np.float64))).kind == kind


OTHERS: dict[str, tuple[Kind, Make]] = {
    "roots of counts": ("root", lambda counts, _: single(np.sqrt(counts))),
    "roots of shares": ("root", lambda counts, _: single(np.sqrt(shares(counts, 1e4)) / 8)),
    "scaled without centring": (
        "unclear",
        lambda counts, _: single(
            np.minimum(np.log1p(shares(counts, 1e4)) / (np.log1p(shares(counts, 1e4)).std(axis=0) + 1e-9), 10)
        ),
    ),
    "a mask": ("binary", lambda counts, _: counts > 0),
    "half of the cells logarithms": (
        "mixed",
        lambda counts, _: np.vstack([counts[::2], single(np.log1p(shares(counts[1::2], 1e4)))]),
    ),
    "counts after a multiplication in single precision": (
        "counts",
        lambda counts, _: single(counts) * np.float32(0.3) / np.float32(0.3),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_neither_counts_nor_logarithms(name: str):
    rng = np.random.default_rng(3)
    kind, make = OTHERS[name]
    value_BG: Any = sp.csr_array(make(counts_of(rng, 120, 200, 400.0), rng).astype(np.float64))
    assert look_at(value_BG).kind == kind


def test_log10_is_of_base_10():
    rng = np.random.default_rng(4)
    value_BG: Any = sp.csr_array(np.log10(1 + shares(counts_of(rng, 60, 100, 500.0), 1e4)))
    assert look_at(value_BG) == Look(kind="log", base=10.0)


def test_rows_of_two_kinds_add_up():
    whole: Any = sp.csr_array(np.ones((4, 6)) * [1, 2, 3, 4, 5, 6])
    fractions: Any = sp.csr_array(np.ones((2, 6)) * [0.5, 1.5, 2.5, 3.5, 4.5, 5.5])
    found = RowTally.of(whole) + RowTally.of(fractions)
    assert (found.n_cells, found.n_whole, found.n_fractions, found.mixed) == (6, 4, 2, True)
    assert not RowTally.of(whole).mixed
    assert not (RowTally.of(sp.csr_array(np.ones((9, 3)))) + RowTally.of(fractions)).mixed


@pytest.mark.parametrize("decimals", [1, 2])
@pytest.mark.parametrize("per", [100, 1000, 1e4])
def test_rounded_logarithms_are_never_taken_for_counts(decimals: int, per: float):
    rng = np.random.default_rng(5)
    value_BG: Any = sp.csr_array(np.round(np.log1p(shares(counts_of(rng, 120, 200, 400.0), per)), decimals))
    assert look_at(value_BG).kind in ("log", "unclear")
