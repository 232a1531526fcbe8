"""Vocabularies: tokens and ids go back and forth, and a vocabulary that could mislead cannot exist."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import ENSEMBL_GENE, GeneVocab, without_version
from tests.strategies import gene_ids, vocabs

TP53, BRCA1 = "ENSG00000141510", "ENSG00000012048"


@given(vocabs(), st.data())
def test_tokens_and_genes_round_trip(vocab: GeneVocab, data: st.DataObject):
    tokens = data.draw(st.lists(st.integers(0, len(vocab) - 1)))
    genes = vocab.genes(tokens)
    assert vocab.tokens(genes).tolist() == tokens
    assert vocab.genes(vocab.tokens(genes)) == genes
    assert [vocab.token(gene) for gene in genes] == tokens


@given(vocabs())
def test_a_token_is_a_position(vocab: GeneVocab):
    tokens = vocab.tokens(vocab.feature_id)
    assert tokens.dtype == np.int64
    np.testing.assert_array_equal(tokens, np.arange(len(vocab)))


@given(vocabs(), gene_ids())
def test_membership_agrees_with_the_ids(vocab: GeneVocab, gene: str):
    assert (gene in vocab) == (gene in vocab.feature_id)
    assert all(known in vocab for known in vocab.feature_id)


@given(vocabs(min_genes=2))
def test_equality_is_of_genes_and_their_order(vocab: GeneVocab):
    again = GeneVocab(feature_id=tuple(vocab.feature_id))
    turned = GeneVocab(feature_id=vocab.feature_id[::-1])
    assert vocab == again
    assert hash(vocab) == hash(again)
    assert vocab != turned


@given(vocabs(), st.data())
def test_an_unknown_gene_names_itself_and_the_nearest(vocab: GeneVocab, data: st.DataObject):
    meant = data.draw(st.sampled_from(vocab.feature_id))
    typed = meant[:-1]
    with pytest.raises(InputError, match=f"gene '{typed}' is not among the {len(vocab)} genes") as caught:
        vocab.token(typed)
    assert "nearest: " in str(caught.value)
    with pytest.raises(InputError):
        vocab.tokens([meant, typed])


@given(vocabs(), st.integers(0, 5), st.booleans())
def test_a_token_outside_is_refused(vocab: GeneVocab, beyond: int, below: bool):
    token = -1 - beyond if below else len(vocab) + beyond
    with pytest.raises(InputError, match=rf"token {token} is outside the vocabulary's 0 \.\. {len(vocab) - 1}"):
        vocab.genes([0, token])


@given(vocabs(min_genes=2), st.data())
def test_a_gene_twice_is_refused_with_both_places(vocab: GeneVocab, data: st.DataObject):
    at = data.draw(st.integers(0, len(vocab) - 1))
    gene = vocab.feature_id[at]
    with pytest.raises(InputError, match=rf"feature_id holds '{gene}' at {at} and at {len(vocab)}: each gene may"):
        GeneVocab(feature_id=(*vocab.feature_id, gene))


@given(vocabs(), gene_ids(), st.integers(0, 99), st.sampled_from(["", "_PAR_Y"]))
def test_a_version_is_refused_with_the_remedy(vocab: GeneVocab, gene: str, version: int, par: str):
    versioned = f"{gene}.{version}{par}"
    assert without_version(versioned) == gene + par
    with pytest.raises(InputError, match=rf"feature_id\[{len(vocab)}\] is '{versioned}', with a version: drop it"):
        GeneVocab(feature_id=(*vocab.feature_id, versioned))


@pytest.mark.parametrize("gene", ["", " ", f" {TP53}", f"{TP53}\n"])
def test_blanks_are_refused(gene: str):
    with pytest.raises(InputError, match=r"GeneVocab\.feature_id\[1\] is .*: not a gene id"):
        GeneVocab(feature_id=(BRCA1, gene))


def test_an_empty_vocabulary_is_refused():
    with pytest.raises(InputError, match=r"GeneVocab\.feature_id is empty: a vocabulary needs at least one gene"):
        GeneVocab(feature_id=())


@given(gene_ids())
def test_dropping_a_version_leaves_other_names_alone(gene: str):
    assert without_version(gene) == gene
    assert ENSEMBL_GENE.match(gene)


@pytest.mark.parametrize("name", ["TP53", "ENSG0000014151", "ENST00000269305", "ENSG00000141510.18", "b0001"])
def test_what_is_no_ensembl_gene_id(name: str):
    assert ENSEMBL_GENE.match(name) is None


def test_genes_of_other_namings_may_be_a_vocabulary():
    """Networks of bacteria and yeast have no Ensembl gene ids, and a dot in a name is not always a version."""
    assert GeneVocab(feature_id=("b0001", "YAL001C.1")).token("YAL001C.1") == 1


def test_a_vocabulary_is_frozen():
    vocab = GeneVocab(feature_id=(TP53,))
    with pytest.raises(FrozenInstanceError):
        vocab.feature_id = (BRCA1,)  # pyright: ignore[reportAttributeAccessIssue]
