"""Pairs: refused when wrong, derived rightly, and neither lost nor moved by regrouping."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, concatenate, rebatched
from tests.strategies import pair_batches, vocabs

MATRICES = ("before_BG", "after_BG", "measured_BG", "perturbed_BG")
ARRAYS = (*MATRICES, "before_id_B", "after_id_B")


@st.composite
def blocks(draw: st.DrawFn) -> list[PairBatch]:
    """Batches of one vocabulary, empty ones too."""
    vocab = draw(vocabs(max_genes=3))
    return draw(st.lists(pair_batches(vocab=vocab, max_pairs=4), min_size=1, max_size=4))


def assert_same(got: PairBatch, wanted: PairBatch) -> None:
    """Byte for byte the same pairs in the same order."""
    assert got.vocab == wanted.vocab
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name, strict=True)


@given(pair_batches(), st.sampled_from(MATRICES), st.sampled_from([0, 1]))
def test_a_shape_that_disagrees_is_refused(pairs: PairBatch, name: str, axis: int):
    longer = np.pad(getattr(pairs, name), [(0, int(axis == 0)), (0, int(axis == 1))])
    expected = rf"PairBatch\.{name} has shape .*, expected \({len(pairs)}, {len(pairs.vocab)}\)"
    with pytest.raises(InputError, match=expected):
        replace(pairs, **{name: longer})


@given(pair_batches())
def test_ids_of_another_number_are_refused(pairs: PairBatch):
    with pytest.raises(InputError, match=r"PairBatch\.after_id_B has shape"):
        replace(pairs, after_id_B=np.append(pairs.after_id_B, 1))


@given(pair_batches(), st.sampled_from(ARRAYS))
def test_another_dtype_is_refused(pairs: PairBatch, name: str):
    with pytest.raises(InputError, match=rf"PairBatch\.{name} has dtype complex128, expected"):
        replace(pairs, **{name: getattr(pairs, name).astype(np.complex128)})


@given(pair_batches(min_pairs=1), st.sampled_from(["before", "after"]), st.booleans(), st.data())
def test_a_value_that_contradicts_the_mask_is_refused(
    pairs: PairBatch, which: str, measured: bool, data: st.DataObject
):
    pair = data.draw(st.integers(0, len(pairs) - 1))
    gene = data.draw(st.integers(0, len(pairs.vocab) - 1))
    changed = {name: getattr(pairs, name).copy() for name in MATRICES}
    changed["before_BG"][pair, gene] = changed["after_BG"][pair, gene] = 0
    changed["perturbed_BG"][pair, gene] = False
    changed[f"{which}_BG"][pair, gene], changed["measured_BG"][pair, gene] = np.nan, measured
    with pytest.raises(InputError) as caught:
        replace(pairs, **changed)
    message = str(caught.value)
    cell = getattr(pairs, f"{which}_id_B")[pair]
    assert f"PairBatch.{which}_BG of gene {pairs.vocab.feature_id[gene]} in cell {cell} is nan" in message
    assert ("mark it unmeasured or mend the value" if measured else "store 0 where a gene is unmeasured") in message


@given(pair_batches(min_pairs=1), st.data())
def test_telling_an_unmeasured_gene_is_refused(pairs: PairBatch, data: st.DataObject):
    pair = data.draw(st.integers(0, len(pairs) - 1))
    gene = data.draw(st.integers(0, len(pairs.vocab) - 1))
    changed = {name: getattr(pairs, name).copy() for name in MATRICES}
    changed["before_BG"][pair, gene] = changed["after_BG"][pair, gene] = 0
    changed["measured_BG"][pair, gene], changed["perturbed_BG"][pair, gene] = False, True
    expected = rf"perturbed_BG names gene {pairs.vocab.feature_id[gene]} in pair {pair}, .* is unmeasured"
    with pytest.raises(InputError, match=expected):
        replace(pairs, **changed)


@given(pair_batches())
def test_what_is_derived(pairs: PairBatch):
    np.testing.assert_array_equal(
        pairs.before_BG + pairs.delta_BG, pairs.before_BG + (pairs.after_BG - pairs.before_BG)
    )
    assert pairs.delta_BG.dtype == np.float32
    assert not pairs.delta_BG[~pairs.measured_BG].any()
    measured, perturbed, scored = pairs.measured_BG, pairs.perturbed_BG, pairs.scored_BG
    np.testing.assert_array_equal(scored.astype(int) + perturbed.astype(int), measured.astype(int))


@given(pair_batches(min_pairs=1))
def test_what_exists_cannot_be_changed(pairs: PairBatch):
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(pairs, name)[0] = 0
    with pytest.raises(FrozenInstanceError):
        pairs.before_BG = pairs.after_BG  # pyright: ignore[reportAttributeAccessIssue]


@given(pair_batches())
def test_the_callers_arrays_keep_their_flags(pairs: PairBatch):
    own = {name: getattr(pairs, name).copy() for name in ARRAYS}
    again = replace(pairs, **own)
    assert all(array.flags.writeable for array in own.values())
    assert_same(again, pairs)


@given(pair_batches(min_pairs=1), st.data())
def test_rows_are_those_asked_for_in_that_order(pairs: PairBatch, data: st.DataObject):
    which = np.array(data.draw(st.lists(st.integers(0, len(pairs) - 1))), dtype=np.int64)
    taken = pairs.rows(which)
    assert len(taken) == len(which)
    for row, pair in enumerate(which.tolist()):
        assert_same(taken.rows(slice(row, row + 1)), pairs.rows(np.array([pair])))


@given(pair_batches(vocab=GeneVocab(feature_id=("a", "b", "c"))), st.data())
def test_some_genes_are_those_columns_and_fewer_may_be_measured(pairs: PairBatch, data: st.DataObject):
    tokens = np.array(data.draw(st.lists(st.integers(0, 2), min_size=1, unique=True)), dtype=np.int64)
    taken = pairs.genes(tokens)
    assert taken.vocab.feature_id == tuple("abc"[token] for token in tokens.tolist())
    assert all(np.array_equal(getattr(taken, name), getattr(pairs, name)[:, tokens]) for name in MATRICES)
    fewer = pairs.measured_where(pairs.measured_BG & (np.arange(3) != 1))
    assert_same(fewer.genes(np.array([0, 2])), pairs.genes(np.array([0, 2])))
    assert not any(getattr(fewer, name)[:, 1].any() for name in MATRICES)


@given(pair_batches(), st.integers(0, 5))
def test_a_cut_is_undone_by_concatenation(pairs: PairBatch, at: int):
    assert_same(concatenate((pairs.rows(slice(0, at)), pairs.rows(slice(at, None)))), pairs)


@given(blocks(), st.integers(1, 20))
def test_regrouping_keeps_content_and_order(parts: list[PairBatch], batch_size: int):
    whole = concatenate(parts)
    batches = list(rebatched(parts, batch_size=batch_size))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert sum(map(len, batches)) == len(whole)
    if batches:
        assert_same(concatenate(batches), whole)


@given(blocks())
def test_regrouping_asks_for_no_block_before_it_is_needed(parts: list[PairBatch]):
    taken = 0

    def counted() -> Iterator[PairBatch]:
        nonlocal taken
        for part in parts:
            taken += 1
            yield part

    batches = rebatched(counted(), batch_size=1)
    assert taken == 0
    if next(batches, None) is not None:
        needed = next(n for n in range(1, len(parts) + 1) if sum(map(len, parts[:n])) >= 1)
        assert taken == needed


@given(pair_batches(), st.integers(-3, 0))
def test_a_batch_of_nothing_is_refused(pairs: PairBatch, batch_size: int):
    with pytest.raises(InputError, match=f"batch_size is {batch_size}: it must be at least 1"):
        next(rebatched([pairs], batch_size=batch_size))


def test_nothing_to_concatenate_is_refused():
    with pytest.raises(InputError, match="no pair to concatenate: the source is empty"):
        concatenate([])


@given(pair_batches(min_pairs=1))
def test_other_vocabularies_are_refused(pairs: PairBatch):
    other = replace(pairs, vocab=GeneVocab(feature_id=tuple(f"other{gene}" for gene in pairs.vocab.feature_id)))
    with pytest.raises(InputError, match="different vocabularies"):
        concatenate([pairs, other])


class Once:
    """A source of one block."""

    def __init__(self, block: PairBatch) -> None:
        self._block = block

    @property
    def vocab(self) -> GeneVocab:
        return self._block.vocab

    @property
    def n_pairs(self) -> int:
        return len(self._block)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        return rebatched([self._block], batch_size=batch_size)


@given(pair_batches())
def test_a_source_is_known_by_what_it_offers(pairs: PairBatch):
    assert isinstance(Once(pairs), PairSource)
    assert not isinstance(pairs, PairSource)
