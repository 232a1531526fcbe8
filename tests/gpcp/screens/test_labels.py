"""Labels of every convention go to targets and back, and what is joined is taken apart only where it is joined."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.screens.conventions import ScreenColumns, screen_columns
from gpcp.screens.known_names import CONTROL_GROUPS, control_group
from gpcp.screens.labels import targets_of

GENES = st.from_regex(r"[A-Z]{2,4}[0-9]{0,2}", fullmatch=True).filter(lambda name: control_group(name) is None)


@st.composite
def designs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Some genes, and some pairs of them."""
    genes = draw(st.lists(GENES, min_size=3, max_size=8, unique=True))
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(genes), st.sampled_from(genes)).filter(lambda two: two[0] != two[1]), min_size=1
        )
    )
    return genes, pairs


def columns_of(column: str, labels: list[str], **beside: str) -> ScreenColumns:
    obs = pd.DataFrame({column: labels, **{name: [value] * len(labels) for name, value in beside.items()}})
    return screen_columns(obs, name="the file")


JOINED = [
    ("gears", "condition", "ctrl", "+", {}),
    ("cpa", "condition", "control", "+", {"dose_val": "1"}),
    ("perturbench", "condition", "control", "+", {}),
    ("scperturb", "perturbation", "control", "_", {}),
    ("scperturb", "perturbation", "control", "+", {}),
    ("cell-load", "gene", "non-targeting", "+", {"gem_group": "1"}),
    ("cell-eval2", "target_gene", "non-targeting", "+", {}),
    ("cell-eval2", "target", "non-targeting", ",", {}),
    ("pertpy", "gene_target", "NT", "+", {}),
    ("pertpy", "perturbation", "NT", "_", {}),
]


@pytest.mark.parametrize(("convention", "column", "control", "separator", "beside"), JOINED)
@given(design=designs())
def test_labels_go_to_targets_and_back(
    convention: str,
    column: str,
    control: str,
    separator: str,
    beside: dict[str, str],
    design: tuple[list[str], list[tuple[str, str]]],
):
    genes, pairs = design
    labels = [control, *genes, *(separator.join(pair) for pair in pairs)]
    columns = columns_of(column, labels, **beside)
    assert (columns.convention, columns.perturbation, columns.controls) == (convention, column, (control,))
    assert columns.separator == separator
    expected = [(), *((gene,) for gene in genes), *(tuple(sorted(pair)) for pair in pairs)]
    assert list(targets_of(labels, columns)) == expected


@given(design=designs())
def test_a_control_beside_a_target_is_no_target(design: tuple[list[str], list[tuple[str, str]]]):
    genes, pairs = design
    labels = ["ctrl", *(f"{gene}+ctrl" for gene in genes), *("+".join(pair) for pair in pairs)]
    labels += [f"ctrl+{gene}" for gene in genes]
    columns = columns_of("condition", labels)
    found = dict(zip(labels, targets_of(labels, columns), strict=True))
    assert columns.convention == "gears"
    assert found["ctrl"] == ()
    assert all(found[f"{gene}+ctrl"] == found[f"ctrl+{gene}"] == (gene,) for gene in genes)
    assert all(found["+".join(pair)] == tuple(sorted(pair)) for pair in pairs)


@given(design=designs(), data=st.data())
def test_the_order_of_targets_does_not_matter(design: tuple[list[str], list[tuple[str, str]]], data: st.DataObject):
    genes, _ = design
    three = data.draw(st.permutations(genes[:3]))
    labels = ["control", *genes, "+".join(three), "+".join(genes[:3])]
    found = targets_of(labels, columns_of("condition", labels))
    assert found[-1] == found[-2] == tuple(sorted(genes[:3]))


@given(genes=st.lists(GENES, min_size=3, max_size=8, unique=True), n_guides=st.integers(2, 4))
@pytest.mark.parametrize("form", ["{}_sg{}", "{}g{}", "{}-{}", "{}_{}", "{} guide {}", "{}_G{}"])
def test_numbers_of_guides_are_taken_off(form: str, genes: list[str], n_guides: int):
    control = "control" if form == "{} guide {}" else "NT"
    labels = [form.format(gene, number) for gene in (control, *genes) for number in range(1, n_guides + 1)]
    columns = columns_of("perturbation", labels)
    assert columns.guide_suffix is not None
    assert "is taken off" in columns.summary
    assert len(columns.controls) == n_guides
    expected = [()] * n_guides + [(gene,) for gene in genes for _ in range(n_guides)]
    assert list(targets_of(labels, columns)) == expected


@given(genes=st.lists(GENES, min_size=4, max_size=8, unique=True))
def test_numbers_behind_a_hyphen_may_belong_to_the_gene(genes: list[str]):
    labels = ["control", *genes, f"{genes[0]}-1", f"{genes[1]}-1"]
    columns = columns_of("perturbation", labels)
    assert columns.guide_suffix is None
    assert targets_of(labels, columns)[1:] == tuple((label,) for label in labels[1:])


@given(genes=st.lists(GENES, min_size=3, max_size=8, unique=True))
def test_an_underscore_joins_only_what_is_known(genes: list[str]):
    labels = ["control", *genes, f"{genes[0]}_{genes[1]}", f"{genes[0]}_unknown"]
    found = targets_of(labels, columns_of("perturbation", labels))
    assert found[-2] == tuple(sorted(genes[:2]))
    assert found[-1] == (f"{genes[0]}_unknown",)


@given(genes=st.lists(GENES, min_size=4, max_size=8, unique=True))
def test_genes_are_known_parts(genes: list[str]):
    label = f"{genes[0]}_{genes[1]}"
    obs = pd.DataFrame({"perturbation": ["control", *genes[2:], label]})
    assert screen_columns(obs, name="the file").separator is None
    columns = screen_columns(obs, name="the file", genes=genes)
    labels = ["control", *genes[2:], label]
    assert columns.separator == "_"
    assert targets_of(labels, columns, genes=genes)[-1] == tuple(sorted(genes[:2]))


def test_a_separator_that_is_given_joins_everywhere():
    obs = pd.DataFrame({"perturbation": ["control", "A", "B_C"]})
    columns = screen_columns(obs, name="the file", separator="_")
    assert targets_of(["control", "A", "B_C"], columns) == ((), ("A",), ("B", "C"))
    none = screen_columns(obs.assign(perturbation=["control", "A", "B+C"]), name="the file", separator="")
    assert targets_of(["control", "A", "B+C"], none) == ((), ("A",), ("B+C",))


def test_a_plus_inside_a_drug_joins_nothing():
    labels = ["DMSO", "(+)-JQ1", "(-)-JQ1"]
    columns = columns_of("drug", labels)
    assert columns.separator is None
    assert targets_of(labels, columns) == ((), ("(+)-JQ1",), ("(-)-JQ1",))


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("ctrl", "control"),
        ("Control", "control"),
        ("NegCtrl0", "control"),
        ("non-targeting", "guides without a target"),
        ("nontargeting_00123", "guides without a target"),
        ("NTg7", "guides without a target"),
        ("NT_g2", "guides without a target"),
        ("NT-1", "guides without a target"),
        ("safe-targeting", "guides without a target"),
        ("DMSO", "vehicle"),
        ("untreated", "untreated"),
        ("NT5", None),
        ("NT5E", None),
        ("CTRL1A", None),
        ("contrl", None),
        ("AAVS1", None),
        ("NTRK1", None),
    ],
)
def test_words_for_control(label: str, group: str | None):
    assert control_group(label) == group
    assert group is None or group in CONTROL_GROUPS
