"""The hint that ends an error message names what the caller meant, or what there is."""

from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError, nearest

NAMES = st.text("abcdefgh_", min_size=3, max_size=8)


def test_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_nothing_to_choose_from():
    assert nearest("anything", []) == "there are none"


def test_a_typing_error_finds_what_was_meant():
    assert nearest("scale_fre", ["erdos_renyi", "scale_free", "modular"]) == "nearest: scale_free"


def test_case_is_forgiven_and_the_choice_is_spelt_as_it_is():
    assert nearest("tp53", ["BRCA1", "TP53"]) == "nearest: TP53"


def test_nothing_alike_shows_the_first_few():
    assert nearest("zzz", list("abcdefgh"), n=2) == "known: a, b, c, d, ..."
    assert nearest("zzz", ["a", "b"]) == "known: a, b"


@given(st.lists(NAMES, min_size=1, unique=True), st.data())
def test_a_choice_itself_is_always_named_first(choices: list[str], data: st.DataObject):
    name = data.draw(st.sampled_from(choices))
    assert nearest(name, choices).removeprefix("nearest: ").split(", ")[0] == name


@given(st.text("abcdefgh_ É\n", max_size=8), st.lists(NAMES, unique=True), st.integers(1, 4))
def test_the_hint_is_one_line_and_bounded(name: str, choices: list[str], n: int):
    hint = nearest(name, choices, n=n)
    assert "\n" not in hint
    named = hint.split(": ")[-1].removesuffix(", ...").split(", ")
    assert len(named) <= (n if hint.startswith("nearest") else 2 * n)
