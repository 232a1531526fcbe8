"""Pairs become tokens and come back, and the model is shown no change of a gene that is not perturbed."""

import numpy as np
import pytest
import torch
from hypothesis import given

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch, model_batch, packed_batch
from tests.strategies import pair_batches


@given(pairs=pair_batches(min_pairs=1))
def test_packing_keeps_every_measured_value_and_the_way_back(pairs: PairBatch) -> None:
    batch, after_BL, packing = packed_batch(pairs)
    n_genes = len(pairs.vocab)
    for packed_BL, value_BG in (
        (batch.before_BL, pairs.before_BG),
        (after_BL, pairs.after_BG),
        (batch.measured_BL, pairs.measured_BG),
        (batch.perturbed_BL, pairs.perturbed_BG),
    ):
        kept_BL = np.where(batch.measured_BL.numpy(), packed_BL.numpy(), 0).astype(np.float32)
        assert np.array_equal(packing.unpack(kept_BL, n_genes), value_BG.astype(np.float32))


@given(pairs=pair_batches(min_pairs=1))
def test_no_more_tokens_than_the_most_measured_and_each_gene_at_most_once(pairs: PairBatch) -> None:
    batch, _ = model_batch(pairs)
    assert batch.before_BL.shape[1] == max(1, int(pairs.measured_BG.sum(axis=1).max()))
    for token_L in batch.token_BL.tolist():
        assert len(set(token_L)) == len(token_L)


@given(pairs=pair_batches(min_pairs=1))
def test_the_batch_holds_the_cell_after_at_perturbed_genes_only(pairs: PairBatch) -> None:
    batch, after_BL = model_batch(pairs)
    perturbed_BL = batch.perturbed_BL
    assert torch.equal(batch.target_BL[perturbed_BL], after_BL[perturbed_BL])
    assert (batch.target_BL[~perturbed_BL] == 0).all()
    assert torch.equal(batch.scored_BL, batch.measured_BL & ~perturbed_BL)


def test_shapes_that_disagree_are_refused() -> None:
    value_BL, flag_BL = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(InputError, match=r"ModelBatch.token_BL has shape \(2, 2\), expected \(2, 3\) or \(1, 3\)"):
        ModelBatch(
            token_BL=torch.zeros(2, 2, dtype=torch.int64),
            before_BL=value_BL,
            target_BL=value_BL,
            measured_BL=flag_BL,
            perturbed_BL=flag_BL,
        )
    with pytest.raises(InputError, match=r"ModelBatch.measured_BL has shape \(2, 1\), not \(2, 3\)"):
        ModelBatch(
            token_BL=torch.zeros(2, 3, dtype=torch.int64),
            before_BL=value_BL,
            target_BL=value_BL,
            measured_BL=flag_BL[:, :1],
            perturbed_BL=flag_BL,
        )
