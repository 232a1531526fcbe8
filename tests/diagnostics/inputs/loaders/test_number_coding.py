"""Perturbations that come as numbers: the coding is inferred from the pairs, or refused where it is in doubt."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diagnostics.inputs.loaders.batch_fields import BatchFields
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs
from gpcp.core.errors import InputError

N_GENES, N_PAIRS = 8, 300
FIELDS = BatchFields(before="x", after="y", perturbation="gene")


def loader(control: int, *, effect: float = 3.0, control_share: float = 0.2, shift: int = 0) -> list[dict[str, Tensor]]:
    """Batches in which ``control`` is 0 or the number of genes, or -1 where numbers begin at 1 without a control."""
    rng = np.random.default_rng(0)
    gene_B = rng.integers(0, N_GENES, N_PAIRS)
    is_control_B = rng.random(N_PAIRS) < control_share
    before_BG = rng.normal(size=(N_PAIRS, N_GENES))
    after_BG = before_BG + 0.3 * rng.normal(size=before_BG.shape)
    after_BG[np.arange(N_PAIRS), gene_B] -= np.where(is_control_B, 0.0, effect)
    number_B = np.where(is_control_B, max(control, 0), gene_B + (control <= 0)) + shift
    whole = {"x": torch.tensor(before_BG), "y": torch.tensor(after_BG), "gene": torch.tensor(number_B)}
    return [{name: value[start : start + 50] for name, value in whole.items()} for start in range(0, N_PAIRS, 50)]


@pytest.mark.parametrize(
    ("control", "share", "expected", "nothing"),
    [
        (0, 0.2, (-1, *range(N_GENES)), 0),
        (N_GENES, 0.2, (*range(N_GENES), -1), N_GENES),
        (-1, 0.0, (-1, *range(N_GENES)), None),
    ],
    ids=["control first", "control last", "counted from 1"],
)
def test_a_coding_is_inferred_where_it_is_beyond_doubt(
    control: int, share: float, expected: tuple[int, ...], nothing: int | None
):
    pairs = LoaderPairs(loader(control, control_share=share), FIELDS)
    assert pairs.entry is not None
    assert pairs.entry.gene_of_number == expected
    assert pairs.entry.nothing == nothing
    assert "of 8 numbers that gene changes most" in pairs.entry.inferred


def test_a_loader_of_held_out_pairs_means_the_same():
    pairs = LoaderPairs(loader(0), FIELDS)
    held_out = LoaderPairs(loader(0, shift=1), FIELDS, beside=pairs)
    assert held_out.entry is pairs.entry
    for batch in held_out.batches(0):
        held_out.opened(batch)
    assert held_out.beyond == N_GENES + 1


def test_what_is_in_doubt_is_refused():
    with pytest.raises(InputError, match=r"give targets=.*-1 for a control"):
        LoaderPairs(loader(0, effect=0.0), FIELDS)


def test_numbers_of_the_genes_stay_theirs():
    batches = [{**one, "gene": one["gene"].clamp(max=N_GENES - 1)} for one in loader(0, effect=0.0)]
    pairs = LoaderPairs(batches, FIELDS)
    assert pairs.entry is not None
    assert pairs.entry.gene_of_number == tuple(range(N_GENES))
    assert not pairs.entry.inferred


def without_the_last_gene(batches: list[dict[str, Tensor]], *, others: str) -> list[dict[str, Tensor]]:
    """No pair of the last gene, so that every number is one of a column; control's pairs stay, or go too."""
    kept = [(batch["gene"] < N_GENES) & ((batch["gene"] > 0) | (others == "stay")) for batch in batches]
    return [{name: value[rows] for name, value in batch.items()} for batch, rows in zip(batches, kept, strict=True)]


def test_a_control_at_0_is_seen_where_no_number_is_beyond_the_genes():
    pairs = LoaderPairs(without_the_last_gene(loader(0), others="stay"), FIELDS)
    assert pairs.entry is not None
    assert pairs.entry.gene_of_number == (-1, *range(N_GENES))


def test_labels_that_are_off_by_one_are_not_taken_for_another_coding():
    turned = [{**batch, "gene": (batch["gene"] + 1) % N_GENES} for batch in loader(N_GENES, control_share=0.0)]
    for batches in (turned, without_the_last_gene(loader(-1, control_share=0.0), others="go")):
        pairs = LoaderPairs(batches, FIELDS)
        assert pairs.entry is not None
        assert pairs.entry.gene_of_number == tuple(range(N_GENES))
