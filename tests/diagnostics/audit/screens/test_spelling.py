"""Names that are one in two spellings are found, and families of genes are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.screens.spelling import suspects

CONTROLS = ("non-targeting",)


def found(*names: str, genes: tuple[str, ...] = (), cells: tuple[int, ...] = ()) -> set[tuple[str, str]]:
    n_of = dict(zip(names, cells or [100 - 60 * (i % 2) - i for i in range(len(names))], strict=True))
    return {(one.name, one.beside) for one in suspects(n_of, CONTROLS, frozenset(genes))}


@pytest.mark.parametrize(
    ("name", "typo"),
    [
        ("KLF1", "KFL1"),
        ("KLF1", "klf1"),
        ("KLF1", "KLF1 "),
        ("KLF1", "KLF-1"),
        ("KLF1", "KLFI"),
        ("BRD4", "BDR4"),
        ("RUNX1T1", "RUNXIT1"),
        ("TNFRSF14", "TNFRFS14"),
        ("PTPN12", "PTPN-12"),
    ],
)
def test_a_typo_is_found_in_either_order(name: str, typo: str):
    assert found(name, typo) == {(typo, name)}
    assert found(typo, name, cells=(9, 90)) == {(typo, name)}


def test_a_letter_within_the_name_is_suspected_where_it_is_rare_or_unmeasured():
    assert found("TNFRSF14", "TNFSF14", cells=(900, 20)) == {("TNFSF14", "TNFRSF14")}
    assert found("TNFRSF14", "TNFSF14", cells=(900, 800)) == set()
    assert found("TNFRSF14", "TNFSF14", genes=("TNFRSF14",), cells=(900, 800)) == {("TNFSF14", "TNFRSF14")}
    assert found("TNFRSF14", "TNFSF14", genes=("TNFRSF14", "TNFSF14"), cells=(900, 20)) == set()


@pytest.mark.parametrize(
    "family",
    [
        ("IFNGR1", "IFNGR2"),
        ("STAT1", "STAT2", "STAT3", "STAT5A", "STAT5B"),
        ("MAP2K3", "MAP2K6", "MAP4K3", "MAP4K5", "MAPK1"),
        ("MYC", "MYCN", "MYCL"),
        ("JUN", "JUNB", "JUND"),
        ("FOXA1", "FOXB1", "FOXL2", "FOXO4"),
        ("CEBPA", "CEBPB", "CEBPE"),
        ("PTPN12", "PTPN9"),
        ("IRF1", "IRF7"),
        ("KLF1", "KLF12"),
        ("SET", "SETD2"),
    ],
)
def test_families_of_genes_are_left_alone(family: tuple[str, ...]):
    assert found(*family) == set()


@pytest.mark.parametrize("label", ["non-targetting", "contrl", "Non Targeting", "nontargeting_1", "crtl"])
def test_a_label_that_is_nearly_control_is_found(label: str):
    assert {one[0] for one in found("KLF1", label)} == {label}


def test_a_label_that_is_a_gene_but_for_its_case_is_found():
    assert found("klf1", "MYC", genes=("KLF1", "MYC")) == {("klf1", "KLF1")}


@given(st.lists(st.from_regex(r"[A-Z]{4}[0-9]", fullmatch=True), min_size=1, max_size=6, unique=True))
def test_names_that_are_all_measured_are_accused_of_punctuation_alone(names: list[str]):
    assert found(*names, genes=tuple(names)) == set()
