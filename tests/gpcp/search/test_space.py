"""What a sweep varies: texts, places, an even spread, and configurations that fit together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.model.config import ModelConfig
from gpcp.model.heads.registry import HEADS
from gpcp.search.space import JOINT, Hyperparameter, Space, hyperparameter_of, settings_of, usual_space
from gpcp.training.config import FitConfig

MODEL, FIT = ModelConfig(n_genes=5), FitConfig()


@st.composite
def ranges(draw: st.DrawFn) -> Hyperparameter:
    low = draw(st.floats(1e-8, 1e3))
    return Hyperparameter(name="learning_rate", low=low, high=low * draw(st.floats(1.01, 1e6)), log=draw(st.booleans()))


@given(one=ranges(), place=st.floats(0, 1))
def test_a_place_is_a_value_and_back(one: Hyperparameter, place: float):
    value = one.at(place)
    assert isinstance(value, float)
    assert one.low <= value <= one.high
    assert one.place(value) == pytest.approx(place, abs=1e-6)


@given(choices=st.lists(st.integers(1, 500), min_size=1, max_size=6, unique=True), place=st.floats(0, 1))
def test_choices_have_equal_shares_and_numbers_their_order(choices: list[int], place: float):
    one = Hyperparameter(name="width", choices=tuple(choices))
    assert one.choices == tuple(sorted(choices))
    assert one.at(place) == sorted(choices)[min(int(place * len(choices)), len(choices) - 1)]
    assert one.at(one.place(one.choices[0])) == one.choices[0]


@given(n_points=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_a_spread_covers_every_share_of_a_range_once_and_choices_alike(n_points: int, seed: int):
    rate = Hyperparameter(name="learning_rate", low=1e-6, high=1.0, log=True)
    space = Space([rate, hyperparameter_of("width=16,32,64")], MODEL, FIT)
    points = space.spread(n_points, np.random.default_rng(seed))
    shares = sorted(int(rate.place(point["learning_rate"]) * n_points - 1e-9) for point in points)
    assert shares == list(range(n_points))
    counts = [sum(point["width"] == width for point in points) for width in (16, 32, 64)]
    # A share of a third may be cut by two strata of the hypercube, one at each end.
    assert max(counts) - min(counts) <= 2


def test_the_usual_space_fits_the_default_model_and_every_point_makes_a_model():
    space = Space(list(usual_space().values()), MODEL, FIT)
    for point in space.spread(60, np.random.default_rng(0)):
        model, fit = space.configs(point)
        values = space.fields_of(point)
        assert model.head == values["head"]
        assert model.query_form == values["query_form"]
        assert fit.learning_rate == values["learning_rate"]
        assert space.searched_of(values) == point


def test_query_form_and_head_are_one_where_both_vary():
    space = Space([hyperparameter_of("query_form"), hyperparameter_of("head=linear,pooled")], MODEL, FIT)
    (joint,) = space.searched
    assert joint.name == JOINT
    assert set(joint.choices) == {"all_genes+linear", "all_genes+pooled", "perturbed_genes+pooled"}
    assert space.searched_of({"query_form": "perturbed_genes", "head": "linear"}) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=1e-5..1", Hyperparameter(name="learning_rate", low=1e-5, high=1.0, log=True)),
        ("dropout=0..0.5", Hyperparameter(name="dropout", low=0.0, high=0.5)),
        ("width=8..64", Hyperparameter(name="width", choices=(8, 16, 32, 64))),
        ("n_decoder_blocks=1..3", Hyperparameter(name="n_decoder_blocks", choices=(1, 2, 3))),
        ("head=mlp,linear", Hyperparameter(name="head", choices=("mlp", "linear"))),
        ("skip=true,false", Hyperparameter(name="skip", choices=(True, False))),
        ("head", usual_space()["head"]),
    ],
)
def test_texts_are_read(text: str, expected: Hyperparameter):
    assert hyperparameter_of(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lerning_rate", "nearest: learning_rate"),
        ("norm", "has no usual range"),
        ("width=a,b", "write a whole number"),
        ("learning_rate=1..0.1", "is no range"),
        ("learning_rate=0..nan", "is no range"),
        ("head=linear..mlp", "is no range of numbers"),
        ("width=64..8", "write the smaller number first"),
        ("dropout=0.1,0.1", "named twice"),
        ("n_genes=5,6", "nothing that can be set"),
    ],
)
def test_bad_texts_say_why(text: str, why: str):
    with pytest.raises(InputError, match=why):
        hyperparameter_of(text)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["width=16,18"], "multiple of n_heads"),
        (["width=16,32", "n_heads=4,5"], "multiple of n_heads"),
        (["dropout=0,1.5"], r"dropout is 1\.5"),
        (["head=linear,liner"], "nearest: linear"),
        (["query_form=all_genes,perturbed_genes"], "needs a query for every gene"),
        (["query_form=perturbed_genes", "head=linear,pooled"], "fits none of the others"),
        (["dropout=0,0.1", "dropout=0,0.2"], "varies each thing once"),
        ([], "varies each thing once"),
    ],
)
def test_values_that_do_not_fit_are_refused_before_any_training(texts: list[str], why: str):
    with pytest.raises(InputError, match=why):
        Space([hyperparameter_of(text) for text in texts], MODEL, FIT)


def test_a_value_that_is_none():
    assert settings_of(["gradient_clip=none"]) == {"gradient_clip": None}
    assert settings_of(["gradient_clip=0.5", "width=16"]) == {"gradient_clip": 0.5, "width": 16}
    assert not math.isfinite(Hyperparameter(name="width", choices=(1, 2)).low)


def test_every_head_of_the_usual_space_exists():
    assert set(usual_space()["head"].choices) <= set(HEADS)
