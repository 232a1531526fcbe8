"""The house stands: folders are rooms on layers, nothing imports upwards, what is heavy is imported where it is used.

A room is a folder of a package, or the files that lie at its root. The rules speak of rooms, so that a new file needs
no row here.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import PurePosixPath

import pytest

from tests.source_tree import PACKAGES, REPO, Import, Source, imports, parsed, sources

LAYERS: tuple[str, ...] = (
    "gpcp/core",
    "gpcp",
    "gpcp/sources gpcp/model simulators/graphs diagnostics/results",
    "gpcp/panels gpcp/pairing gpcp/screens simulators/scm diagnostics/architecture",
    "gpcp/loading gpcp/opening simulators/exact",
    "gpcp/training simulators diagnostics/scoring diagnostics/throughput",
    "gpcp/search gpcp/in_silico simulators/census simulators/screens simulators/spike_ins simulators/twins",
    "diagnostics/checks diagnostics/graphs diagnostics/audit diagnostics/runs",
    "diagnostics/faults diagnostics/inputs",
    "diagnostics/cli",
    "diagnostics/commands",
    "diagnostics",
)
"""Rooms from the ground up: a room imports from those on lower layers alone."""

PACKAGES_BELOW: Mapping[str, frozenset[str]] = {
    "gpcp": frozenset(),
    "simulators": frozenset({"gpcp", "gpcp/core", "gpcp/sources"}),
    "diagnostics": frozenset(room for layer in LAYERS for room in layer.split() if not room.startswith("diagnostics")),
}
"""The rooms of other packages that a package may import."""

NUMPY_ALONE = frozenset({"gpcp", "gpcp/core"})
"""Rooms that need nothing but numpy and scipy from outside, so that values can be read anywhere."""

HEAVY = frozenset(
    {"anndata", "cellxgene_census", "h5py", "lightning_fabric", "matplotlib", "optuna", "pandas", "pyarrow", "sklearn"}
    | {"tiledbsoma", "tiledbsoma_ml", "torch"}
)
"""Up to seconds to import, each. A command reaches none of them before it has read its arguments."""

HEAVY_AT_TOP: Mapping[str, frozenset[str]] = {
    "gpcp/model": frozenset({"torch"}),
    "gpcp/loading": frozenset({"torch"}),
    "gpcp/training": frozenset({"torch", "lightning_fabric"}),
    "gpcp/search": frozenset({"torch", "optuna"}),
    "diagnostics/architecture": frozenset({"torch"}),
    "diagnostics/checks": frozenset({"torch"}),
    "diagnostics/commands": frozenset({"torch"}),
    "diagnostics/faults": frozenset({"torch"}),
    "diagnostics/inputs": frozenset({"torch"}),
    "diagnostics/throughput": frozenset({"torch"}),
}
"""Rooms that are of no use without a heavy package and may import it at the top; elsewhere: inside the function."""

MOST_ENTRIES = 14
"""Of a folder: files and folders, without ``__init__.py``."""

_PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_LISTS = [_PROJECT["dependencies"], *_PROJECT["optional-dependencies"].values()]
DECLARED = frozenset(
    re.split("[<>=~ \\[]", line)[0].replace("-", "_").replace("scikit_learn", "sklearn")
    for lines in _LISTS
    for line in lines
)
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms.split()}
BUILT = sources(*PACKAGES)
COMMANDS = ["diagnostics.__main__", "diagnostics.recover_graph"]


def room_of(path: str) -> str:
    """The room of a file: its folder, not deeper than two."""
    return "/".join(PurePosixPath(path).parent.parts[:2])


def violations(*files: Source) -> list[str]:
    """What the files import against the rules, one line for each import."""
    path_of = {source.module: source.path for source in (*BUILT, *files)}
    return [
        f"{source.path}:{one.line} imports {one.module}: {why}"
        for source in files
        for one in imports(source, frozenset(path_of))
        if (why := _inside(source, one.module, path_of) or _outside(source, one))
    ]


def _inside(source: Source, module: str, path_of: Mapping[str, str]) -> str | None:
    if module.split(".")[0] not in PACKAGES:
        return None
    if module not in path_of:
        return "there is no such file"
    here, there = room_of(source.path), room_of(path_of[module])
    if here == there:
        return None
    if source.package != there.split("/")[0] and there not in PACKAGES_BELOW[source.package]:
        return f"{there} is not below {source.package}"
    return f"{there} is not on a lower layer than {here}" if LAYER_OF[there] >= LAYER_OF[here] else None


def _outside(source: Source, found: Import) -> str | None:
    top, room = found.module.split(".")[0], room_of(source.path)
    if top in ("tests", "examples"):
        return "nothing imports tests or examples"
    if top in PACKAGES or top in sys.stdlib_module_names:
        return None
    if room in NUMPY_ALONE and top not in ("numpy", "scipy"):
        return f"{room} does without {top}"
    if top not in DECLARED and not found.typing:
        return f"pyproject.toml does not declare {top}"
    if found.at_top and top in HEAVY - HEAVY_AT_TOP.get(room, frozenset()):
        return f"{top} takes long to import: do it in the function that needs it"
    return None


def reached(module: str) -> dict[str, str]:
    """Every module that importing ``module`` imports, third parties too, each with the file that asks for it."""
    source_of = {source.module: source for source in BUILT}
    asked_by, todo = {module: "the command line"}, [module]
    while todo:
        source = source_of.get(todo.pop())
        if source is None:
            continue
        for found in imports(source, frozenset(source_of)):
            if found.at_top and found.module not in asked_by:
                asked_by[found.module] = source.path
                todo.append(found.module)
    return asked_by


def test_every_room_has_a_layer():
    assert {room_of(source.path) for source in BUILT} == set(LAYER_OF)


def test_nothing_imports_upwards():
    assert violations(*BUILT) == []


def test_no_folder_is_crowded():
    folders = {path.parent for package in PACKAGES for path in (REPO / package).rglob("*.py")}
    entries = {
        folder.relative_to(REPO).as_posix(): [
            one
            for one in folder.iterdir()
            if (one.suffix == ".py" and one.name != "__init__.py") or (one / "__init__.py").exists()
        ]
        for folder in folders
    }
    assert {name: len(found) for name, found in entries.items() if len(found) > MOST_ENTRIES} == {}


def test_no_file_imports_itself_by_a_detour():
    graph = {
        source.module: {one.module for one in imports(source, frozenset(s.module for s in BUILT)) if one.at_top}
        for source in BUILT
    }
    # Raises CycleError, which names the circle.
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reads_its_arguments_before_it_imports_what_is_heavy(command: str):
    slow = {module: by for module, by in reached(command).items() if module.split(".")[0] in HEAVY}
    assert not slow, f"{command} imports at its top, by way of the file named: {slow}"


def test_no_dependency_is_declared_in_vain():
    used = {one.module.split(".")[0] for source in BUILT for one in imports(source)}
    declared = {re.split("[<>=~ \\[]", line)[0].replace("-", "_") for line in _PROJECT["dependencies"]}
    assert used | {"scikit_learn"} >= declared


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("gpcp/core/genes.py", "import torch", "gpcp/core does without torch"),
        ("gpcp/core/genes.py", "def f():\n    import pandas", "gpcp/core does without pandas"),
        ("gpcp/core/cells.py", "from gpcp.training import fit", "gpcp/training is not on a lower layer than gpcp/core"),
        ("gpcp/core/pairs.py", "if TYPE_CHECKING:\n    from gpcp.model.config import A", "not on a lower layer"),
        ("gpcp/training/fit.py", "import simulators.worlds", "simulators is not below gpcp"),
        ("gpcp/model/config.py", "from diagnostics.results.report import A", "diagnostics/results is not below gpcp"),
        ("simulators/scm/scm.py", "import torch.nn", "takes long to import"),
        ("simulators/worlds.py", "from gpcp.pairing.paired import Paired", "gpcp/pairing is not below simulators"),
        ("simulators/exact/laws.py", "from simulators.sources import A", "not on a lower layer than simulators/exact"),
        ("diagnostics/results/report.py", "from tests.strategies import vocabs", "nothing imports tests"),
        ("diagnostics/graphs/scores.py", "from sklearn.linear_model import Ridge", "takes long to import"),
        ("diagnostics/graphs/scores.py", "try:\n    import matplotlib\nexcept E:\n    pass", "takes long to import"),
        ("diagnostics/results/report.py", "import flask", "pyproject.toml does not declare flask"),
        ("diagnostics/results/report.py", "from gpcp.nowhere import thing", "there is no such file"),
    ],
)
def test_a_wrong_import_is_found(path: str, text: str, why: str):
    (found,) = violations(parsed(text, path))
    assert found.startswith(f"{path}:")
    assert why in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("diagnostics/graphs/scores.py", "def ridge():\n    from sklearn.linear_model import Ridge"),
        ("diagnostics/graphs/scores.py", "from gpcp.training.fit import fit\nfrom simulators.worlds import world"),
        ("simulators/scm/scm.py", "import math\nfrom numpy.typing import NDArray\nfrom gpcp.core import errors"),
        ("gpcp/sources/h5ad/cells.py", "if TYPE_CHECKING:\n    import pandas as pd"),
    ],
)
def test_a_right_import_is_let_through(path: str, text: str):
    assert violations(parsed(text, path)) == []
