"""Fields of configurations from the text of a command line."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.model.config import ModelConfig
from gpcp.training.config import FitConfig
from gpcp.training.fields import parse_field, parse_fields, replace_fields

CONFIGS = (ModelConfig, FitConfig)
DEFAULTS: dict[str, Any] = {
    field.name: getattr(config, field.name)
    for config in (ModelConfig(n_genes=7), FitConfig())
    for field in fields(config)
    if field.name != "perturbations"
}
NAMES = sorted(DEFAULTS)
TEXTS = [name for name in NAMES if isinstance(DEFAULTS[name], str)]


@pytest.mark.parametrize("name", NAMES)
def test_a_default_written_as_text_comes_back(name: str):
    found = parse_field(name, str(DEFAULTS[name]), *CONFIGS)
    assert found == DEFAULTS[name]
    assert type(found) is type(DEFAULTS[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_name_is_one_line_with_the_nearest(name: str):
    with pytest.raises(InputError, match=rf"nothing that can be set; nearest: .*\b{name}\b") as caught:
        parse_fields([f"{name}s={DEFAULTS[name]}"], *CONFIGS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TEXTS])
def test_a_value_of_another_type_is_one_line(name: str):
    with pytest.raises(InputError, match=f"^{name}=x y: write (a whole number|a number|true or false)") as caught:
        parse_field(name, "x y", *CONFIGS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patience=3", 3),
        ("patience=none", None),
        ("gradient_clip=None", None),
        ("gradient_clip=0.5", 0.5),
        ("skip=False", False),
        ("qk_norm=true", True),
        ("head=a=b", "a=b"),
        ("objective=likelihood", "likelihood"),
    ],
)
def test_values_of_each_kind(text: str, expected: object):
    assert parse_fields([text], *CONFIGS) == {text.partition("=")[0]: expected}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("skip", "sets nothing: write NAME=VALUE"),
        ("patience=3.5", "patience=3.5: write a whole number or none"),
        ("width=none", "width=none: write a whole number$"),
        ("objective=squard", "objective=squard: unknown; nearest: squared"),
        ("precision=64-tru", "unknown; nearest: 64-true"),
    ],
)
def test_bad_values_say_what_to_write(text: str, why: str):
    with pytest.raises(InputError, match=why):
        parse_fields([text], *CONFIGS)


def test_only_the_names_given_can_be_set():
    assert parse_fields(["width=8"], *CONFIGS, names=["width"]) == {"width": 8}
    with pytest.raises(InputError, match="'seed' is nothing that can be set; known: width"):
        parse_fields(["seed=8"], *CONFIGS, names=["width"])


@given(patience=st.none() | st.integers(1, 99), width=st.integers(1, 9).map(lambda n: 4 * n), rate=st.floats(1e-9, 1.0))
def test_each_configuration_takes_its_own_fields(patience: int | None, width: int, rate: float):
    values = parse_fields([f"patience={patience}", f"width={width}", f"learning_rate={rate!r}"], *CONFIGS)
    assert replace_fields(ModelConfig(n_genes=3), values) == ModelConfig(n_genes=3, width=width)
    assert replace_fields(FitConfig(), values) == FitConfig(patience=patience, learning_rate=rate)
