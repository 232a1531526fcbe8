"""The core installation: everything can be imported without the extras, and what needs one says how to install it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gpcp.core.errors import InputError
from gpcp.imports import need
from tests.source_tree import PACKAGES, REPO, sources

EXTRAS = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

HIDE = """
import sys

class Hidden:
    names = {"cellxgene_census", "tiledbsoma", "tiledbsoma_ml", "pyarrow", "optuna", "distributed", "dask"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""
"""What begins a process in which no extra is installed."""

IMPORT_ALL = """
import importlib, json
from gpcp.core.errors import InputError

refused = {}
for module in MODULES:
    try:
        importlib.import_module(module)
    except InputError as error:
        refused[module] = str(error)
print(json.dumps(refused))
"""

COMMAND = """
import runpy
sys.argv = ["python -m diagnostics", *ARGUMENTS]
runpy.run_module("diagnostics", run_name="__main__")
"""


def without_extras(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own where the packages of the extras are not to be found."""
    return subprocess.run([sys.executable, "-c", HIDE + code], cwd=REPO, capture_output=True, text=True, check=False)


def test_what_is_there_is_let_through():
    need("json", "pathlib", extra="sweep", use="a sweep")


def test_what_is_not_installed_is_named_with_its_extra():
    with pytest.raises(InputError) as caught:
        need("json", "no_such_package", extra="sweep", use="a sweep")
    assert str(caught.value) == "a sweep needs no_such_package, which is not installed: pip install 'gpcp[sweep]'"


def test_what_is_installed_and_broken_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_package.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"which cannot be imported \(No module named 'no_such_package'\)"):
        need("broken_package", extra="sweep", use="a sweep")


@pytest.mark.slow
def test_only_files_of_sweeps_need_an_extra_to_be_imported():
    modules = [source.module for source in sources(*PACKAGES) if not source.module.endswith("__main__")]
    done = without_extras(f"MODULES = {modules}{IMPORT_ALL}")
    assert done.returncode == 0, done.stderr
    refused: dict[str, str] = json.loads(done.stdout)
    assert {"gpcp.search.sweep", "diagnostics.commands.sweep.run"} <= set(refused)
    assert {name for name in refused if not name.startswith(("gpcp.search", "diagnostics.commands.sweep."))} == set()
    assert set(refused.values()) == {"a sweep needs optuna, which is not installed: pip install 'gpcp[sweep]'"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("from gpcp import CensusCells; CensusCells(uri='census')", "a Census needs tiledbsoma"),
        ("from gpcp import open_cells; open_cells('census:2025-11-08')", "a Census needs tiledbsoma"),
        ("from simulators import embedded_census; embedded_census('census')", "a Census needs tiledbsoma"),
        ("from gpcp import sweep", "a sweep needs optuna"),
        (
            "from diagnostics.runs.workers import engine\nwith engine(1, 'tcp://127.0.0.1:9'): pass",
            "--scheduler needs distributed",
        ),
    ],
)
def test_what_needs_an_extra_says_so_from_python(code: str, message: str):
    done = without_extras(code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"gpcp.core.errors.InputError: {message}, which is not installed")
    assert not (REPO / "census").exists()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        pytest.param(["sweep", "--source", "synthetic:scale_free/6"], "sweep", marks=pytest.mark.slow),
        (["audit", "--source", "census:2025-11-08"], "census"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_command_that_needs_an_extra_says_so_in_one_line(arguments: list[str], extra: str):
    done = without_extras(f"ARGUMENTS = {arguments}{COMMAND}")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.rstrip().endswith(f"which is not installed: pip install 'gpcp[{extra}]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["recover-graph", "--world", "scale_free/6", "--steps", "20", "--seeds", "1", "--workers", "1", "--quiet"],
        ["diagnose", "--source", "synthetic:scale_free/6", "--model", "default", "--only", "exact"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_first_commands_need_no_extra(arguments: list[str], tmp_path: Path):
    out = ["--out", str(tmp_path / "runs")] if arguments[0] == "recover-graph" else []
    done = without_extras(f"ARGUMENTS = {[*arguments, *out]}{COMMAND}")
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.strip()


def test_the_extras_are_those_of_the_messages_and_the_tests_have_them_all():
    known = {"census", "sweep", "cluster", "lightning", "transformers", "formats", "evaluate"}
    # What a benchmark compares with stands apart: one of its packages brings a top-level package `tests`. STATE and
    # GEARS each run in an environment of their own; the documentation is built by developers; two protocols of
    # scperteval need geomloss.
    assert {*known, "benchmark", "state", "gears", "sinkhorn", "docs", "all", "dev"} == set(EXTRAS)
    assert EXTRAS["all"] == ["gpcp[census,sweep,cluster,lightning,transformers,formats,evaluate]"]
    assert "gpcp[all,docs]" in EXTRAS["dev"]
