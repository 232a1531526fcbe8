"""A mixture's densities, moments and units are those of closed forms, and stay numbers where those overflow."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm

from gpcp.core.errors import InputError
from gpcp.model.heads.distribution import Mixture


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    scale = draw(st.sampled_from([0.1, 1.0, 4.0]))
    logit, mean, log_sd = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return Mixture(logit_BLM=scale * logit, mean_BLM=scale * mean, log_sd_BLM=log_sd)


@given(said=mixtures(), value=st.floats(-20, 20))
def test_the_density_is_the_weighted_sum_of_gaussians(said: Mixture, value: float) -> None:
    weight_BLM = said.weight_BLM.numpy()
    component_BLM = norm.logpdf(value, said.mean_BLM.numpy(), said.log_sd_BLM.exp().numpy())
    expected_BL = logsumexp(component_BLM, b=weight_BLM, axis=-1)
    found_BL = said.log_density(torch.full(said.mean_BL.shape, value, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found_BL, expected_BL, rtol=1e-9, atol=1e-9)  # rounding of sums of large exponents
    np.testing.assert_allclose(weight_BLM.sum(axis=-1), 1.0, rtol=1e-12)


@given(said=mixtures())
def test_mass_mean_and_variance_by_quadrature(said: Mixture) -> None:
    # Trapezia over +- 12 of the widest spread beyond the outermost means, at a tenth of the narrowest: for Gaussians
    # the error falls faster than any power of the step, so that 1e-6 is far above it.
    first = Mixture(
        logit_BLM=said.logit_BLM[:1, :1], mean_BLM=said.mean_BLM[:1, :1], log_sd_BLM=said.log_sd_BLM[:1, :1]
    )
    sd_K = first.log_sd_BLM.exp().numpy().ravel()
    mean_K = first.mean_BLM.numpy().ravel()
    value_N = np.arange(mean_K.min() - 12 * sd_K.max(), mean_K.max() + 12 * sd_K.max(), sd_K.min() / 10)
    density_N = np.exp(first.log_density(torch.as_tensor(value_N)[:, None])[:, 0].numpy())
    mean = float(first.mean_BL)
    assert np.trapezoid(density_N, value_N) == pytest.approx(1.0, abs=1e-6)
    assert np.trapezoid(density_N * value_N, value_N) == pytest.approx(mean, abs=1e-6 * (1 + abs(mean)))
    variance = float(first.variance_BL)
    assert np.trapezoid(density_N * (value_N - mean) ** 2, value_N) == pytest.approx(variance, rel=1e-6)


@given(said=mixtures(), scale=st.floats(0.01, 100), shift=st.floats(-10, 10), value=st.floats(-5, 5))
def test_other_units_change_the_density_by_the_scale(said: Mixture, scale: float, shift: float, value: float) -> None:
    shape = said.mean_BL.shape
    of = said.in_units(torch.full(shape, scale, dtype=torch.float64), torch.full(shape, shift, dtype=torch.float64))
    value_BL = torch.full(shape, value, dtype=torch.float64)
    torch.testing.assert_close(of.mean_BL, shift + scale * said.mean_BL, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(of.variance_BL, scale**2 * said.variance_BL, rtol=1e-7, atol=0.0)
    # Cancellation: (shift + scale x) - (shift + scale m) loses up to 1e-13 of the distance at these sizes.
    expected_BL = said.log_density(value_BL) - np.log(scale)
    torch.testing.assert_close(of.log_density(shift + scale * value_BL), expected_BL, rtol=1e-5, atol=1e-5)


def test_far_values_and_lopsided_weights_stay_numbers_with_gradients() -> None:
    logit_BLM = torch.tensor([[[500.0, -500.0, 0.0]]], requires_grad=True)
    mean_BLM = torch.tensor([[[0.0, 1.0, -1.0]]], requires_grad=True)
    log_sd_BLM = torch.tensor([[[-5.0, 5.0, 0.0]]], requires_grad=True)
    said = Mixture(logit_BLM=logit_BLM, mean_BLM=mean_BLM, log_sd_BLM=log_sd_BLM)
    density_BL = said.log_density(torch.tensor([[1e4]]))
    density_BL.sum().backward()
    assert density_BL.isfinite().all()
    for parameter in (logit_BLM, mean_BLM, log_sd_BLM):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_half_precision_is_left_and_double_is_kept() -> None:
    for dtype, kept in (
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float64, torch.float64),
    ):
        zero_BLM = torch.zeros((1, 1, 2), dtype=dtype)
        assert Mixture(logit_BLM=zero_BLM, mean_BLM=zero_BLM, log_sd_BLM=zero_BLM).mean_BL.dtype == kept


def test_parts_that_disagree_are_refused() -> None:
    zero_BLM = torch.zeros((1, 2, 3))
    with pytest.raises(InputError, match="log_sd_BLM has shape"):
        Mixture(logit_BLM=zero_BLM, mean_BLM=zero_BLM, log_sd_BLM=zero_BLM[..., :1])
