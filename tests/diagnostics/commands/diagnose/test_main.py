"""``python -m diagnostics`` as its users meet it: bad use, a good run, a cause found, code that raises, Ctrl-C."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from diagnostics.checks.cures import tried
from diagnostics.results.check_result import CheckResult
from tests.diagnostics.commands.verbs import calling
from tests.source_tree import REPO

main = calling("diagnose")

WORLD = ["--source", "synthetic:chain/5"]


def valid(report: Path) -> Any:
    """What a report holds, once it has been held against the published schema."""
    schema = json.loads((REPO / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    found = json.loads(report.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


MODELS = '''
import torch
from torch import nn


class Dense(nn.Module):
    """Reads all that it is given; as if Ctrl-C had been pressed after so many calls."""

    def __init__(self, n_genes, *, stop_after=None):
        super().__init__()
        self.stop_after, self.n_calls = stop_after, 0
        self.layers = nn.Sequential(nn.Linear(4 * n_genes, 32), nn.Tanh(), nn.Linear(32, n_genes))

    def forward(self, before_BG, target_BG, measured_BG, perturbed_BG):
        self.n_calls += 1
        if self.stop_after is not None and self.n_calls > self.stop_after:
            raise KeyboardInterrupt
        told_BG = perturbed_BG.to(before_BG.dtype)
        parts = (before_BG, told_BG, target_BG, measured_BG.to(before_BG.dtype))
        return self.layers(torch.cat(parts, dim=-1))


def build(n_genes):
    return Dense(n_genes)


def deaf(n_genes):
    model = Dense(n_genes)
    model.forward = lambda before_BG, target_BG, measured_BG, perturbed_BG: model.layers(
        torch.cat([before_BG, 0 * target_BG, 0 * target_BG, 0 * before_BG], dim=-1))
    return model


def interrupted(n_genes):
    return Dense(n_genes, stop_after=8)


def breaks(n_genes):
    return inner(n_genes)


def inner(n_genes):
    raise RuntimeError(f"no width for {n_genes} genes")


def number(n_genes):
    return 3


def three(n_genes, width, depth):
    return None


class Breaking(Dense):
    def forward(self, before_BG, target_BG, measured_BG, perturbed_BG):
        raise RuntimeError("shapes do not fit")


def breaking(n_genes):
    return Breaking(n_genes)
'''


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "my_models.py"
    path.write_text(MODELS, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to diagnose"),
        (["--model", "default"], "--source or --n-genes"),
        (["--model", "sead", "--n-genes", "4"], "nearest: seed"),
        (["--source", "synthetic:chian/5"], "nearest: chain"),
        (["--source", "sinthetic:chain/5"], "nearest: synthetic"),
        ([*WORLD, "--only", "exect"], "nearest: exact"),
        ([*WORLD, "--regime", "matches"], "nearest: matched"),
        ([*WORLD, "--library-size", "100", "--regime", "interventional"], "--regime is for a simulated world"),
        ([*WORLD, "--match-on", "donor"], "--library-size"),
        ([*WORLD, "--match-on", "doner"], "nearest: donor"),
        ([*WORLD, "--n-genes", "5"], "leave it out"),
        ([*WORLD, "--n-perturbed", "4-9"], "1 .. 4"),
        ([*WORLD, "--learning-rate", "1"], "give --model too"),
        ([*WORLD, "--model", "default", "--learning-rate", "-1"], "above 0"),
        ([*WORLD, "--model", "nowhere.py:build"], "there is no file"),
        ([*WORLD, "--model", "no_package_of_this_name:build"], "there is no module"),
        ([*WORLD, "--model", "default", "--checkpoint", "nowhere.ckpt"], "no file of weights"),
        (["--model", "default", "--n-genes", "5", "--regime", "matched"], "give --source too"),
        (["--explain", "GP2O3"], "GP203"),
        (["--jsn", "x"], "Did you mean --json"),
        ([*WORLD, "--seed", "-1"], ">= 0"),
    ],
)
def test_bad_use_ends_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gpcp diagnose: error: ")
    assert captured.err.count("\n") == 1, captured.err
    assert message in captured.err


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("biuld", "nearest: build"),
        ("number", "gives a int"),
        ("three", "needs 3 arguments"),
    ],
)
def test_a_factory_that_is_no_good(factory: str, message: str, models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORLD, "--model", f"{models}:{factory}"]) == 2
    assert message in capsys.readouterr().err


def test_a_factory_that_raises_shows_its_own_frames_alone(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORLD, "--model", f"{models}:breaks"]) == 2
    err = capsys.readouterr().err
    assert "in breaks" in err
    assert "in inner" in err
    assert "RuntimeError: no width for 5 genes" in err
    assert str(REPO / "diagnostics") not in err


def test_a_file_that_cannot_be_imported_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def build(n_genes)\n    return None\n", encoding="utf-8")
    assert main([*WORLD, "--model", f"{path}:build"]) == 2
    err = capsys.readouterr().err
    assert "broken.py" in err
    assert "SyntaxError" in err


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    assert main([*WORLD, "--json", str(tmp_path / "taken" / "a.json")]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err
    assert main([*WORLD, "--html", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_the_list_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 80
    family = ""
    for one in lines:
        if one.endswith(":"):
            family = one.removesuffix(":")
        else:
            assert re.match(
                rf"GP\d{{3}} {family}\.\w+ +(exact|statistical) +(data|optimiser|architecture|bug) +\w", one
            )
    assert family == "learning"


def test_a_check_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", "GP203"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("## GP203 loss.nan_unscored\n")
    assert "*Fix*" in out


@pytest.mark.slow
def test_cures_are_tried_after_a_failure_and_shown(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tried, "N_STEPS", 20)
    report, html = tmp_path / "report.json", tmp_path / "verdict.html"
    asked = [*WORLD, "--model", f"{models}:deaf", "--learning-rate", "1e-3", "--only", "GP309", "--cures", "--quiet"]
    assert main([*asked, "--json", str(report), "--html", str(html)]) == 1
    found = valid(report)["cures"]
    assert found
    assert f"{found[0]['name']}: {found[0]['message']}" in " ".join(capsys.readouterr().out.split())
    page = html.read_text(encoding="utf-8")
    Page().feed(page)
    assert found[0]["name"] in page
    assert "95 % interval" in page


class Page(HTMLParser):
    """Checks that what is opened is closed, and keeps addresses and rows."""

    VOID = frozenset({"meta", "br", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.n_rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value is not None:
                self.links.append(value)
            if name == "id" and value is not None:
                self.ids.append(value)
        self.n_rows += tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def read_page(path: Path) -> tuple[Page, str]:
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert "http:" not in text
    assert "https:" not in text
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    return page, text


@pytest.mark.slow
def test_a_model_alone_as_a_process(tmp_path: Path, models: str) -> None:
    place, html = tmp_path / "made" / "verdict.json", tmp_path / "verdict.html"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "diagnostics", "--model", f"{models}:build", "--n-genes", "6", "--only", "exact"),
            *("--json", str(place), "--html", str(html)),
        ],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert "NOTHING FOUND" in ran.stdout
    found = valid(place)
    results = [CheckResult(**one) for one in found["results"]]
    # A line for each check that could be asked, and a count of the others.
    shown = [one for one in results if not one.message.startswith("needs ")]
    assert all(f" {one.name} " in ran.stdout for one in shown)
    assert 0 < len(shown) < len(results)
    counts = re.findall(r"^n/a +(\d+) more checks need ", ran.stdout, re.MULTILINE)
    assert sum(map(int, counts)) == len(results) - len(shown)
    assert found["diagnosis"] is None
    assert found["cause"] is None
    assert {"gpcp", "torch"} <= set(found["versions"])
    page, text = read_page(html)
    assert page.n_rows == 1 + len(results)
    assert "NOTHING FOUND" in text


def test_a_cause_is_named_with_its_consequences(
    tmp_path: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place, html = tmp_path / "verdict.json", tmp_path / "verdict.html"
    arguments = [*WORLD, "--model", f"{models}:deaf", "--only", "architecture", "--quiet"]
    assert main([*arguments, "--json", str(place), "--html", str(html)]) == 1
    out = capsys.readouterr().out
    found = valid(place)
    assert found["diagnosis"] == "architecture.reads_perturbation"
    assert found["heading"].lower() == found["cause"]
    assert f"{found['heading']}: " in out
    assert found["consequences"]
    assert all(name in out for name in found["consequences"])
    first = next(one for one in found["results"] if one["name"] == found["diagnosis"])
    assert first["next_step"][:40] in " ".join(out.split())
    assert found["heading"] in read_page(html)[1]


def test_a_model_that_raises_is_reported_check_by_check(
    tmp_path: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "verdict.json"
    html = tmp_path / "verdict.html"
    arguments = ["--model", f"{models}:breaking", "--n-genes", "5", "--only", "architecture"]
    assert main([*arguments, "--json", str(place), "--html", str(html)]) == 1
    assert "NOT JUDGED" in capsys.readouterr().out
    found = valid(place)
    assert found["errors"]
    assert all(one["traceback"] for one in found["results"] if one["outcome"] == "error")
    assert "shapes do not fit" in read_page(html)[1]


def test_what_is_interrupted_leaves_whole_files(
    tmp_path: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place, html = tmp_path / "verdict.json", tmp_path / "verdict.html"
    arguments = [*WORLD, "--model", f"{models}:interrupted", "--only", "exact"]
    assert main([*arguments, "--json", str(place), "--html", str(html)]) == 130
    found = valid(place)
    assert found["interrupted"] is True
    names = [one["name"] for one in found["results"]]
    assert "data.masks" in names
    assert "architecture.gradients" not in names
    assert "Interrupted" in read_page(html)[1]
    assert "interrupted" in capsys.readouterr().err
