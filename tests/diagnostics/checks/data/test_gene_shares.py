"""Genes of another scale that make up the loss: named, by the loss as it is; genes of one scale left alone."""

import numpy as np
import pytest
from torch import Tensor

from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.data.grounds import HEALTHY, PLANTED
from tests.diagnostics.checks.sources import Fixed, with_after, with_before
from tests.diagnostics.checks.subjects import found

LARGE = 32.0


def one_large(pairs: PairBatch) -> PairBatch:
    """The fourth gene of a thousand times the variance."""
    scale_G = np.where(np.arange(len(pairs.vocab)) == 3, LARGE, 1.0)
    return with_after(with_before(pairs, pairs.before_BG * scale_G), pairs.after_BG * scale_G)


@pytest.mark.parametrize("ground", PLANTED)
def test_one_gene_that_is_the_loss_is_named_with_its_share(ground: str):
    training, held_out = PLANTED[ground](0, 1_000)
    result = found(Subject(pairs=Fixed(one_large(training)), held_out=Fixed(one_large(held_out))), "data.gene_shares")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert result.statistic is not None
    assert result.statistic > 0.9
    assert "ENSSIMG00000000003" in result.message
    assert "in the median gene" in result.message


def test_a_loss_that_weighs_genes_makes_it_harmless():
    training, _ = PLANTED["interventional"](0, 1_000)

    def weighted(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
        scale_L = prediction_BL.new_ones(10)
        scale_L[3] = LARGE
        return masked_loss(prediction_BL / scale_L, after_BL / scale_L, scored_BL)

    large = Fixed(one_large(training))
    assert found(Subject(pairs=large, loss=weighted), "data.gene_shares").outcome == "pass"
    assert found(Subject(pairs=large, loss=masked_loss), "data.gene_shares").outcome == "fail"


@pytest.mark.parametrize("n_pairs", [200, 2_000])
@pytest.mark.parametrize("ground", HEALTHY)
def test_genes_of_one_scale_pass(ground: str, n_pairs: int):
    for seed in range(3):
        result = found(Subject(pairs=Fixed(HEALTHY[ground](seed, n_pairs)[0])), "data.gene_shares")
        assert result.outcome == "pass", result.message
