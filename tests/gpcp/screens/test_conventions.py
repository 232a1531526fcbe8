"""Columns of a screen: each tool's names are recognised, what is given wins, and doubt is an error with candidates."""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from gpcp.core.errors import InputError
from gpcp.screens.conventions import screen_columns

DATA = Path(__file__).parents[4] / "shared/data/perturb"


def frame(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Categorical(values) for name, values in columns.items()})


SCREEN = frame(
    condition=["ctrl", "A+ctrl", "A+B"],
    cell_type=["K562"] * 3,
    gem_group=["1", "2", "2"],
    guide_id=["g1", "g2", "g3"],
    dose_val=["1", "1+1", "1+1"],
)


def test_what_is_recognised_is_named():
    columns = screen_columns(SCREEN, name="the file")
    assert columns.convention == "gears"
    assert (columns.guide, columns.dose, columns.kind) == ("guide_id", "dose_val", "unknown")
    assert dict(columns.contexts) == {"cell_type": "cell_type", "batch": "gem_group"}
    for word in ("'condition' as of gears", "'ctrl'", "'+'", "'guide_id'", "'dose_val'", "'gem_group'"):
        assert word in columns.summary
    assert "\n" not in columns.summary


def test_what_is_given_wins():
    obs = SCREEN.assign(mine=["x", "y", "z"], lane=["1", "1", "2"], sgrna=["g"] * 3)
    columns = screen_columns(
        obs,
        name="the file",
        perturbation="mine",
        control=["x", "y"],
        guide="sgrna",
        dose="lane",
        kind="knocked down",
        contexts={"batch": "lane"},
    )
    assert (columns.convention, columns.perturbation, columns.controls) == ("given", "mine", ("x", "y"))
    assert (columns.guide, columns.dose, columns.kind) == ("sgrna", "lane", "knocked down")
    assert dict(columns.contexts) == {"cell_type": "cell_type", "batch": "lane"}


def test_it_can_be_pickled():
    columns = screen_columns(SCREEN, name="the file")
    assert pickle.loads(pickle.dumps(columns)) == columns


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["CRISPRi"] * 3, "knocked down"),
        (["CRISPRa", "control", "CRISPRa"], "activated"),
        (["CRISPR-KO", "none", "CRISPR-KO"], "knocked out"),
        (["drug"] * 3, "compound"),
        (["knocked_down"] * 3, "knocked down"),
        (["CRISPRi", "CRISPRa", "CRISPRa"], "unknown"),
        (["gibberish"] * 3, "unknown"),
    ],
)
def test_the_kind_is_of_a_column(words: list[str], kind: str):
    columns = screen_columns(SCREEN.assign(perturbation_type=words), name="the file")
    assert columns.kind == kind
    assert columns.kind_column == "perturbation_type"
    assert "'perturbation_type'" in columns.summary


def test_columns_that_agree_are_one():
    columns = screen_columns(SCREEN.assign(perturbation=["control", "A", "A_B"]), name="the file")
    assert columns.perturbation == "condition"
    assert "'perturbation' agrees" in columns.summary


def test_columns_that_say_only_whether_are_passed_over():
    obs = frame(perturbation=["NT", "Perturbed", "Perturbed"], gene_target=["NT", "A", "B"])
    columns = screen_columns(obs, name="the file")
    assert (columns.convention, columns.perturbation) == ("pertpy", "gene_target")


@pytest.mark.parametrize(
    ("obs", "given", "words"),
    [
        (SCREEN.assign(perturbation=["A", "control", "B"]), {}, ["'condition'", "'perturbation'", "differ"]),
        (SCREEN, {"perturbation": "conditoin"}, ["'conditoin'", "condition"]),
        (SCREEN, {"control": "contrl"}, ["contrl"]),
        (SCREEN, {"perturbation": "condition", "control": "ctrI"}, ["'ctrI'", "ctrl"]),
        (SCREEN, {"guide": "guide"}, ["'guide'", "guide_id"]),
        (SCREEN, {"dose": "dose_vall"}, ["'dose_vall'", "dose_val"]),
        (SCREEN, {"contexts": {"batch": "gem_grup"}}, ["'gem_grup'", "gem_group"]),
        (SCREEN, {"contexts": {"bach": "gem_group"}}, ["'bach'", "batch"]),
        (SCREEN, {"kind": "knock down"}, ["'knock down'", "knocked down"]),
        (frame(condition=["A", "B", "contrl"]), {}, ["'condition'", "contrl", "means control"]),
        (frame(condition=["A", "control", "non-targeting"]), {}, ["control", "non-targeting", "2 kinds"]),
        (frame(treatment=["A", "B", "DMSO"]), {}, ["'treatment'", "name the column"]),
        (frame(cluster=["A", "B", "C"]), {}, ["cluster", "no column"]),
    ],
)
def test_doubt_is_an_error_with_candidates(obs: pd.DataFrame, given: dict[str, object], words: list[str]):
    with pytest.raises(InputError) as error:
        screen_columns(obs, name="the file", **given)  # pyright: ignore[reportArgumentType]
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("norman19_mcfaline23_subset", ("perturbench", "condition", ("control",), "+", None)),
        ("papalexi2021_lowmoi", ("scperturb", "perturbation", ("non-targeting",), None, "grna")),
    ],
)
def test_real_screens_are_recognised(file: str, expected: tuple[object, ...]):
    path = DATA / f"{file}.h5ad"
    if not path.exists():
        pytest.skip(f"{path.name} is not there: real screens lie in ../shared/data/perturb")
    import anndata

    obs = anndata.read_h5ad(path).obs
    assert isinstance(obs, pd.DataFrame)
    columns = screen_columns(obs, name=path.name)
    found = (columns.convention, columns.perturbation, columns.controls, columns.separator, columns.guide)
    assert found == expected
