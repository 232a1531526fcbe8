"""What answers of a rank can reach: closed forms where all entries count, bounds and planted ranks where some do."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from diagnostics.scoring.low_rank import Wanted, least_residual, needed_rank, rank_fits
from gpcp.core.errors import InputError
from gpcp.core.random import stream


def of_rank(rank: int, n_pairs: int, n_genes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Offsets, and ``rank`` things of equal size to say."""
    number_BD = np.linalg.qr(rng.standard_normal((n_pairs, rank)))[0] * np.sqrt(n_pairs)
    loading_GD = np.linalg.qr(rng.standard_normal((n_genes, rank)))[0] * np.sqrt(n_genes)
    return number_BD @ loading_GD.T + rng.standard_normal(n_genes)


@given(rank=st.integers(0, 4), n_genes=st.integers(5, 8), holes=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_a_matrix_of_some_rank_needs_that_rank(rank: int, n_genes: int, holes: float, seed: int) -> None:
    rng = stream(seed, "planted rank")
    exact_BG = of_rank(rank, 120, n_genes, rng)
    scored_BG = rng.random(exact_BG.shape) >= holes
    fits = rank_fits(Wanted(exact_BG=np.where(scored_BG, exact_BG, np.nan), scored_BG=scored_BG), n_genes, share=0.999)
    # Of nothing to say (rank 0) rounding is left, of which any number explains more.
    if rank == 0:
        assert fits[0].residual < 1e-20
        return
    # 120 pairs and 5 genes with a fifth missing: the fits of lower ranks gain on some pairs that have few genes, but a
    # direction of equal size left out leaves far more than a hundredth.
    assert needed_rank(fits) == rank


@given(n_genes=st.integers(2, 7), n_pairs=st.integers(9, 30), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_where_every_entry_counts_fit_and_bound_are_those_of_eckart_and_young(
    n_genes: int, n_pairs: int, seed: int
) -> None:
    rng = stream(seed, "complete")
    exact_BG = rng.standard_normal((n_pairs, n_genes)) * (1 + np.arange(n_genes))
    size_G = np.linalg.svd(exact_BG - exact_BG.mean(axis=0), compute_uv=False)
    wanted = Wanted(exact_BG=exact_BG, scored_BG=np.ones(exact_BG.shape, dtype=np.bool_))
    for fit in rank_fits(wanted, n_genes):
        expected = float((size_G[fit.rank :] ** 2).sum()) / exact_BG.size
        # A round that gains less than 1e-5 of what is left ends the fit.
        assert fit.residual == pytest.approx(expected, rel=1e-2, abs=1e-9)
        assert fit.residual >= expected - 1e-9
        assert least_residual(wanted, fit.rank, rng=rng) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(seed=st.integers(0, 999), n_perturbed=st.sampled_from([1, 3]), skip=st.booleans())
@settings(max_examples=8)
def test_the_bound_lies_below_every_fit_and_ranks_gain(seed: int, n_perturbed: int, skip: bool) -> None:
    rng = stream(seed, "bounds")
    exact_BG = of_rank(4, 100, 8, rng)
    scored_BG = rng.permuted(np.arange(8) >= n_perturbed + np.zeros((100, 1)), axis=1)
    before_BG = rng.standard_normal(exact_BG.shape)
    if skip:
        exact_BG = exact_BG + 3 * before_BG
    wanted = Wanted(exact_BG=exact_BG, scored_BG=scored_BG, before_BG=before_BG if skip else None)
    fits = rank_fits(wanted, 8, share=0.99)
    for rank in range(3):
        bound = least_residual(wanted, rank, rng=rng, n_tries=24)
        assert 0 < bound <= fits[rank].residual
    residuals = [fit.residual for fit in fits]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(residuals))
    # With 3 of 8 genes told a fit of rank 4 has 4 numbers for 5 entries, and may end short of the least.
    assert needed_rank(fits) in ((4,) if n_perturbed == 1 else (4, 5))


def test_a_skip_connection_says_for_nothing_what_hangs_on_the_gene_itself() -> None:
    rng = stream(0, "skip")
    before_BG = rng.standard_normal((150, 6))
    exact_BG = before_BG * (1 + np.arange(6)) + rng.standard_normal(6)
    scored_BG = np.ones(exact_BG.shape, dtype=np.bool_)
    with_skip = rank_fits(Wanted(exact_BG=exact_BG, scored_BG=scored_BG, before_BG=before_BG), 2)
    without = rank_fits(Wanted(exact_BG=exact_BG, scored_BG=scored_BG), 6)
    assert with_skip[0].residual < 1e-20
    assert without[0].residual > 1
    assert needed_rank(without) in (5, 6)


def test_a_gene_that_is_never_scored_and_error_of_the_exact_answer_are_nobody_s_to_explain() -> None:
    rng = stream(1, "never")
    exact_BG = of_rank(2, 300, 6, rng)
    scored_BG = np.ones(exact_BG.shape, dtype=np.bool_)
    scored_BG[:, 2] = False
    exact_BG[:, 2] = np.nan
    assert needed_rank(rank_fits(Wanted(exact_BG=exact_BG, scored_BG=scored_BG), 6)) == 2
    noisy_BG = np.where(scored_BG, exact_BG + 0.3 * rng.standard_normal(exact_BG.shape), np.nan)
    fits = rank_fits(Wanted(exact_BG=noisy_BG, scored_BG=scored_BG), 6)
    assert needed_rank(fits, noise=0.09) == 2
    without = needed_rank(fits)
    assert without is not None
    assert without > 2


def test_what_cannot_be_asked_is_refused() -> None:
    zero_BG = np.zeros((3, 2))
    with pytest.raises(InputError, match="scores no entry"):
        Wanted(exact_BG=zero_BG, scored_BG=np.zeros((3, 2), dtype=np.bool_))
    with pytest.raises(InputError, match="other shapes"):
        Wanted(exact_BG=zero_BG, scored_BG=np.ones((2, 3), dtype=np.bool_))
