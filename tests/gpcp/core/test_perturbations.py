"""Perturbations by name: packed, moved to other vocabularies and taken apart again without loss; bad ones refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.perturbations import KINDS, AppliedPerturbations, Kind, PerturbationVocab, concatenate_applied
from gpcp.core.predictors import Perturbation, perturbation_of
from tests.strategies import pair_batches, screen_pairs

GENES = GeneVocab(feature_id=("g0", "g1", "g2"))
VOCAB = PerturbationVocab(target=("g1", "drug", "g1"), kind=("knocked down", "compound", "activated"), gene=(1, -1, 1))


@given(st.data())
def test_a_perturbed_gene_of_a_screen_is_a_measured_target_and_its_value_is_never_given(data: st.DataObject) -> None:
    pairs = data.draw(screen_pairs())
    assert pairs.applied is not None
    for row, label in enumerate(pairs.applied.labels()):
        tokens = [token for token in pairs.applied.token_BA[row].tolist() if token >= 0]
        genes = {pairs.applied.vocab.gene[token] for token in tokens} - {-1}
        assert set(np.flatnonzero(pairs.perturbed_BG[row])) == genes & set(np.flatnonzero(pairs.measured_BG[row]))
        assert (label == "control") == bool(pairs.applied.is_control_B[row]) == (not tokens)
    given_them = perturbation_of(pairs)
    assert not given_them.perturbed_BG.any()
    assert not given_them.target_BG.any()
    assert given_them.applied is pairs.applied


@given(st.data())
def test_rows_genes_and_batches_keep_each_pair_s_perturbations(data: st.DataObject) -> None:
    pairs = data.draw(screen_pairs(min_pairs=1))
    assert pairs.applied is not None
    order = data.draw(st.permutations(range(len(pairs))))
    parts = concatenate([pairs.rows(np.array([row])) for row in order])
    assert parts.applied is not None
    assert parts.applied.labels() == tuple(pairs.applied.labels()[row] for row in order)
    some = np.array(data.draw(st.permutations(range(len(pairs.vocab)))))[: max(1, len(pairs.vocab) // 2)]
    fewer = pairs.genes(some)
    assert fewer.applied is not None
    assert fewer.applied.labels() == pairs.applied.labels()
    assert np.array_equal(fewer.perturbed_BG, pairs.perturbed_BG[:, some])
    unmeasured = pairs.measured_where(np.zeros_like(pairs.measured_BG))
    assert not unmeasured.perturbed_BG.any()
    assert unmeasured.applied is pairs.applied


@given(st.data())
def test_tokens_of_another_vocabulary_have_the_same_names(data: st.DataObject) -> None:
    pairs = data.draw(screen_pairs())
    assert pairs.applied is not None
    vocab = pairs.applied.vocab
    order = data.draw(st.permutations(range(len(vocab))))
    other = PerturbationVocab(
        target=tuple(vocab.target[i] for i in order),
        kind=tuple(vocab.kind[i] for i in order),
        gene=tuple(vocab.gene[i] for i in order),
    )
    moved = pairs.applied.within(other)
    assert [set(label.split("+")) for label in moved.labels()] == [
        set(label.split("+")) for label in pairs.applied.labels()
    ]
    assert np.array_equal(moved.targets_BG(len(pairs.vocab)), pairs.applied.targets_BG(len(pairs.vocab)))
    back = moved.within(vocab)
    assert np.array_equal(back.token_BA, pairs.applied.token_BA[:, : back.token_BA.shape[1]])
    assert np.array_equal(back.dose_BA, pairs.applied.dose_BA[:, : back.dose_BA.shape[1]], equal_nan=True)


@given(pair_batches(min_pairs=1))
def test_pairs_that_give_values_do_not_mix_with_those_of_a_screen(pairs: PairBatch) -> None:
    assert np.array_equal(pairs.given_BG, pairs.perturbed_BG)
    none = AppliedPerturbations.of(VOCAB, [[]] * len(pairs))
    with pytest.raises(InputError, match="different perturbations cannot be concatenated"):
        concatenate_applied([None, none])


def test_a_target_with_several_kinds_is_asked_for_with_its_kind() -> None:
    assert VOCAB.token("g1", "activated") == 2
    assert VOCAB.token("drug") == 1
    with pytest.raises(InputError, match=r"knocked down, activated in the source$"):
        VOCAB.token("g1")
    with pytest.raises(InputError, match="knocked down, activated in the source, not set"):
        VOCAB.token("g1", "set")
    with pytest.raises(InputError, match="'drugs' is not among the 3 of the source; nearest: drug"):
        VOCAB.token("drugs")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": ("a", "a"), "kind": ("set", "set"), "gene": (0, 1)}, "'a' set twice"),
        ({"target": ("a",), "kind": ("knocked",), "gene": (0,)}, "nearest: knocked"),
        ({"target": ("",), "kind": ("set",), "gene": (0,)}, "not a name"),
        ({"target": ("a",), "kind": ("set",), "gene": ()}, "1 targets, 1 kinds and 0 genes"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(fields: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PerturbationVocab(**fields)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("tokens", "doses", "message"),
    [
        ([[3]], [[np.nan]], r"must lie in -1 \.\. 2"),
        ([[1, 0]], [[np.nan, np.nan]], "must rise"),
        ([[1, 1]], [[np.nan, np.nan]], "must rise"),
        ([[-1, 1]], [[np.nan, np.nan]], "must rise"),
        ([[-1]], [[2.0]], "dose_BA must be finite, or NaN"),
        ([[1]], [[np.inf]], "dose_BA must be finite, or NaN"),
    ],
)
def test_tokens_out_of_order_and_doses_of_nothing_are_refused(
    tokens: list[list[int]], doses: list[list[float]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        AppliedPerturbations(
            vocab=VOCAB, token_BA=np.array(tokens, dtype=np.int64), dose_BA=np.array(doses, dtype=np.float32)
        )


def test_a_value_beside_a_name_is_refused() -> None:
    applied = AppliedPerturbations.of(VOCAB, [[0]])
    with pytest.raises(InputError, match="no value may be given beside it"):
        Perturbation(
            perturbed_BG=np.array([[True, False, False]]), target_BG=np.zeros((1, 3), dtype=np.float32), applied=applied
        )
    assert not Perturbation.named(applied, 3).perturbed_BG.any()


@pytest.mark.parametrize("perturbed", [0, 2])
def test_perturbed_genes_that_are_not_the_targets_are_refused(perturbed: int) -> None:
    value_BG = np.ones((1, 3), dtype=np.float32)
    perturbed_BG = np.zeros((1, 3), dtype=np.bool_)
    perturbed_BG[0, perturbed] = True
    with pytest.raises(InputError, match=r"against PairBatch\.applied: perturb the measured genes that are targets"):
        PairBatch(
            vocab=GENES, before_BG=value_BG, after_BG=value_BG, measured_BG=np.ones((1, 3), dtype=np.bool_),
            perturbed_BG=perturbed_BG, before_id_B=np.zeros(1, dtype=np.int64), after_id_B=np.ones(1, dtype=np.int64),
            applied=AppliedPerturbations.of(VOCAB, [[0]]),
        )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_gene_as_a_perturbation(kind: Kind) -> None:
    vocab = PerturbationVocab.of_genes(GENES, kind)
    assert [vocab.token(gene) for gene in GENES.feature_id] == [0, 1, 2]
    assert vocab.only_genes(np.array([2, 0])).gene == (1, -1, 0)
