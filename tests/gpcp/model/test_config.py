"""Configurations refuse what does not fit, and survive JSON."""

import json
import re
from typing import Any

import pytest
from hypothesis import given

from gpcp.core.errors import InputError
from gpcp.core.registry import Registry
from gpcp.model.config import PRESETS, ModelConfig, preset
from tests.gpcp.model.model_cases import configs


@pytest.mark.parametrize(
    ("fields", "summary"),
    [
        ({"n_genes": 0}, "ModelConfig.n_genes is 0"),
        ({"width": 30}, "ModelConfig.width is 30: it must be a multiple of n_heads, 4"),
        ({"n_encoder_blocks": -1}, "ModelConfig.n_encoder_blocks is -1"),
        ({"dropout": 1.0}, "ModelConfig.dropout is 1.0"),
        ({"head": "per_geen"}, "ModelConfig.head 'per_geen' is unknown; nearest: per_gene"),
        ({"value_embedding": "produkt"}, "ModelConfig.value_embedding 'produkt' is unknown; nearest: product"),
        ({"query_mixing": "statik"}, "ModelConfig.query_mixing 'statik' is unknown; nearest: static"),
        ({"cross_attention": "none"}, "cross_attention is 'none' and n_encoder_blocks 1: nothing would look at"),
        ({"cross_attention": "evry"}, "ModelConfig.cross_attention 'evry' is unknown; nearest: every"),
        ({"query_form": "perturbed_genes"}, "choose the head 'pooled' or the query form 'all_genes'"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], summary: str) -> None:
    with pytest.raises(InputError, match=re.escape(summary)):
        ModelConfig(**{"n_genes": 5, **fields})


@given(config=configs())
def test_json_and_back(config: ModelConfig) -> None:
    assert ModelConfig(**json.loads(json.dumps(config.to_json()))) == config


def test_an_unknown_preset_names_the_nearest() -> None:
    assert set(PRESETS) == {"default", "mixing", "seed", "seed_perturbed"}
    with pytest.raises(InputError, match="preset 'defualt' is unknown; nearest: default"):
        preset("defualt", 5)


def test_a_name_is_registered_once() -> None:
    parts: Registry[int] = Registry("part")
    assert parts.register("one")(1) == 1
    with pytest.raises(InputError, match="part 'one' is registered already"):
        parts.register("one")(2)
    assert (len(parts), list(parts), "one" in parts, parts["one"]) == (1, ["one"], True, 1)
