"""The command as a user runs it: small trainings, resuming, what is refused, and what is fixed for every part."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpcp.model.heads.registry import HEADS, gives_distribution
from tests.diagnostics.commands.verbs import calling

main = calling("compare")

SMALL = [
    "--source",
    "synthetic:chain/4",
    "--seeds",
    "1",
    "--steps",
    "2",
    "--workers",
    "1",
    "--quiet",
    "--set",
    "width=8",
    "n_rounds=1",
]


def asked(out: Path, *more: str) -> dict[str, Any]:
    assert main([*SMALL, "--out", str(out), *more]) == 0
    return json.loads((out / "compared.json").read_text(encoding="utf-8"))


def test_a_comparison_and_what_is_finished_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = [*SMALL[:4], "--steps", "3", "--workers", "1", "--set", "width=8", "--out", str(tmp_path / "out")]
    json_file = tmp_path / "all.json"
    assert main([*words, "--heads", "linear", "mlp", "--json", str(json_file)]) == 0
    first = capsys.readouterr()
    assert first.err.count("last: ") == 2
    for shown in (
        "input-free baseline",
        "ridge",
        "exact answer",
        "rank that is needed",
        "Is `out` losing information?",
        "Bonferroni",
    ):
        assert shown in first.out
    content = json.loads(json_file.read_text(encoding="utf-8"))
    assert {one["name"] for one in content["compared"]} == {"linear", "mlp"}
    assert content["bayes"] < content["baseline"]
    assert content["configurations"]["mlp"]["fit"]["n_steps"] == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "trainings.jsonl", "compared.txt", "compared.json", "compared.png",
    }  # fmt: skip

    # A third head: what is done stays, and the losses of paired seeds are the same to the letter.
    assert main([*words, "--heads", "linear", "mlp", "pooled_scalar"]) == 0
    assert capsys.readouterr().err.count("last: ") == 1
    again = json.loads((tmp_path / "out" / "compared.json").read_text(encoding="utf-8"))
    losses_of = {one["name"]: one["losses"] for one in again["compared"]}
    assert all(losses_of[one["name"]] == one["losses"] for one in content["compared"])
    assert {one["name"]: one["rank"] for one in again["compared"]} == {"linear": 4, "mlp": 4, "pooled_scalar": 1}

    # More steps are other trainings.
    assert main([*words, "--heads", "linear", "mlp", "--steps", "4"]) == 0
    assert capsys.readouterr().err.count("last: ") == 2


def test_heads_that_give_a_distribution_are_trained_by_likelihood_unless_it_is_set(tmp_path: Path):
    content = asked(tmp_path)
    assert {one["name"] for one in content["compared"]} == set(HEADS)
    for one in content["compared"]:
        assert (one["objective"] == "likelihood") == gives_distribution(one["name"])
    content = asked(tmp_path, "--set", "objective=squared", "skip=false", "--set", "gradient_clip=none")
    assert {one["objective"] for one in content["compared"]} == {"squared"}
    configurations = content["configurations"].values()
    assert {(one["model"]["skip"], one["fit"]["gradient_clip"]) for one in configurations} == {(False, None)}


@pytest.mark.slow
def test_value_embeddings_and_query_forms(tmp_path: Path):
    content = asked(tmp_path / "a", "--value-embeddings", "product", "concatenation", "--regime", "counterfactual")
    assert content["part"] == "value_embedding"
    assert {one["name"] for one in content["compared"]} == {"product", "concatenation"}
    content = asked(tmp_path / "b", "--query-forms")
    assert {one["model"]["head"] for one in content["configurations"].values()} == {"pooled"}
    assert any("'pooled'" in note for note in content["notes"])
    content = asked(tmp_path / "c", "--query-forms", "--set", "head=pooled_scalar", "--reference", "all_genes")
    assert content["reference"] == "all_genes"
    assert {one["rank"] for one in content["compared"]} == {1}
    content = asked(tmp_path / "d", "--query-mixings", "softmax", "static", "--preset", "mixing")
    assert content["part"] == "query_mixing"
    assert {one["name"] for one in content["compared"]} == {"softmax", "static"}


def test_where_only_perturbed_genes_ask_the_heads_that_fit_are_compared(tmp_path: Path):
    content = asked(tmp_path, "--set", "query_form=perturbed_genes", "patience=none", "--n-perturbed", "1-2")
    assert {one["name"] for one in content["compared"]} == {"pooled", "pooled_scalar"}
    assert any("left out" in note for note in content["notes"])
    content = asked(tmp_path, "--preset", "seed_perturbed", "--n-perturbed", "1-2")
    assert {one["name"] for one in content["compared"]} == {"pooled", "pooled_scalar"}


@pytest.mark.parametrize(
    ("words", "summary"),
    [
        (["--heads", "linaer", "mlp"], "nearest: linear"),
        (["--heads", "linear"], "alone: give two or more"),
        (["--heads", "linear", "mlp", "--value-embeddings"], "exclude each other"),
        (["--value-embeddings", "produkt", "concatenation"], "nearest: product"),
        (["--heads", "linear", "mlp", "--reference", "pooled"], "is not compared"),
        (["--heads", "linear", "pooled", "--set", "query_form=perturbed_genes"], "needs a query for every gene"),
        (["--query-forms", "--set", "head=linear"], "needs a query for every gene"),
        (["--heads", "linear", "mlp", "--set", "objective=likelihood"], "gives a mean alone"),
        (["--set", "skipp=false"], "nearest: skip"),
        (["--set", "skip"], "write NAME=VALUE"),
        (["--set", "skip=maybe"], "write true or false"),
        (["--set", "patience=3"], "no held-out loss to stop by"),
        (["--set", "patience=a"], "write a whole number or none"),
        (["--set", "width=wide"], "write a whole number"),
        (["--set", "width=30"], "multiple of n_heads"),
        (["--set", "head=linear"], "decided by another option"),
        (["--set", "n_steps=4"], "decided by --steps"),
        (["--set", "learning_rate=-1"], "must be above 0"),
        (["--preset", "defualt"], "nearest: default"),
        (["--source", "synthetic:scale_fre/4"], "scale_free"),
        (["--regime", "interventionel"], "interventional"),
        (["--n-perturbed", "4"], "it must be (fewest, most) within 1 .. 3"),
        (["--n-perturbed", "3-1"], "runs backwards"),
        (["--seeds", "0"], "0 seeds are none"),
        (["--seed", "-1"], ">= 0"),
        (["--json", "."], "is a folder"),
        (["--haeds"], "Did you mean --heads"),
    ],
)
def test_bad_use_trains_nothing_and_writes_nothing(
    words: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main(["--source", "synthetic:chain/4", "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gpcp compare: error: ")
    assert summary in error
    assert not out.exists()


def test_a_place_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    assert main([*SMALL, "--out", str(tmp_path / "file")]) == 2


def test_help_says_what_it_costs(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "minutes" in shown
    assert "exit code" in shown
