"""What predictors declare, what is inferred where they declare nothing, and words that are unknown."""

from types import SimpleNamespace
from typing import Any

import pytest

from gpcp import Capabilities, InputError, ModelPredictor, PerturbationVocab, capabilities_of, preset
from gpcp.core.genes import GeneVocab
from gpcp.model.transformer import GenePerturbationTransformer

VOCAB = GeneVocab(feature_id=tuple(f"G{i}" for i in range(4)))


def test_without_a_declaration_each_cell_is_answered_by_itself_from_values():
    assert capabilities_of(SimpleNamespace()) == Capabilities(set_size=1, given="value", returned="mean")
    model = GenePerturbationTransformer(preset("mixing", 4))
    assert capabilities_of(ModelPredictor(model, VOCAB)) == Capabilities()


def test_a_model_that_reads_perturbations_by_name_is_given_no_value():
    names = PerturbationVocab.of_genes(VOCAB, "knocked down")
    model = GenePerturbationTransformer(preset("mixing", 4, names))
    assert capabilities_of(ModelPredictor(model, VOCAB, perturbations=names)).given == "identity and dose"


def test_what_is_declared_is_taken():
    declared = Capabilities(set_size=16, given="identity", returned="samples")
    assert capabilities_of(SimpleNamespace(capabilities=declared)) is declared
    assert declared.draws
    assert not Capabilities().draws


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"set_size": 0}, "set_size is 0: give at least 1"),
        ({"given": "identities"}, "given is 'identities'; nearest: identity"),
        ({"returned": "means"}, "returned is 'means'; nearest: mean"),
    ],
)
def test_unknown_words_are_refused(fields: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        Capabilities(**fields)


def test_another_type_is_refused():
    with pytest.raises(InputError, match=r"SimpleNamespace.capabilities is a dict: give gpcp.Capabilities"):
        capabilities_of(SimpleNamespace(capabilities={"set_size": 2}))
