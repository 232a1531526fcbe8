"""The masked loss counts scored entries and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpcp.training.loss import PAIR_WEIGHTS, PairWeight, masked_loss

Drawn = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    prediction_BL, after_BL = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return prediction_BL, after_BL, torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.4, 1.0]))


@given(case=drawn())
def test_the_closed_form(case: Drawn) -> None:
    prediction_BL, after_BL, scored_BL = (tensor.numpy() for tensor in case)
    error_BL = (prediction_BL - after_BL) ** 2
    by_entry = error_BL[scored_BL].mean() if scored_BL.any() else 0.0
    means = [error_L[scored_L].mean() for error_L, scored_L in zip(error_BL, scored_BL, strict=True) if scored_L.any()]
    assert float(masked_loss(*case, "entry")) == pytest.approx(by_entry, rel=1e-12)
    assert float(masked_loss(*case, "pair")) == pytest.approx(np.mean(means) if means else 0.0, rel=1e-12)


@given(case=drawn(), weight=st.sampled_from(PAIR_WEIGHTS), junk=st.sampled_from([float("nan"), 1e300]))
def test_unscored_entries_change_neither_value_nor_gradient(case: Drawn, weight: PairWeight, junk: float) -> None:
    prediction_BL, after_BL, scored_BL = case
    outcomes = []
    for after in (after_BL, after_BL.masked_fill(~scored_BL, junk)):
        asked_BL = prediction_BL.clone().requires_grad_()
        loss = masked_loss(asked_BL, after, scored_BL, weight)
        loss.backward()
        outcomes.append((float(loss.detach()), asked_BL.grad))
    assert outcomes[0][0] == outcomes[1][0]
    assert torch.equal(outcomes[0][1], outcomes[1][1])
    assert (outcomes[1][1][~scored_BL] == 0).all()


@given(case=drawn(), weight=st.sampled_from(PAIR_WEIGHTS), n_padding=st.integers(1, 3))
def test_padding_and_a_doubled_batch_change_nothing_and_the_target_is_the_minimum(
    case: Drawn, weight: PairWeight, n_padding: int
) -> None:
    prediction_BL, after_BL, scored_BL = case
    loss = float(masked_loss(*case, weight))
    padded = [torch.cat((tensor, tensor[:, :1].expand(-1, n_padding)), dim=1) for tensor in (prediction_BL, after_BL)]
    nothing_BL = torch.zeros(len(scored_BL), n_padding, dtype=torch.bool)
    wider = float(masked_loss(padded[0], padded[1], torch.cat((scored_BL, nothing_BL), 1), weight))
    assert wider == pytest.approx(loss, rel=1e-12)  # the same terms, perhaps summed in another order
    doubled = [torch.cat((tensor, tensor)) for tensor in case]
    assert float(masked_loss(doubled[0], doubled[1], doubled[2], weight)) == pytest.approx(loss, rel=1e-12)
    assert float(masked_loss(after_BL, after_BL, scored_BL, weight)) == 0.0
    assert loss >= 0.0
