"""What the assay reports of latent expression; statistics with fixed seeds and stated standard errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from simulators.assay import Assay, Reads, build_assay, log1p_tpm
from simulators.graphs.families import simulated_vocab

N_GENES = 12
VOCAB = simulated_vocab(N_GENES)


def flat_assay(**fields: float) -> Assay:
    """Every gene alike: one type, one dataset, rates 1 at latent value 0."""
    return Assay(
        vocab=VOCAB,
        log_rate_G=np.zeros(N_GENES),
        offset_cell_type_G=np.zeros((1, N_GENES)),
        measured_SG=np.ones((1, N_GENES), dtype=np.bool_),
        **fields,
    )


def read(assay: Assay, latent_BG: NDArray[np.float64], seed: int = 0) -> Reads:
    """Reads with types and datasets in turn."""
    cell_B = np.arange(len(latent_BG))
    return assay.reads(
        latent_BG,
        cell_type_B=cell_B % assay.n_cell_types,
        dataset_B=cell_B % assay.n_datasets,
        rng=np.random.default_rng(seed),
    )


@st.composite
def assays(draw: st.DrawFn) -> Assay:
    return build_assay(
        VOCAB,
        rng=np.random.default_rng(draw(st.integers(0, 2**32))),
        n_cell_types=draw(st.integers(1, 3)),
        n_datasets=draw(st.integers(1, 3)),
        p_unmeasured=draw(st.floats(0, 1)),
        scale=draw(st.floats(0, 2)),
        library_size=draw(st.floats(1, 20_000)),
        dispersion=draw(st.sampled_from([0.0, 0.5])),
        dropout=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )


@given(assay=assays(), seed=st.integers(0, 2**32))
def test_reads_are_counts_and_unmeasured_genes_are_0_and_masked(assay: Assay, seed: int):
    latent_BG = np.random.default_rng(seed).standard_normal((7, N_GENES))
    reads = read(assay, latent_BG, seed)
    assert reads.count_BG.dtype == np.int64
    assert (reads.count_BG >= 0).all()
    assert np.array_equal(reads.measured_BG, assay.measured_SG[np.arange(7) % assay.n_datasets])
    assert not reads.count_BG[~reads.measured_BG].any()
    assert reads.measured_BG.any(axis=1).all()
    if assay.dropout == 1:
        assert not reads.count_BG.any()
    # The same stream, the same reads; another, others.
    assert np.array_equal(reads.count_BG, read(assay, latent_BG, seed).count_BG)
    assert not np.array_equal(reads.library_size_B, read(assay, latent_BG, seed + 1).library_size_B)


@given(assay=assays(), latent_BG=hnp.arrays(np.float64, (4, N_GENES), elements=st.floats(-10, 10)))
def test_proportions_are_of_all_genes_and_rise_with_the_latent_value(assay: Assay, latent_BG: NDArray[np.float64]):
    type_B = np.zeros(4, dtype=np.int64)
    share_BG = assay.proportions(latent_BG, type_B)
    assert np.allclose(share_BG.sum(axis=1), 1)
    raised_BG = latent_BG.copy()
    raised_BG[:, 3] += 1.0
    # Odds of one gene against all others rise by exp(scale): closed form of the softmax.
    before_B, after_B = share_BG[:, 3], assay.proportions(raised_BG, type_B)[:, 3]
    assert np.allclose(after_B * (1 - before_B), before_B * (1 - after_B) * np.exp(assay.scale), rtol=1e-6)


@given(count_BG=hnp.arrays(np.int64, (3, N_GENES), elements=st.integers(0, 10**6)))
def test_log1p_tpm_sums_to_a_million_over_the_measured_genes(count_BG: NDArray[np.int64]):
    value_BG = log1p_tpm(count_BG)
    assert value_BG.dtype == np.float32
    tpm_B = np.expm1(value_BG.astype(np.float64)).sum(axis=1)
    empty_B = ~count_BG.any(axis=1)
    assert np.allclose(tpm_B[~empty_B], 1e6, rtol=1e-4)  # log1p stored as float32: 1e-6 of a value of 14
    assert not value_BG[empty_B].any()
    assert np.array_equal(value_BG > 0, count_BG > 0)


def test_log1p_tpm_by_hand():
    assert np.allclose(log1p_tpm(np.array([[1, 3, 0]])), np.log1p([[250_000, 750_000, 0]]))


def test_library_sizes_are_log_normal_and_counts_follow_them():
    reads = read(flat_assay(library_size=5_000, library_size_sd=0.3), np.zeros((20_000, N_GENES)))
    log_B = np.log(reads.library_size_B / 5_000)
    # 20,000 draws: standard error of the mean .3 / 141 = .0021, of the standard deviation .0015; 5 of them.
    assert abs(log_B.mean()) < 0.0106
    assert abs(log_B.std() - 0.3) < 0.0075
    # A cell's reads are Poisson about its library size: z is standard normal, mean square 1 +- 5 * sqrt(2 / n).
    z_B = (reads.count_BG.sum(axis=1) - reads.library_size_B) / np.sqrt(reads.library_size_B)
    assert abs((z_B**2).mean() - 1) < 0.05
    same = read(flat_assay(library_size=5_000, library_size_sd=0.0), np.zeros((5, N_GENES)))
    assert np.allclose(same.library_size_B, 5_000)


@pytest.mark.parametrize("dispersion", [0.0, 0.2, 2.0])
def test_counts_have_the_stated_mean_and_variance(dispersion: float):
    assay = flat_assay(library_size=1_200, library_size_sd=0.0, dispersion=dispersion)
    count_N = read(assay, np.zeros((20_000, N_GENES))).count_BG.ravel()
    mean, variance = 100.0, 100.0 + dispersion * 100.0**2
    # 240,000 independent counts; the standard error of a variance is at most sqrt((kurtosis - 1) / n), and a gamma
    # of shape 1/2 has kurtosis 15: .0076. 5 of them.
    assert abs(count_N.mean() - mean) < 5 * np.sqrt(variance / len(count_N))
    assert abs(count_N.var() / variance - 1) < 0.04


def test_dropout_takes_its_share_of_the_counts():
    latent_BG = np.zeros((5_000, N_GENES))
    kept = read(flat_assay(library_size=12_000), latent_BG)
    lost = read(flat_assay(library_size=12_000, dropout=0.3), latent_BG)
    assert (kept.count_BG > 0).all()  # about 1,000 reads each
    # 60,000 trials: standard error .0019, 5 of them.
    assert abs((lost.count_BG == 0).mean() - 0.3) < 0.0094


def test_deeper_sequencing_comes_closer_to_the_latent_order():
    latent_BG = np.random.default_rng(1).standard_normal((300, N_GENES))
    order_BG = latent_BG.argsort(axis=1).argsort(axis=1)

    def agreement(library_size: float) -> float:
        reads = read(flat_assay(library_size=library_size), latent_BG)
        found_BG = reads.count_BG.argsort(axis=1, kind="stable").argsort(axis=1)
        return float(np.corrcoef(order_BG.ravel(), found_BG.ravel())[0, 1])

    found = [agreement(depth) for depth in (30.0, 300.0, 30_000.0, 3e6)]
    assert found == sorted(found)
    assert found[0] < 0.8
    assert found[-1] > 0.999


def test_cell_types_shift_the_latent_values():
    offset_type_G = np.zeros((2, N_GENES))
    offset_type_G[1, 0] = 2.0
    assay = Assay(
        vocab=VOCAB,
        log_rate_G=np.zeros(N_GENES),
        offset_cell_type_G=offset_type_G,
        measured_SG=np.ones((1, N_GENES), dtype=np.bool_),
        scale=0.5,
    )
    latent_BG = np.random.default_rng(2).standard_normal((2, N_GENES))
    shifted_BG = latent_BG + offset_type_G
    assert np.allclose(assay.proportions(latent_BG, np.array([0, 1])), assay.proportions(shifted_BG, np.array([0, 0])))


def test_a_drawn_assay_has_what_was_asked_for():
    assay = build_assay(VOCAB, rng=np.random.default_rng(0), n_cell_types=3, n_datasets=4, p_unmeasured=0.25)
    assert (assay.n_cell_types, assay.n_datasets) == (3, 4)
    assert (assay.measured_SG.sum(axis=1) == 9).all()
    assert len({row.tobytes() for row in assay.measured_SG}) > 1
    single = build_assay(VOCAB, rng=np.random.default_rng(0), p_unmeasured=1.0)
    assert not single.offset_cell_type_G.any()
    assert single.measured_SG.sum() == 1
    again = build_assay(VOCAB, rng=np.random.default_rng(0), n_cell_types=3, n_datasets=4, p_unmeasured=0.25)
    assert np.array_equal(assay.offset_cell_type_G, again.offset_cell_type_G)


def test_an_assay_does_not_change_under_the_hand():
    assay = flat_assay()
    with pytest.raises(ValueError, match="read-only"):
        assay.log_rate_G[0] = 1.0


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("dropout", 1.5, r"Assay.dropout is 1.5: it must be at least 0 and at most 1"),
        ("library_size", 0.0, r"Assay.library_size is 0.0: it must be above 0"),
        ("library_size_sd", -1.0, r"library_size_sd is -1.0: it must be at least 0"),
        ("dispersion", float("nan"), r"dispersion is nan"),
        ("scale", float("inf"), r"scale is inf"),
    ],
)
def test_a_number_outside_its_range_is_refused(field: str, value: float, match: str):
    with pytest.raises(InputError, match=match):
        flat_assay(**{field: value})


def test_arrays_that_do_not_fit_are_refused():
    ones_SG, zeros_type_G = np.ones((1, N_GENES), dtype=np.bool_), np.zeros((1, N_GENES))
    with pytest.raises(InputError, match="log_rate_G has shape"):
        Assay(vocab=VOCAB, log_rate_G=np.zeros(3), offset_cell_type_G=zeros_type_G, measured_SG=ones_SG)
    with pytest.raises(InputError, match="offset_cell_type_G is not finite"):
        Assay(vocab=VOCAB, log_rate_G=np.zeros(N_GENES), offset_cell_type_G=zeros_type_G + np.nan, measured_SG=ones_SG)
    with pytest.raises(InputError, match="dataset 0 measures no gene"):
        Assay(vocab=VOCAB, log_rate_G=np.zeros(N_GENES), offset_cell_type_G=zeros_type_G, measured_SG=~ones_SG)
    with pytest.raises(InputError, match="at least one row"):
        Assay(vocab=VOCAB, log_rate_G=np.zeros(N_GENES), offset_cell_type_G=zeros_type_G[:0], measured_SG=ones_SG)
    with pytest.raises(InputError, match=r"n_datasets is 0: it must be at least 1"):
        build_assay(VOCAB, rng=np.random.default_rng(0), n_datasets=0)
    with pytest.raises(InputError, match=r"p_unmeasured is 2"):
        build_assay(VOCAB, rng=np.random.default_rng(0), p_unmeasured=2)


def test_cells_that_cannot_be_read_are_refused():
    assay, latent_BG, codes = flat_assay(), np.zeros((2, N_GENES)), np.zeros(2, dtype=np.int64)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"cell_type_B of cell 1 is 3: there are 1, counted from 0"):
        assay.reads(latent_BG, cell_type_B=np.array([0, 3]), dataset_B=codes, rng=rng)
    with pytest.raises(InputError, match=r"dataset_B has shape \(1,\), expected \(2,\)"):
        assay.reads(latent_BG, cell_type_B=codes, dataset_B=codes[:1], rng=rng)
    latent_BG[1, 2] = np.nan
    with pytest.raises(InputError, match=rf"gene {VOCAB.feature_id[2]} in cell 1 is nan"):
        assay.proportions(latent_BG, codes)
    latent_BG[1, 2] = 1e4
    with pytest.raises(InputError, match="lower scale"):
        assay.proportions(latent_BG, codes)
    with pytest.raises(InputError, match="count of gene 1 in cell 0 is -2"):
        log1p_tpm(np.array([[0, -2]]))
